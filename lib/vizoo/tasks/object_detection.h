#pragma once

#include <torch/arg.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "vizoo/core/config.h"
#include "vizoo/nn/torch.h"

// OWLv2's outputs as boxes in pixels. Source: image_processing_owlv2.py and processing_owlv2.py of
// Transformers, 4.37.2; what later versions changed is an option or named where it is.
namespace vizoo {

/// Height and width of an image in pixels.
struct TargetSize {
  int64_t height = 0;
  int64_t width = 0;
};

/// What turns relative boxes into pixels.
enum class BoxScaling {
  Max,  ///< max(height, width) on both axes: boxes are relative to the padded square (4.42 and
        ///< later; 4.49 and later for image-guided detection)
  Wh,   ///< width and height, as 4.37.2: right for square images only
};

template <>
struct EnumNames<BoxScaling> {
  static constexpr std::pair<BoxScaling, const char*> table[] = {
      {BoxScaling::Max, "max"},
      {BoxScaling::Wh, "wh"},
  };
};

/// What was found in one image, on the CPU.
struct Detections {
  int64_t image = 0;     ///< its index in the batch
  torch::Tensor scores;  ///< [N]; float32 unless the outputs are float64
  torch::Tensor labels;  ///< [N], int64: which query; undefined after image-guided detection
  torch::Tensor boxes;   ///< [N, 4]: left, top, right, bottom; may reach out of the image
  /// [N], of post_process_grounded_object_detection with labels.
  std::vector<std::string> text_labels;
};

using TargetSizes = std::vector<TargetSize>;

/// Arguments of post_process_object_detection.
struct ObjectDetectionOptions {
  TORCH_ARG(double, threshold) = 0.1;  ///< in [0, 1]; scores must be above it
  /// One for each image. Without them boxes stay relative.
  TORCH_ARG(std::optional<TargetSizes>, target_sizes);
  TORCH_ARG(BoxScaling, box_scaling) = BoxScaling::Max;
};

/// Arguments of post_process_image_guided_detection.
struct ImageGuidedDetectionOptions {
  TORCH_ARG(double, threshold) = 0.0;      ///< in [0, 1], for scores before they are stretched
  TORCH_ARG(double, nms_threshold) = 0.3;  ///< in [0, 1]; 1 switches the suppression off
  TORCH_ARG(std::optional<TargetSizes>, target_sizes);  ///< 4.37.2 needs them
  TORCH_ARG(BoxScaling, box_scaling) = BoxScaling::Max;
};

/// The best query of each patch, sigmoid(max of its logits), where that is above the threshold: in
/// the order of the patches, without suppression of overlaps; objectness plays no part.
///
/// logits: [B, P, Q]; pred_boxes: [B, P, 4], centre and size in [0, 1]; half types are taken as
/// float32. Returns one for each image. Throws ShapeError for other shapes and a wrong number of
/// target sizes, UsageError for a threshold outside of [0, 1].
std::vector<Detections> post_process_object_detection(const torch::Tensor& logits,
                                                      const torch::Tensor& pred_boxes,
                                                      const ObjectDetectionOptions& options = {});

/// The same with the text of each label. `text_labels`: the texts of each image, as many lists as
/// images (else ShapeError); a label beyond its list is one of the queries " " that Owlv2Processor
/// fills up with, and gets that text (upstream fails there).
std::vector<Detections> post_process_grounded_object_detection(
    const torch::Tensor& logits,
    const torch::Tensor& pred_boxes,
    const std::vector<std::vector<std::string>>& text_labels,
    const ObjectDetectionOptions& options = {});

/// Outputs of image_guided_detection: patches in the order of falling score remove those that
/// overlap them by more than nms_threshold (IoU; ties by index), scores below the threshold become
/// 0, and the rest is stretched: clip((s - 0.1 m) / (0.9 m), 0, 1) with m = max s + 1e-6. These
/// numbers are the `scores` of the result, which has the boxes where they are above 0; so boxes
/// with less than a tenth of the best score vanish.
///
/// logits: [B, P, 1] (or any last dimension, of which the largest counts); target_pred_boxes:
/// [B, P, 4]. As upstream the result skips images all of whose scores are exactly 0: it may be
/// shorter than the batch, and Detections::image says which image is meant. Throws as
/// post_process_object_detection.
std::vector<Detections> post_process_image_guided_detection(
    const torch::Tensor& logits,
    const torch::Tensor& target_pred_boxes,
    const ImageGuidedDetectionOptions& options = {});

/// `detections` without those that a better one of the same label overlaps by more than
/// `iou_threshold` (IoU); ties by index, the order stays. Without labels all are of one class.
/// Throws UsageError for a threshold outside of [0, 1]. Not in Transformers.
Detections class_wise_nms(const Detections& detections, double iou_threshold);

}  // namespace vizoo
