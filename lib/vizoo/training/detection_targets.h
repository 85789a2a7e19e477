#pragma once

#include <vector>

#include "vizoo/training/detection_loss.h"

namespace vizoo {

/// The targets of a batch behind one another, N boxes in all.
struct CheckedTargets {
  std::vector<int64_t> counts;  ///< boxes of each image
  torch::Tensor boxes;          ///< [N, 4]
  torch::Tensor labels;         ///< [N], int64
  torch::Tensor images;         ///< [N], int64: the image of each box
};

/// Checks the arguments of `detection_loss` by its rules and brings the targets to the device of
/// the predictions, boxes in `dtype`. Throws ShapeError and UsageError.
CheckedTargets check_targets(const torch::Tensor& logits,
                             const torch::Tensor& pred_boxes,
                             const std::vector<DetectionTarget>& targets,
                             const DetectionLossOptions& options,
                             torch::ScalarType dtype);

}  // namespace vizoo
