#pragma once

// OWLv2: "Scaling Open-Vocabulary Object Detection", https://arxiv.org/abs/2306.09683.
// Names and numbers follow transformers/models/owlv2/configuration_owlv2.py, 4.37.2.

#include <cstdint>
#include <optional>
#include <string>

#include "vizoo/core/config.h"

namespace vizoo {

/// config.json of model_type "owlv2_text_model", or the member `text_config` of an "owlv2" one.
struct Owlv2TextConfig : PretrainedConfig {
  static constexpr const char* kModelType = "owlv2_text_model";
  static constexpr const char* kCompositeType = "owlv2";  ///< whose config.json holds one of these
  static constexpr const char* kCompositeKey = "text_config";

  int64_t vocab_size = 49408;
  int64_t hidden_size = 512;
  int64_t intermediate_size = 2048;  ///< hidden channels of the MLP
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 8;       ///< divides hidden_size
  int64_t max_position_embeddings = 16;  ///< longest text, in tokens
  Activation hidden_act = Activation::quick_gelu;
  double layer_norm_eps = 1e-5;
  double attention_dropout = 0.0;
  double initializer_range = 0.02;  ///< without effect, as upstream
  double initializer_factor = 1.0;  ///< scales all fresh weights of Owlv2TextModel
  std::optional<int64_t> pad_token_id = 0;
  std::optional<int64_t> bos_token_id = 49406;
  std::optional<int64_t> eos_token_id = 49407;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    PretrainedConfig::fields(self, visit);
    visit("vocab_size", self.vocab_size);
    visit("hidden_size", self.hidden_size);
    visit("intermediate_size", self.intermediate_size);
    visit("num_hidden_layers", self.num_hidden_layers);
    visit("num_attention_heads", self.num_attention_heads);
    visit("max_position_embeddings", self.max_position_embeddings);
    visit("hidden_act", self.hidden_act);
    visit("layer_norm_eps", self.layer_norm_eps);
    visit("attention_dropout", self.attention_dropout);
    visit("initializer_range", self.initializer_range);
    visit("initializer_factor", self.initializer_factor);
    visit("pad_token_id", self.pad_token_id);
    visit("bos_token_id", self.bos_token_id);
    visit("eos_token_id", self.eos_token_id);
  }

  /// Checks the values against each other; `path` is where they stand in the file, for messages:
  /// "text_config/". Throws ConfigError.
  void resolve(const std::string& path = "");
};

/// config.json of model_type "owlv2_vision_model", or the member `vision_config` of an "owlv2" one.
struct Owlv2VisionConfig : PretrainedConfig {
  static constexpr const char* kModelType = "owlv2_vision_model";
  static constexpr const char* kCompositeType = "owlv2";
  static constexpr const char* kCompositeKey = "vision_config";

  int64_t hidden_size = 768;
  int64_t intermediate_size = 3072;  ///< hidden channels of the MLP
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;  ///< divides hidden_size
  int64_t num_channels = 3;
  int64_t image_size = 768;  ///< height and width of the images that the positions are for
  int64_t patch_size = 16;
  Activation hidden_act = Activation::quick_gelu;
  double layer_norm_eps = 1e-5;
  double attention_dropout = 0.0;
  double initializer_range = 0.02;  ///< standard deviation of fresh patch and position embeddings
  double initializer_factor = 1.0;  ///< scales all fresh weights of Owlv2VisionModel

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    PretrainedConfig::fields(self, visit);
    visit("hidden_size", self.hidden_size);
    visit("intermediate_size", self.intermediate_size);
    visit("num_hidden_layers", self.num_hidden_layers);
    visit("num_attention_heads", self.num_attention_heads);
    visit("num_channels", self.num_channels);
    visit("image_size", self.image_size);
    visit("patch_size", self.patch_size);
    visit("hidden_act", self.hidden_act);
    visit("layer_norm_eps", self.layer_norm_eps);
    visit("attention_dropout", self.attention_dropout);
    visit("initializer_range", self.initializer_range);
    visit("initializer_factor", self.initializer_factor);
  }

  /// Checks the values against each other; `path` is where they stand in the file, for messages:
  /// "vision_config/". Throws ConfigError.
  void resolve(const std::string& path = "");

  /// Patches in one row, and rows of them, of an image of image_size.
  int64_t grid_size() const { return image_size / patch_size; }

  /// Patches of an image of image_size: entries of the position table without the class token's.
  int64_t num_patches() const { return grid_size() * grid_size(); }
};

/// config.json of model_type "owlv2". A nested config that is missing or null takes its defaults.
struct Owlv2Config : PretrainedConfig {
  static constexpr const char* kModelType = "owlv2";
  /// Of fresh weights that no part of the model has a rule for.
  static constexpr double initializer_range = 0.02;

  Owlv2TextConfig text_config;
  Owlv2VisionConfig vision_config;
  int64_t projection_dim = 512;  ///< channels that texts and images have in common
  double logit_scale_init_value = 2.6592;
  double initializer_factor = 1.0;  ///< 1, whatever the file says, as upstream

  /// A config of these two parts, the rest at its defaults.
  static Owlv2Config from_text_vision_configs(Owlv2TextConfig text_config,
                                              Owlv2VisionConfig vision_config);

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    PretrainedConfig::fields(self, visit);
    visit("text_config", self.text_config);
    visit("vision_config", self.vision_config);
    visit("projection_dim", self.projection_dim);
    visit("logit_scale_init_value", self.logit_scale_init_value);
    visit("initializer_factor", self.initializer_factor);
  }

  /// Checks both parts and their common values. Throws ConfigError.
  void resolve();
};

}  // namespace vizoo
