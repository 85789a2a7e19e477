#pragma once

#include <cstdint>
#include <vector>

#include "vizoo/core/backbone_config.h"
#include "vizoo/core/config.h"

namespace vizoo {

/// Dilation of each layer of each stage.
using Dilations = std::vector<std::vector<int64_t>>;

/// What the configs of NAT and DiNAT share (configuration_nat.py, configuration_dinat.py, 4.37.2).
struct NeighborhoodConfig : PretrainedConfig, BackboneConfig {
  int64_t patch_size = 4;  ///< 4 is the only one
  int64_t num_channels = 3;
  int64_t embed_dim = 64;                   ///< channels of the first stage; each next has twice
  std::vector<int64_t> depths{3, 4, 6, 5};  ///< layers of each stage
  std::vector<int64_t> num_heads{2, 4, 8, 16};  ///< of each stage; divides its channels
  int64_t kernel_size = 7;                      ///< window, odd
  double mlp_ratio = 3.0;                       ///< hidden width of the MLP over channels
  bool qkv_bias = true;                         ///< of query, key and value
  double hidden_dropout_prob = 0.0;             ///< after the embeddings and after the MLP
  double attention_probs_dropout_prob = 0.0;    ///< of the probabilities and after the projection
  double drop_path_rate = 0.1;                  ///< of the last layer; grows linearly from 0
  Activation hidden_act = Activation::gelu;
  double initializer_range = 0.02;
  double layer_norm_eps = 1e-5;         ///< of the layers and the last norm; all others use 1e-5
  double layer_scale_init_value = 0.0;  ///< no layer scale if 0 or less
  int64_t hidden_size = 512;            ///< derived: channels of the last stage
  int64_t num_layers = 4;               ///< derived: number of stages

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    PretrainedConfig::fields(self, visit);
    visit("patch_size", self.patch_size);
    visit("num_channels", self.num_channels);
    visit("embed_dim", self.embed_dim);
    visit("depths", self.depths);
    visit("num_heads", self.num_heads);
    visit("kernel_size", self.kernel_size);
    visit("mlp_ratio", self.mlp_ratio);
    visit("qkv_bias", self.qkv_bias);
    visit("hidden_dropout_prob", self.hidden_dropout_prob);
    visit("attention_probs_dropout_prob", self.attention_probs_dropout_prob);
    visit("drop_path_rate", self.drop_path_rate);
    visit("hidden_act", self.hidden_act);
    visit("initializer_range", self.initializer_range);
    visit("layer_norm_eps", self.layer_norm_eps);
    visit("layer_scale_init_value", self.layer_scale_init_value);
    visit("hidden_size", self.hidden_size);
    visit("num_layers", self.num_layers);
    BackboneConfig::fields(self, visit);
  }

  /// Channels of a stage, counted from 0.
  int64_t stage_width(std::size_t stage) const { return embed_dim << stage; }

  /// Width of the hidden layer of an MLP on `width` channels: int(mlp_ratio * width).
  int64_t mlp_width(int64_t width) const;

  /// Checks the values against each other and derives `hidden_size`, `num_layers`, `stage_names`,
  /// `out_features` and `out_indices`. Calling it again changes nothing. Throws ConfigError.
  void resolve();
};

/// Checks that `dilations` has a positive one for each layer of the resolved `config`, small enough
/// that the grid to which a layer pads its input fits into memory. Throws ConfigError.
void check_dilations(const NeighborhoodConfig& config, const Dilations& dilations);

}  // namespace vizoo
