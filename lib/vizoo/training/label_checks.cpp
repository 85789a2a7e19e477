#include "vizoo/training/label_checks.h"

#include <string>

#include "vizoo/core/error.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {

bool is_index(const torch::Tensor& labels) {
  return labels.defined() &&
         (labels.scalar_type() == torch::kInt64 || labels.scalar_type() == torch::kInt32);
}

void check_class_logits(const torch::Tensor& logits, int64_t dimensions, const char* where) {
  if (logits.defined() && logits.is_floating_point() && logits.dim() == dimensions &&
      logits.size(-1) > 0) {
    return;
  }
  throw ShapeError(where,
                   "logits",
                   dimensions == 2 ? "floating-point values of shape [B, C]"
                                   : "floating-point values of shape [B, T, V]",
                   logits.defined() ? describe_tensor(logits) : "none");
}

torch::Tensor class_indices(const torch::Tensor& labels,
                            const torch::Tensor& logits,
                            const char* where) {
  const auto expected = logits.sizes().slice(0, logits.dim() - 1);
  if (!is_index(labels) || labels.sizes() != expected) {
    std::string shape;
    for (const auto size : expected) shape += (shape.empty() ? "" : ", ") + std::to_string(size);
    throw ShapeError(where,
                     "labels",
                     "class indices, int64 [" + shape + "]",
                     labels.defined() ? describe_tensor(labels) : "none");
  }
  return labels.to(logits.device(), torch::kInt64);
}

int64_t count_labels(const torch::Tensor& labels, int64_t classes, const char* where) {
  if (labels.numel() == 0) return 0;
  const auto ignored = labels.eq(kIgnoredLabel);
  const auto wrong = labels.lt(0).logical_or(labels.ge(classes)).logical_and(ignored.logical_not());
  // One transfer from the device for both answers.
  const auto counts = at::stack({ignored.sum(), wrong.sum()}).cpu();
  if (counts[1].item<int64_t>() > 0) {
    const auto first = labels.masked_select(wrong)[0].item<int64_t>();
    throw UsageError(where,
                     "labels",
                     "class indices from 0 to " + std::to_string(classes - 1) + " or -100",
                     std::to_string(first));
  }
  return labels.numel() - counts[0].item<int64_t>();
}

}  // namespace vizoo
