#include "vizoo/nn/loss.h"

#include <sstream>

#include "vizoo/core/error.h"

namespace vizoo {
namespace {

std::string describe(const torch::Tensor& tensor) {
  std::ostringstream text;
  text << tensor.scalar_type() << " " << tensor.sizes();
  return text.str();
}

void expect_shape(bool fits, const std::string& expected, const torch::Tensor& labels) {
  if (!fits) throw ShapeError("loss", "labels", expected, describe(labels));
}

bool is_integer(const torch::Tensor& labels) {
  return labels.scalar_type() == torch::kInt64 || labels.scalar_type() == torch::kInt32;
}

ProblemType infer(int64_t num_labels, const torch::Tensor& labels) {
  if (num_labels == 1) return ProblemType::regression;
  return is_integer(labels) ? ProblemType::single_label_classification
                            : ProblemType::multi_label_classification;
}

}  // namespace

torch::Tensor image_classification_loss(PretrainedConfig& config,
                                        const torch::Tensor& logits,
                                        const torch::Tensor& labels) {
  const auto num_labels = config.num_labels();
  if (!config.problem_type) config.problem_type = infer(num_labels, labels);

  const auto batch = std::to_string(logits.size(0));
  const auto matrix = "[" + batch + ", " + std::to_string(num_labels) + "]";
  switch (*config.problem_type) {
    case ProblemType::regression:
      if (num_labels == 1) {
        expect_shape(
            labels.numel() == logits.numel(), "one value for each image, [" + batch + "]", labels);
        return at::mse_loss(logits.squeeze(), labels.squeeze());
      }
      expect_shape(labels.sizes() == logits.sizes(), "values of shape " + matrix, labels);
      return at::mse_loss(logits, labels);
    case ProblemType::single_label_classification: {
      expect_shape(is_integer(labels) && labels.numel() == logits.size(0),
                   "class indices, int64 [" + batch + "]",
                   labels);
      const auto index = labels.reshape(-1).to(torch::kInt64);
      const auto ignored = index.eq(-100);
      expect_shape(
          (index.ge(0).logical_and(index.lt(num_labels)).logical_or(ignored)).all().item<bool>(),
          "class indices from 0 to " + std::to_string(num_labels - 1) + " or -100",
          labels);
      return at::cross_entropy_loss(logits, index);
    }
    case ProblemType::multi_label_classification:
      expect_shape(labels.is_floating_point() && labels.sizes() == logits.sizes(),
                   "floating-point values of shape " + matrix,
                   labels);
      return at::binary_cross_entropy_with_logits(logits, labels);
  }
  throw ConfigError("config", "/problem_type", enum_choices<ProblemType>(), "an unknown value");
}

}  // namespace vizoo
