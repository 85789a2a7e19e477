#pragma once

// Options and outputs of the OWLv2 models. Source of the outputs:
// transformers/models/owlv2/modeling_owlv2.py, 4.37.2.

#include <optional>
#include <vector>

#include "vizoo/nn/model_output.h"

namespace vizoo {

/// Options of the OWLv2 models' forward and methods.
struct Owlv2Options {
  /// Default: the config's value, of the composite config in Owlv2Model and in the detector's
  /// forward. image_embedder and image_guided_detection take vision_config's and nothing else, as
  /// upstream.
  TORCH_ARG(std::optional<bool>, output_hidden_states) = std::nullopt;
  TORCH_ARG(std::optional<bool>, output_attentions) = std::nullopt;
  /// Owlv2Model: adds the contrastive loss, for which text i belongs to image i.
  TORCH_ARG(bool, return_loss) = false;
  /// Owlv2Model: image_embeds become the tokens after the final norm and text_embeds stay as they
  /// are projected. Deprecated upstream, without effect there since 4.41.
  TORCH_ARG(bool, return_base_image_embeds) = false;
  /// Images of any size of at least one patch: positions are resized bicubically, as Transformers
  /// since 4.48. Without it an image must have as many patches as the table has positions.
  TORCH_ARG(bool, interpolate_pos_encoding) = false;
};

/// Output of Owlv2Model for B images and T texts.
struct Owlv2Output {
  torch::Tensor loss;              ///< scalar, when it was asked for
  torch::Tensor logits_per_image;  ///< [B, T], cosine similarity times exp(logit_scale)
  torch::Tensor logits_per_text;   ///< [T, B]
  torch::Tensor text_embeds;       ///< [T, projection_dim], of length 1
  torch::Tensor image_embeds;      ///< [B, projection_dim], of length 1
  BaseModelOutputWithPooling text_model_output;
  BaseModelOutputWithPooling vision_model_output;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("loss", self.loss);
    visit("logits_per_image", self.logits_per_image);
    visit("logits_per_text", self.logits_per_text);
    visit("text_embeds", self.text_embeds);
    visit("image_embeds", self.image_embeds);
    visit("text_model_output", self.text_model_output);
    visit("vision_model_output", self.vision_model_output);
  }
};

/// Output of Owlv2ForObjectDetection::forward for B images of P = h w patches and Q queries each.
/// V: vision_config.hidden_size, X: text_config.hidden_size. There is no loss and no column for
/// "no object". training/ has a loss.
struct Owlv2ObjectDetectionOutput {
  torch::Tensor logits;             ///< [B, P, Q], float32 whatever the model's dtype
  torch::Tensor objectness_logits;  ///< [B, P]
  /// [B, P, 4]: centre x, centre y, width, height in [0, 1] of the padded, square image.
  torch::Tensor pred_boxes;
  torch::Tensor text_embeds;   ///< [B, Q, X], of length 1
  torch::Tensor image_embeds;  ///< [B, h, w, V], the feature map
  torch::Tensor class_embeds;  ///< [B, P, X], of length 1
  BaseModelOutputWithPooling text_model_output;
  BaseModelOutputWithPooling vision_model_output;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("logits", self.logits);
    visit("objectness_logits", self.objectness_logits);
    visit("pred_boxes", self.pred_boxes);
    visit("text_embeds", self.text_embeds);
    visit("image_embeds", self.image_embeds);
    visit("class_embeds", self.class_embeds);
    visit("text_model_output", self.text_model_output);
    visit("vision_model_output", self.vision_model_output);
  }
};

/// Output of Owlv2ForObjectDetection::image_guided_detection for B target images, one query each.
struct Owlv2ImageGuidedObjectDetectionOutput {
  /// [B, P, 1] in the model's dtype; zeros [B, P, V], float32, if no query image has a box.
  torch::Tensor logits;
  torch::Tensor image_embeds;        ///< [B, h, w, V]
  torch::Tensor query_image_embeds;  ///< [queries, h, w, V]
  torch::Tensor target_pred_boxes;   ///< [B, P, 4], as pred_boxes of Owlv2ObjectDetectionOutput
  torch::Tensor query_pred_boxes;    ///< [queries, P, 4]
  torch::Tensor class_embeds;        ///< [B, P, X], of length 1 unless no query image has a box
  BaseModelOutputWithPooling vision_model_output;  ///< of the target images

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("logits", self.logits);
    visit("image_embeds", self.image_embeds);
    visit("query_image_embeds", self.query_image_embeds);
    visit("target_pred_boxes", self.target_pred_boxes);
    visit("query_pred_boxes", self.query_pred_boxes);
    visit("class_embeds", self.class_embeds);
    visit("vision_model_output", self.vision_model_output);
  }
};

/// What Transformers returns with `return_dict=False`, whose order is not that of the fields:
/// image_embeds, query_image_embeds, target_pred_boxes, query_pred_boxes, logits, class_embeds,
/// vision_model_output.
std::vector<std::vector<torch::Tensor>> to_tuple(
    const Owlv2ImageGuidedObjectDetectionOutput& output);

/// What image_embedder returns.
struct Owlv2ImageEmbedding {
  torch::Tensor image_embeds;  ///< [B, h, w, V], the feature map
  BaseModelOutputWithPooling vision_model_output;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("image_embeds", self.image_embeds);
    visit("vision_model_output", self.vision_model_output);
  }
};

}  // namespace vizoo
