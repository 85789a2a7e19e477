#pragma once

#include <vector>

#include "vizoo/nn/torch.h"

namespace vizoo {

/// What one image shows: N boxes and for each the query that it answers.
struct DetectionTarget {
  /// [N, 4], floating: centre x, centre y, width, height relative to the padded square that the
  /// image processor makes, as Owlv2ForObjectDetection's pred_boxes. N may be 0.
  torch::Tensor boxes;
  /// [N], int64 or int32: index into the Q queries of the image.
  torch::Tensor labels;
};

/// How a patch's logit x for a query answers "is it there", with p = sigmoid(x). OWLv2 has no
/// column for "no object", so there is no softmax to take.
enum class ClassLoss {
  sigmoid_focal,         ///< -a (1 - p)^g log p where it is, else -(1 - a) p^g log(1 - p)
  sigmoid_cross_entropy  ///< -log p where it is, else -log(1 - p)
};

/// What the sums over an image's patches and boxes are divided by.
enum class LossNormalization {
  batch,  ///< the boxes of the whole batch, at least 1 (DETR)
  image   ///< the image's own boxes, at least 1; then the mean over images (OWL-ViT's code)
};

/// The recipe of `detection_loss`. Defaults are those of OWL-ViT: focal loss with alpha 0.3 and
/// gamma 2, all three weights 1 (Minderer et al. 2022, https://arxiv.org/abs/2205.06230;
/// google-research/scenic, projects/owl_vit/configs). DETR has the weights 1, 5 and 2 (Carion et
/// al. 2020, https://arxiv.org/abs/2005.12872; DetrConfig of Transformers 4.37.2).
struct DetectionLossOptions {
  TORCH_ARG(ClassLoss, class_loss) = ClassLoss::sigmoid_focal;
  /// a of the focal loss, in [0, 1]: the weight of queries that are there against 1 - a.
  TORCH_ARG(double, focal_alpha) = 0.3;
  /// g of the focal loss, at least 0: how little easy answers count.
  TORCH_ARG(double, focal_gamma) = 2.0;
  /// Weights of the three terms, at least 0, in the matching cost and in the loss alike.
  TORCH_ARG(double, class_weight) = 1.0;
  TORCH_ARG(double, bbox_weight) = 1.0;
  TORCH_ARG(double, giou_weight) = 1.0;
  TORCH_ARG(LossNormalization, normalization) = LossNormalization::batch;
  /// bool [B, Q], true where a query takes part. False is for padding, and for queries that nobody
  /// looked for in that image: they have neither loss nor gradient. Undefined: all take part.
  TORCH_ARG(torch::Tensor, query_mask) = torch::Tensor();
};

/// The loss and its terms under the names of Transformers' DETR, scalars.
struct DetectionLossOutput {
  torch::Tensor loss;     ///< class_weight loss_ce + bbox_weight loss_bbox + giou_weight loss_giou
  torch::Tensor loss_ce;  ///< of all logits
  torch::Tensor loss_bbox;  ///< L1 distance of matched boxes, summed over the four numbers
  torch::Tensor loss_giou;  ///< 1 - generalised IoU of matched boxes, 0 to 2 for each
  std::vector<torch::Tensor> patches;  ///< per image int64 [N] on the CPU: the patch of each box

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("loss", self.loss);
    visit("loss_ce", self.loss_ce);
    visit("loss_bbox", self.loss_bbox);
    visit("loss_giou", self.loss_giou);
    visit("patches", self.patches);
  }
};

/// Set-matching loss of an open-vocabulary detector: each box gets the patch that makes the sum of
/// the matching costs least, no patch twice; matched patches learn the label and the box, all
/// others that nothing is there. Cost of a pair: class_weight (class loss of the label if it is
/// there - if it is not) + bbox_weight L1 - giou_weight GIoU, without gradient.
///
/// logits: [B, P, Q], pred_boxes: [B, P, 4] with widths and heights of at least 0, both floating
/// and of one device, as Owlv2ForObjectDetection returns them; targets: one for each image, on any
/// device. Computes in the wider of both dtypes and at least in float32. Matching runs on the CPU,
/// in O(N^2 P) for an image. The same arguments give the same bits. Predictions that are NaN or
/// infinite are matched last, and the loss becomes NaN or infinite where they count: it is up to
/// the training loop to look at it.
///
/// Throws ShapeError for tensors of the wrong shape, dtype or device and for more boxes than
/// patches; UsageError for options out of range, labels that are no query or a masked one, and
/// boxes that are not finite, thinner than 1e-6 or more than 0.001 outside the square.
DetectionLossOutput detection_loss(const torch::Tensor& logits,
                                   const torch::Tensor& pred_boxes,
                                   const std::vector<DetectionTarget>& targets,
                                   const DetectionLossOptions& options = {});

}  // namespace vizoo
