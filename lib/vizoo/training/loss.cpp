#include "vizoo/training/loss.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <sstream>

#include "vizoo/core/error.h"
#include "vizoo/training/flow_pair.h"
#include "vizoo/training/label_checks.h"

namespace vizoo {
namespace {

constexpr const char* kLossWhere = "loss";

bool is_half(const torch::Tensor& tensor) {
  return tensor.scalar_type() == torch::kHalf || tensor.scalar_type() == torch::kBFloat16;
}

torch::Tensor at_least_float32(const torch::Tensor& logits) {
  return is_half(logits) ? logits.to(torch::kFloat32) : logits;
}

void expect_number(bool fits, const char* subject, const char* expected, double got) {
  if (fits) return;
  std::ostringstream text;
  text << got;
  throw UsageError(kLossWhere, subject, expected, text.str());
}

void check_smoothing(double label_smoothing) {
  expect_number(
      label_smoothing >= 0 && label_smoothing <= 1, "label_smoothing", "0 to 1", label_smoothing);
}

// logits: [N, C], labels: int64 [N]
WeightedLoss cross_entropy_of_indices(const torch::Tensor& logits,
                                      const torch::Tensor& labels,
                                      double label_smoothing) {
  const auto counted = count_labels(labels, logits.size(1), kLossWhere);
  return {
      at::cross_entropy_loss(
          at_least_float32(logits), labels, {}, at::Reduction::Sum, kIgnoredLabel, label_smoothing),
      static_cast<double>(counted)};
}

// Both of the same shape and floating.
void check_distributions(const torch::Tensor& logits, const torch::Tensor& labels) {
  if (labels.is_floating_point() && labels.sizes() == logits.sizes()) return;
  throw ShapeError(kLossWhere,
                   "labels",
                   "class indices, int64 [B], or floating-point values of the shape of the logits",
                   describe_tensor(labels));
}

}  // namespace

WeightedLoss softmax_cross_entropy(const torch::Tensor& logits,
                                   const torch::Tensor& labels,
                                   double label_smoothing) {
  check_class_logits(logits, 2, kLossWhere);
  check_smoothing(label_smoothing);
  if (is_index(labels)) {
    return cross_entropy_of_indices(
        logits, class_indices(labels, logits, kLossWhere), label_smoothing);
  }
  check_distributions(logits, labels);
  const auto wide = at_least_float32(logits);
  const auto sum = at::cross_entropy_loss(
      wide, labels.to(wide.options()), {}, at::Reduction::Sum, kIgnoredLabel, label_smoothing);
  return {sum, static_cast<double>(logits.size(0))};
}

WeightedLoss sigmoid_cross_entropy(const torch::Tensor& logits,
                                   const torch::Tensor& labels,
                                   double label_smoothing) {
  check_class_logits(logits, 2, kLossWhere);
  check_smoothing(label_smoothing);
  const auto wide = at_least_float32(logits);
  const auto classes = logits.size(1);
  torch::Tensor targets;
  if (is_index(labels)) {
    const auto indices = class_indices(labels, logits, kLossWhere);
    if (count_labels(indices, classes, kLossWhere) != logits.size(0)) {
      throw UsageError(kLossWhere, "labels", "a class for each sample", "-100");
    }
    targets = at::zeros_like(wide).scatter_(1, indices.unsqueeze(1), 1.0);
    targets = targets * (1 - label_smoothing) + label_smoothing / static_cast<double>(classes);
  } else {
    check_distributions(logits, labels);
    targets = labels.to(wide.options());
  }
  const auto sum = at::binary_cross_entropy_with_logits(wide, targets, {}, {}, at::Reduction::Sum);
  return {sum / static_cast<double>(std::max<int64_t>(classes, 1)),
          static_cast<double>(logits.size(0))};
}

WeightedLoss distillation_loss(const WeightedLoss& base,
                               const torch::Tensor& student_logits,
                               const torch::Tensor& teacher_logits,
                               const DistillationOptions& options) {
  check_class_logits(student_logits, 2, kLossWhere);
  if (!teacher_logits.defined() || !teacher_logits.is_floating_point() ||
      teacher_logits.sizes() != student_logits.sizes()) {
    throw ShapeError(kLossWhere,
                     "teacher_logits",
                     "the shape of the student's, " + describe_tensor(student_logits),
                     teacher_logits.defined() ? describe_tensor(teacher_logits) : "none");
  }
  const auto batch = static_cast<double>(student_logits.size(0));
  const auto share = options.weight();
  const auto temperature = options.temperature();
  expect_number(share >= 0 && share <= 1, "weight", "0 to 1", share);
  expect_number(temperature > 0 && std::isfinite(temperature),
                "temperature",
                "a number above 0",
                temperature);
  expect_number(base.weight == batch, "base", "a weight of one for each sample", base.weight);

  const auto student = at_least_float32(student_logits);
  const auto teacher = teacher_logits.detach().to(student.options());
  torch::Tensor sum;
  if (options.type() == Distillation::hard) {
    sum = at::cross_entropy_loss(student, teacher.argmax(1), {}, at::Reduction::Sum);
  } else {
    sum = at::kl_div((student / temperature).log_softmax(1),
                     (teacher / temperature).log_softmax(1),
                     at::Reduction::Sum,
                     /*log_target=*/true) *
          (temperature * temperature);
  }
  return {base.sum * (1 - share) + sum * share, batch};
}

WeightedLoss end_point_error(const torch::Tensor& flow,
                             const torch::Tensor& target,
                             const torch::Tensor& valid) {
  const auto distance = valid_flow(flow, target, valid, kLossWhere).distance();
  return {distance.sum(), static_cast<double>(distance.numel())};
}

WeightedLoss masked_language_modeling_loss(const torch::Tensor& logits,
                                           const torch::Tensor& labels) {
  check_class_logits(logits, 3, kLossWhere);
  const auto indices = class_indices(labels, logits, kLossWhere);
  // [B, T, V] -> [B T, V], [B, T] -> [B T]
  return cross_entropy_of_indices(logits.flatten(0, 1), indices.flatten(), 0.0);
}

WeightedLoss weighted_detection_loss(const torch::Tensor& logits,
                                     const torch::Tensor& pred_boxes,
                                     const std::vector<DetectionTarget>& targets,
                                     const DetectionLossOptions& options) {
  const auto loss = detection_loss(logits, pred_boxes, targets, options).loss;
  if (options.normalization() == LossNormalization::image) {
    const auto images = static_cast<double>(targets.size());
    return {loss * images, images};
  }
  int64_t boxes = 0;
  for (const auto& target : targets) boxes += target.boxes.size(0);
  // detection_loss divides by 1 where there is no box.
  return {loss * static_cast<double>(std::max<int64_t>(boxes, 1)), static_cast<double>(boxes)};
}

}  // namespace vizoo
