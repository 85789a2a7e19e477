#pragma once

// The OWLv2 detector: what words or a picture describe is found in images.
// Source: transformers/models/owlv2/modeling_owlv2.py, 4.37.2.

#include <string>
#include <vector>

#include "vizoo/models/owlv2/owlv2_model.h"

namespace vizoo {

/// Three linear layers with exact GELU between them. [..., V] -> [..., out_size].
class Owlv2BoxPredictionHeadImpl : public torch::nn::Module {
 public:
  Owlv2BoxPredictionHeadImpl(const Owlv2Config& config, int64_t out_size);
  torch::Tensor forward(const torch::Tensor& image_features) const;

  nn::Linear dense0{nullptr};
  nn::Linear dense1{nullptr};
  nn::Linear dense2{nullptr};
};
TORCH_MODULE(Owlv2BoxPredictionHead);

/// What class_predictor returns.
struct Owlv2ClassPrediction {
  torch::Tensor logits;        ///< [B, P, Q]
  torch::Tensor class_embeds;  ///< [B, P, X]
};

/// Similarity of patches and queries: (cos + shift) * (ELU(scale) + 1), shift and scale learned for
/// each patch.
class Owlv2ClassPredictionHeadImpl : public torch::nn::Module {
 public:
  explicit Owlv2ClassPredictionHeadImpl(const Owlv2Config& config);
  /// image_embeds: [B, P, V]. query_embeds: [B or 1, Q, X] or undefined: logits are then zeros
  /// [B, P, V] in float32 and class_embeds not of length 1. query_mask: bool [B, Q], false for
  /// padding, whose logits become -1e6 and all of them float32; or undefined.
  Owlv2ClassPrediction forward(const torch::Tensor& image_embeds,
                               const torch::Tensor& query_embeds,
                               const torch::Tensor& query_mask) const;

  nn::Linear dense0{nullptr};
  nn::Linear logit_shift{nullptr};
  nn::Linear logit_scale{nullptr};
};
TORCH_MODULE(Owlv2ClassPredictionHead);

/// What embed_image_query returns for B query images.
struct Owlv2ImageQuery {
  /// [B', 1, X]: of each image with a box the class embedding of its most atypical good box, not
  /// of length 1; undefined if there is none.
  torch::Tensor query_embeds;
  torch::Tensor box_indices;  ///< [B', 1], int64: which patch that is; undefined if there is none
  torch::Tensor pred_boxes;   ///< [B, P, 4]
};

/// The detector. Training: call forward in train() mode and hand logits, pred_boxes and
/// objectness_logits to a loss (training/); the objectness head sees detached features.
class Owlv2ForObjectDetectionImpl
    : public PretrainedModel<Owlv2ForObjectDetectionImpl, Owlv2Config, PretrainedModelImpl> {
 public:
  static constexpr const char* kClassName = "Owlv2ForObjectDetection";
  static constexpr const char* kBaseModelPrefix = "owlv2";
  explicit Owlv2ForObjectDetectionImpl(Owlv2Config model_config = {});

  void initialize_module(torch::nn::Module& module) const override;
  bool is_ignored_key(const std::string& key) const override;
  std::vector<std::string> argument_names() const override;
  std::vector<std::string> method_names() const override {
    return {"forward", "image_guided_detection", "image_embedder"};
  }
  NamedTensors forward_named(const NamedArguments& arguments,
                             const ForwardOptions& options) override;
  NamedTensors call_named(const std::string& method,
                          const NamedArguments& arguments,
                          const ForwardOptions& options) override;

  /// Finds Q texts in each of B images. input_ids: [B Q, L] or [B, Q, L], the queries of one image
  /// after those of another; rows that begin with id 0 are padding. attention_mask: the same shape
  /// or undefined. pixel_values: [B, num_channels, image_size, image_size]. Throws ShapeError for
  /// anything else, and unless projection_dim is text_config.hidden_size.
  Owlv2ObjectDetectionOutput forward(const torch::Tensor& input_ids,
                                     const torch::Tensor& pixel_values,
                                     const torch::Tensor& attention_mask = {},
                                     const Owlv2Options& options = {});

  /// Finds in each target image what stands out in its query image. pixel_values,
  /// query_pixel_values: as many of one as of the other, or one of either; [B, num_channels, H, W].
  /// A query image none of whose boxes passes the rule of embed_image_query is left out; if some
  /// are, those that remain must still be one, or as many as the target images: ShapeError. When it
  /// is traced such an image stays, and its logits are NaN.
  Owlv2ImageGuidedObjectDetectionOutput image_guided_detection(
      const torch::Tensor& pixel_values,
      const torch::Tensor& query_pixel_values,
      const Owlv2Options& options = {});

  /// The feature map: layer_norm(patch * class token), both after post_layernorm. pixel_values: [B,
  /// num_channels, H, W]. Hidden states and attentions by vision_config alone.
  Owlv2ImageEmbedding image_embedder(const torch::Tensor& pixel_values,
                                     const Owlv2Options& options = {});

  /// The same from a vision tower's output for `pixel_values`: [B, h, w, V].
  torch::Tensor feature_map(const BaseModelOutputWithPooling& vision_output,
                            const torch::Tensor& pixel_values,
                            bool interpolate_pos_encoding = false) const;

  /// Class logits of image features [B, P, V]; arguments as Owlv2ClassPredictionHead.
  Owlv2ClassPrediction class_predictor(const torch::Tensor& image_feats,
                                       const torch::Tensor& query_embeds = {},
                                       const torch::Tensor& query_mask = {}) const;

  /// Boxes [B, P, 4], centre and size in [0, 1], of a feature map [B, h, w, V] as image features
  /// [B, P, V].
  torch::Tensor box_predictor(const torch::Tensor& image_feats,
                              const torch::Tensor& feature_map) const;

  /// Objectness logits [B, P] of image features [B, P, V], which get no gradient from here.
  torch::Tensor objectness_predictor(const torch::Tensor& image_feats) const;

  /// What to look for: among the boxes of an image with at least 0.8 of the best overlap (IoU, or
  /// generalized IoU if all of it is 0) with the whole image, the one whose class embedding is
  /// least like the mean of all. query_image_features: [B, P, V]; query_feature_map: [B, h, w, V].
  Owlv2ImageQuery embed_image_query(const torch::Tensor& query_image_features,
                                    const torch::Tensor& query_feature_map) const;

  Owlv2Model owlv2{nullptr};
  Owlv2ClassPredictionHead class_head{nullptr};
  Owlv2BoxPredictionHead box_head{nullptr};
  Owlv2BoxPredictionHead objectness_head{nullptr};
  nn::LayerNorm layer_norm{nullptr};
};
TORCH_MODULE(Owlv2ForObjectDetection);

/// What is added to box logits so that a fresh head predicts each patch's own place: the logits of
/// its bottom right corner and of its size. feature_map: [B, h, w, V]; returns [h w, 4], float32,
/// row by row.
torch::Tensor owlv2_box_bias(const torch::Tensor& feature_map);

}  // namespace vizoo
