#pragma once

#include <torch/arg.h>

#include <string>
#include <utility>
#include <vector>

#include "vizoo/core/config.h"
#include "vizoo/training/batch.h"

// Losses as sums and what they are to be divided by: the loss of a step is the sum of all its parts
// (of accumulation, of processes) over max(1, sum of their weights), so that neither the number of
// parts nor their sizes change it. All compute in float32 for logits of half types, and in the type
// of the logits otherwise. A loss without anything to learn from has the sum 0, which still has a
// gradient (zeros), and the weight 0.
namespace vizoo {

/// Cross entropy of softmax(logits) with the labels: sum of -sum_c q_c log p_c, where
/// q = (1 - label_smoothing) label + label_smoothing / C (Szegedy et al. 2015,
/// https://arxiv.org/abs/1512.00567, section 7; torch.nn.functional.cross_entropy).
///
/// logits: [B, C], floating. labels: class indices, int64 or int32 [B], where -100 counts for
/// nothing, or distributions over the classes, floating [B, C] (mixup, CutMix). label_smoothing: in
/// [0, 1]. Weight: labels that are not -100.
///
/// Throws ShapeError for shapes and dtypes that do not fit, UsageError for indices that are neither
/// a class nor -100 and for smoothing out of range.
WeightedLoss softmax_cross_entropy(const torch::Tensor& logits,
                                   const torch::Tensor& labels,
                                   double label_smoothing = 0.0);

/// Binary cross entropy of sigmoid(logits) with the labels, each class on its own: sum over samples
/// of the mean over classes of -(q log p + (1 - q) log(1 - p)), where for indices
/// q = (1 - label_smoothing) label + label_smoothing / C (Wightman et al. 2021,
/// https://arxiv.org/abs/2110.00476, section 3.1; the mean over classes is that of timm's
/// BinaryCrossEntropy and of Transformers' multi_label_classification).
///
/// logits: [B, C], floating. labels: indices, int64 or int32 [B], or values in [0, 1], floating
/// [B, C], which smoothing leaves alone. Weight: B. Throws as softmax_cross_entropy; there is no
/// -100.
WeightedLoss sigmoid_cross_entropy(const torch::Tensor& logits,
                                   const torch::Tensor& labels,
                                   double label_smoothing = 0.0);

/// What a student learns from its teacher.
enum class Distillation {
  hard,  ///< the teacher's decision, as a label
  soft   ///< the teacher's distribution at a temperature
};

template <>
struct EnumNames<Distillation> {
  static constexpr std::pair<Distillation, const char*> table[] = {
      {Distillation::hard, "hard"},
      {Distillation::soft, "soft"},
  };
};

/// Arguments of `distillation_loss`. Defaults: hard-label distillation of DeiT, the recipe that
/// LeViT was trained with (Graham et al. 2021, https://arxiv.org/abs/2104.01136, section 4.2). The
/// same paper's soft distillation has weight 0.1 and temperature 3.
struct DistillationOptions {
  TORCH_ARG(Distillation, type) = Distillation::hard;
  /// Share of what the teacher says, in [0, 1]: lambda of soft, 1/2 of hard distillation.
  TORCH_ARG(double, weight) = 0.5;
  /// tau of soft distillation, above 0.
  TORCH_ARG(double, temperature) = 3.0;
};

/// (1 - weight) base + weight distillation, where the latter is, with student logits s and teacher
/// logits t of [B, C]:
///
/// | type | sum over the batch of | DeiT |
/// |---|---|---|
/// | hard | cross entropy of softmax(s) with argmax t | eq. 3 |
/// | soft | temperature^2 KL(softmax(t / temperature) to softmax(s / temperature)) | eq. 2 |
///
/// base: the loss with the true labels, of B samples: for a model with one head that of the same
/// logits, for LeViT that of `cls_logits`, with `distillation_logits` as the student's. The teacher
/// gets no gradient. Weight: B.
///
/// Throws ShapeError for shapes that do not fit, UsageError for options out of range and a base of
/// another weight than B. Source: Touvron et al. 2021, https://arxiv.org/abs/2012.12877; the KL
/// term is divided by the batch as in the paper, not by the number of logits as in DeiT's code.
WeightedLoss distillation_loss(const WeightedLoss& base,
                               const torch::Tensor& student_logits,
                               const torch::Tensor& teacher_logits,
                               const DistillationOptions& options = {});

/// Sum over pixels of the Euclidean distance between two flows (Barron et al. 1994; the supervised
/// loss of Perceiver IO, https://arxiv.org/abs/2107.14795, section H). At distance 0 the gradient
/// is 0.
///
/// flow, target: [B, 2, H, W] or [B, H, W, 2] (Transformers' layout of PerceiverForOpticalFlow's
/// logits), each on its own; floating. valid: bool [B, H, W], true where the target counts;
/// undefined: everywhere. What the target holds elsewhere, NaN included, has no effect. Weight:
/// pixels that count.
///
/// Throws ShapeError for other shapes and for those where either axis could be that of the two
/// components.
WeightedLoss end_point_error(const torch::Tensor& flow,
                             const torch::Tensor& target,
                             const torch::Tensor& valid = {});

/// Cross entropy of the masked tokens. logits: [B, T, V], floating; labels: int64 or int32 [B, T],
/// -100 where nothing is to be predicted. Weight: tokens to be predicted, 0 if there are none.
/// Throws as softmax_cross_entropy. The mean is the loss of Transformers' PerceiverForMaskedLM.
WeightedLoss masked_language_modeling_loss(const torch::Tensor& logits,
                                           const torch::Tensor& labels);

/// `detection_loss` as a sum. Weight: the boxes of the batch, which may be 0, with
/// LossNormalization::batch, so that parts without a box do not count as one; else the images.
/// Throws as detection_loss.
WeightedLoss weighted_detection_loss(const torch::Tensor& logits,
                                     const torch::Tensor& pred_boxes,
                                     const std::vector<DetectionTarget>& targets,
                                     const DetectionLossOptions& options = {});

}  // namespace vizoo
