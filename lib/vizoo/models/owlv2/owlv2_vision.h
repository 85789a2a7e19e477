#pragma once

// The vision tower of OWLv2.
// Source: transformers/models/owlv2/modeling_owlv2.py, 4.37.2.

#include <string>
#include <vector>

#include "vizoo/models/owlv2/owlv2_encoder.h"
#include "vizoo/models/owlv2/owlv2_output.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {

/// Class token, patch and position embeddings.
class Owlv2VisionEmbeddingsImpl : public torch::nn::Module {
 public:
  explicit Owlv2VisionEmbeddingsImpl(const Owlv2VisionConfig& config);
  /// [B, num_channels, H, W] -> [B, 1 + P, C] with P = (H / patch_size) (W / patch_size), rounded
  /// down, the class token first.
  torch::Tensor forward(const torch::Tensor& pixel_values, bool interpolate_pos_encoding) const;
  /// Fresh weights: the class token N(0, factor / sqrt(C)), the rest N(0, initializer_range
  /// factor).
  void initialize(double factor);

  int64_t patch_size;
  double initializer_range;
  torch::Tensor class_embedding;  ///< [C]
  nn::Conv2d patch_embedding{nullptr};
  nn::Embedding position_embedding{nullptr};
};
TORCH_MODULE(Owlv2VisionEmbeddings);

/// The tower. last_hidden_state: [B, 1 + P, C], the last layer's output without a norm;
/// pooler_output: [B, C], its class token after post_layernorm; hidden_states: embeddings after
/// pre_layernorm and each layer, [B, 1 + P, C]; attentions: each layer, [B, heads, 1 + P, 1 + P].
class Owlv2VisionTransformerImpl : public torch::nn::Module {
 public:
  explicit Owlv2VisionTransformerImpl(Owlv2VisionConfig vision_config);
  /// pixel_values: [B, num_channels, H, W], floating point, of any size with
  /// `options.interpolate_pos_encoding()`, else with as many patches as the table has positions:
  /// image_size x image_size. Flags default to the tower's config. Throws ShapeError for anything
  /// else.
  BaseModelOutputWithPooling forward(const torch::Tensor& pixel_values,
                                     const Owlv2Options& options = {}) const;

  /// What forward begins with; `name` is what messages call the images. Throws ShapeError.
  void check_images(const torch::Tensor& pixel_values,
                    const Owlv2Options& options,
                    const char* name = "pixel_values") const;

  Owlv2VisionConfig config;
  Owlv2VisionEmbeddings embeddings{nullptr};
  nn::LayerNorm pre_layernorm{nullptr};
  Owlv2Encoder encoder{nullptr};
  nn::LayerNorm post_layernorm{nullptr};
};
TORCH_MODULE(Owlv2VisionTransformer);

/// The vision tower alone. Loads from its own checkpoints and from those of Owlv2Model and
/// Owlv2ForObjectDetection, whose other parts are left out silently.
class Owlv2VisionModelImpl
    : public PretrainedModel<Owlv2VisionModelImpl, Owlv2VisionConfig, PretrainedModelImpl> {
 public:
  static constexpr const char* kClassName = "Owlv2VisionModel";
  static constexpr const char* kBaseModelPrefix = "owlv2";
  explicit Owlv2VisionModelImpl(Owlv2VisionConfig model_config = {});

  void initialize_module(torch::nn::Module& module) const override;
  bool is_ignored_key(const std::string& key) const override;
  std::vector<std::string> argument_names() const override {
    return {"pixel_values", "interpolate_pos_encoding"};
  }
  NamedTensors forward_named(const NamedArguments& arguments,
                             const ForwardOptions& options) override;

  /// As Owlv2VisionTransformer.
  BaseModelOutputWithPooling forward(const torch::Tensor& pixel_values,
                                     const Owlv2Options& options = {});

  Owlv2VisionTransformer vision_model{nullptr};
};
TORCH_MODULE(Owlv2VisionModel);

}  // namespace vizoo
