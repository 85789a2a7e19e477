#include "vizoo/nn/attention.h"

#include <cmath>
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

torch::Tensor split_heads(const torch::Tensor& input, int64_t heads) {
  return input.unflatten(-1, {heads, -1}).transpose(1, 2);
}

torch::Tensor merge_heads(const torch::Tensor& input) { return input.transpose(1, 2).flatten(-2); }

}  // namespace vizoo::nn
