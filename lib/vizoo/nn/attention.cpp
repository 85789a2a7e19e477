#include "vizoo/nn/attention.h"

#include <cmath>
#include <limits>
#include <optional>

namespace vizoo::nn {

torch::Tensor attend(const torch::Tensor& query,
                     const torch::Tensor& key,
                     const torch::Tensor& value,
                     const AttentionOptions& options,
                     torch::Tensor* probabilities) {
  const auto& bias = options.bias();
  const bool drops = options.training() && options.dropout() > 0.0;
  if (probabilities == nullptr && !drops && !options.head_mask().defined()) {
    return at::scaled_dot_product_attention(
        query, key, value, bias.defined() ? std::optional(bias) : std::nullopt);
  }
  const auto channels = static_cast<double>(query.size(-1));
  const auto keys = key.transpose(-1, -2);
  auto scores = options.scale_query() ? at::matmul(query * std::pow(channels, -0.5), keys)
                                      : at::matmul(query, keys) / std::sqrt(channels);
  if (bias.defined()) scores = scores + bias;
  const auto softmax = scores.softmax(-1);
  auto map = at::dropout(softmax, options.dropout(), options.training());
  if (options.head_mask().defined()) map = map * options.head_mask();
  if (probabilities != nullptr) *probabilities = options.map_before_dropout() ? softmax : map;
  return at::matmul(map, value);
}

double lowest(at::ScalarType dtype) {
  switch (dtype) {
    case torch::kFloat64:
      return std::numeric_limits<double>::lowest();
    case torch::kFloat16:
      return std::numeric_limits<c10::Half>::lowest();
    case torch::kBFloat16:
      return std::numeric_limits<c10::BFloat16>::lowest();
    default:
      return std::numeric_limits<float>::lowest();
  }
}

torch::Tensor split_heads(const torch::Tensor& input, int64_t heads) {
  return input.unflatten(-1, {heads, -1}).transpose(1, 2);
}

torch::Tensor merge_heads(const torch::Tensor& input) { return input.transpose(1, 2).flatten(-2); }

}  // namespace vizoo::nn
