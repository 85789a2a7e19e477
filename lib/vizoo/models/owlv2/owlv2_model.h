#pragma once

// Both towers of OWLv2 with a common embedding space.
// Source: transformers/models/owlv2/modeling_owlv2.py, 4.37.2.

#include <string>
#include <vector>

#include "vizoo/models/owlv2/owlv2_text.h"
#include "vizoo/models/owlv2/owlv2_vision.h"

namespace vizoo {

/// Contrastive loss of matching texts and images: the mean of the cross entropies of the rows and
/// of the columns, entry i belonging to row and column i. similarity: [B, B]; returns a scalar.
/// Throws ShapeError unless it is square.
torch::Tensor owlv2_loss(const torch::Tensor& similarity);

/// Text and vision tower, projected into a common space. B images, T texts.
///
/// The published checkpoints were saved with random weights in visual_projection, so their
/// image_embeds, logits and image features mean nothing; detection does not use them.
class Owlv2ModelImpl : public PretrainedModel<Owlv2ModelImpl, Owlv2Config, PretrainedModelImpl> {
 public:
  static constexpr const char* kClassName = "Owlv2Model";
  static constexpr const char* kBaseModelPrefix = "owlv2";
  explicit Owlv2ModelImpl(Owlv2Config model_config = {});

  void initialize_module(torch::nn::Module& module) const override;
  bool is_ignored_key(const std::string& key) const override;
  std::vector<std::string> argument_names() const override;
  std::vector<std::string> method_names() const override {
    return {"forward", "get_text_features", "get_image_features"};
  }
  NamedTensors forward_named(const NamedArguments& arguments,
                             const ForwardOptions& options) override;
  NamedTensors call_named(const std::string& method,
                          const NamedArguments& arguments,
                          const ForwardOptions& options) override;

  /// input_ids: [T, L] or [B, Q, L], attention_mask: the same or undefined (Owlv2TextTransformer);
  /// pixel_values: [B, num_channels, image_size, image_size] (Owlv2VisionTransformer). Throws
  /// ShapeError for anything else, and with `return_loss` unless T = B.
  Owlv2Output forward(const torch::Tensor& input_ids,
                      const torch::Tensor& pixel_values,
                      const torch::Tensor& attention_mask = {},
                      const Owlv2Options& options = {});

  /// The projected pooler output, [T, projection_dim], not of length 1.
  torch::Tensor get_text_features(const torch::Tensor& input_ids,
                                  const torch::Tensor& attention_mask = {});

  /// The projected pooler output, [B, projection_dim], not of length 1. Of the options only
  /// interpolate_pos_encoding counts.
  torch::Tensor get_image_features(const torch::Tensor& pixel_values,
                                   const Owlv2Options& options = {});

  Owlv2TextTransformer text_model{nullptr};
  Owlv2VisionTransformer vision_model{nullptr};
  nn::Linear visual_projection{nullptr};
  nn::Linear text_projection{nullptr};
  torch::Tensor logit_scale;  ///< scalar; similarities are multiplied by its exponential
};
TORCH_MODULE(Owlv2Model);

/// x / |x| over the last dimension; a zero vector gives NaN, as upstream.
torch::Tensor owlv2_normalize(const torch::Tensor& embeds);

}  // namespace vizoo
