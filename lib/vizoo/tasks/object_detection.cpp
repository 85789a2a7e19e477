// https://github.com/huggingface/transformers/blob/v4.37.2/src/transformers/models/owlv2/image_processing_owlv2.py
#include "vizoo/tasks/object_detection.h"

#include <algorithm>
#include <cstddef>
#include <sstream>

#include "vizoo/core/error.h"
#include "vizoo/nn/box_ops.h"
#include "vizoo/nn/describe.h"

namespace vizoo {
namespace {

void check_unit_range(double value, const char* name) {
  if (value >= 0 && value <= 1) return;
  std::ostringstream got;
  got << value;
  throw UsageError("task", name, "a number from 0 to 1", got.str());
}

// On the CPU, half types widened.
torch::Tensor as_full_precision(const torch::Tensor& tensor) {
  const auto data = tensor.detach().to(torch::kCPU);
  return data.scalar_type() == torch::kFloat64 ? data : data.to(torch::kFloat32);
}

// Scores [B, P] of the best query, its index [B, P] and corners [B, P, 4].
struct Candidates {
  torch::Tensor scores;
  torch::Tensor labels;
  torch::Tensor corners;
};

Candidates candidates(const torch::Tensor& logits, const torch::Tensor& boxes) {
  if (!logits.defined() || logits.dim() != 3 || logits.size(2) < 1 || !logits.is_floating_point()) {
    throw ShapeError("task", "logits", "[B, P, Q], floating", nn::describe(logits));
  }
  if (!boxes.defined() || boxes.dim() != 3 || boxes.size(0) != logits.size(0) ||
      boxes.size(1) != logits.size(1) || boxes.size(2) != 4) {
    std::ostringstream expected;
    expected << "[" << logits.size(0) << ", " << logits.size(1) << ", 4], as many as logits";
    throw ShapeError("task", "boxes", expected.str(), nn::describe(boxes));
  }
  const auto [best, labels] = as_full_precision(logits).max(-1);
  return {best.sigmoid(), labels, nn::center_to_corners(as_full_precision(boxes))};
}

// corners: [B, P, 4].
torch::Tensor scale_boxes(const torch::Tensor& corners,
                          const std::optional<TargetSizes>& sizes,
                          BoxScaling scaling) {
  if (!sizes) return corners;
  if (static_cast<int64_t>(sizes->size()) != corners.size(0)) {
    throw ShapeError("task",
                     "target_sizes",
                     "one for each of the " + std::to_string(corners.size(0)) + " images",
                     std::to_string(sizes->size()));
  }
  auto factors = torch::empty({corners.size(0), 1, 4}, corners.options());
  for (int64_t i = 0; i < corners.size(0); ++i) {
    const auto& size = (*sizes)[static_cast<std::size_t>(i)];
    const bool both = scaling == BoxScaling::Max;
    const auto height = static_cast<double>(both ? std::max(size.height, size.width) : size.height);
    const auto width = static_cast<double>(both ? std::max(size.height, size.width) : size.width);
    factors[i][0].copy_(torch::tensor({width, height, width, height}, torch::kFloat64));
  }
  return corners * factors;
}

// Boxes of one image in the order of falling score set the scores of those that they overlap to 0.
// Across classes only if `labels` is null.
template <class T>
void suppress(const T* boxes,
              const int64_t* labels,
              const int64_t* order,
              int64_t count,
              T iou_threshold,
              T* scores) {
  std::vector<T> areas;
  for (int64_t i = 0; i < count; ++i) {
    const T* box = boxes + 4 * i;
    areas.push_back((box[2] - box[0]) * (box[3] - box[1]));
  }
  for (int64_t k = 0; k < count; ++k) {
    const int64_t i = order[k];
    if (scores[i] == 0) continue;
    const T* a = boxes + 4 * i;
    for (int64_t j = 0; j < count; ++j) {
      if (j == i || (labels != nullptr && labels[j] != labels[i])) continue;
      const T* b = boxes + 4 * j;
      const T width = std::max(std::min(a[2], b[2]) - std::max(a[0], b[0]), T{0});
      const T height = std::max(std::min(a[3], b[3]) - std::max(a[1], b[1]), T{0});
      const T common = width * height;
      // NaN, of two boxes without area, is above nothing.
      if (common / (areas[i] + areas[j] - common) > iou_threshold) scores[j] = 0;
    }
  }
}

// scores: [P], contiguous, changed in place; corners: [P, 4]; labels: [P] or undefined.
void suppress_overlaps(torch::Tensor scores,
                       const torch::Tensor& corners,
                       const torch::Tensor& labels,
                       double iou_threshold) {
  const auto order = at::argsort(scores.neg(), /*stable=*/true, /*dim=*/0);
  const auto boxes = corners.contiguous();
  const auto classes = labels.defined() ? labels.contiguous() : labels;
  AT_DISPATCH_FLOATING_TYPES(scores.scalar_type(), "suppress_overlaps", [&] {
    suppress<scalar_t>(boxes.const_data_ptr<scalar_t>(),
                       classes.defined() ? classes.const_data_ptr<int64_t>() : nullptr,
                       order.const_data_ptr<int64_t>(),
                       scores.numel(),
                       static_cast<scalar_t>(iou_threshold),
                       scores.mutable_data_ptr<scalar_t>());
  });
}

}  // namespace

std::vector<Detections> post_process_object_detection(const torch::Tensor& logits,
                                                      const torch::Tensor& pred_boxes,
                                                      const ObjectDetectionOptions& options) {
  check_unit_range(options.threshold(), "threshold");
  const auto found = candidates(logits, pred_boxes);
  const auto boxes = scale_boxes(found.corners, options.target_sizes(), options.box_scaling());
  std::vector<Detections> results;
  for (int64_t i = 0; i < boxes.size(0); ++i) {
    const auto kept = found.scores[i].gt(options.threshold()).nonzero().squeeze(1);
    Detections detections;
    detections.image = i;
    detections.scores = found.scores[i].index_select(0, kept);
    detections.labels = found.labels[i].index_select(0, kept);
    detections.boxes = boxes[i].index_select(0, kept);
    results.push_back(std::move(detections));
  }
  return results;
}

std::vector<Detections> post_process_grounded_object_detection(
    const torch::Tensor& logits,
    const torch::Tensor& pred_boxes,
    const std::vector<std::vector<std::string>>& text_labels,
    const ObjectDetectionOptions& options) {
  auto results = post_process_object_detection(logits, pred_boxes, options);
  if (text_labels.size() != results.size()) {
    throw ShapeError("task",
                     "text_labels",
                     "one list for each of the " + std::to_string(results.size()) + " images",
                     std::to_string(text_labels.size()));
  }
  for (std::size_t i = 0; i < results.size(); ++i) {
    const auto labels = results[i].labels.accessor<int64_t, 1>();
    for (int64_t k = 0; k < labels.size(0); ++k) {
      const auto label = static_cast<std::size_t>(labels[k]);
      results[i].text_labels.push_back(label < text_labels[i].size() ? text_labels[i][label] : " ");
    }
  }
  return results;
}

std::vector<Detections> post_process_image_guided_detection(
    const torch::Tensor& logits,
    const torch::Tensor& target_pred_boxes,
    const ImageGuidedDetectionOptions& options) {
  check_unit_range(options.threshold(), "threshold");
  check_unit_range(options.nms_threshold(), "nms_threshold");
  const auto found = candidates(logits, target_pred_boxes);
  const auto boxes = scale_boxes(found.corners, options.target_sizes(), options.box_scaling());
  std::vector<Detections> results;
  for (int64_t i = 0; i < boxes.size(0); ++i) {
    auto scores = found.scores[i].clone();
    if (options.nms_threshold() < 1) {
      suppress_overlaps(scores, found.corners[i], {}, options.nms_threshold());
    }
    if (scores.eq(0).all().item<bool>()) continue;
    scores.masked_fill_(scores.lt(options.threshold()), 0);
    const auto largest = scores.max() + 1e-6;
    const auto alphas = ((scores - largest * 0.1) / (largest * 0.9)).clip(0, 1);
    const auto kept = alphas.gt(0).nonzero().squeeze(1);
    Detections detections;
    detections.image = i;
    detections.scores = alphas.index_select(0, kept);
    detections.boxes = boxes[i].index_select(0, kept);
    results.push_back(std::move(detections));
  }
  return results;
}

Detections class_wise_nms(const Detections& detections, double iou_threshold) {
  check_unit_range(iou_threshold, "iou_threshold");
  auto scores = detections.scores.clone();
  suppress_overlaps(scores, detections.boxes, detections.labels, iou_threshold);
  const auto kept = scores.gt(0).nonzero().squeeze(1);
  Detections result;
  result.image = detections.image;
  result.scores = detections.scores.index_select(0, kept);
  result.boxes = detections.boxes.index_select(0, kept);
  if (detections.labels.defined()) result.labels = detections.labels.index_select(0, kept);
  if (!detections.text_labels.empty()) {
    const auto indices = kept.accessor<int64_t, 1>();
    for (int64_t k = 0; k < indices.size(0); ++k) {
      result.text_labels.push_back(detections.text_labels[static_cast<std::size_t>(indices[k])]);
    }
  }
  return result;
}

}  // namespace vizoo
