#pragma once

#include "vizoo/nn/torch.h"

namespace vizoo {

/// The label that counts for nothing, as in torch.nn.functional.cross_entropy.
constexpr int64_t kIgnoredLabel = -100;

/// Whether labels are indices (int64 or int32) and not values.
bool is_index(const torch::Tensor& labels);

/// Throws ShapeError unless `logits` is a floating-point tensor of `dimensions` axes, the last one
/// the classes, at least one.
void check_class_logits(const torch::Tensor& logits, int64_t dimensions, const char* where);

/// The labels as int64 on the device of the logits. Throws ShapeError unless they are int64 or
/// int32, one for each row of classes.
torch::Tensor class_indices(const torch::Tensor& labels,
                            const torch::Tensor& logits,
                            const char* where);

/// How many labels, int64 of any shape, are not -100. Throws UsageError for one that is neither
/// that nor from 0 to classes - 1.
int64_t count_labels(const torch::Tensor& labels, int64_t classes, const char* where);

}  // namespace vizoo
