#include "vizoo/nn/attention.h"

#include <cmath>
#include <optional>

namespace vizoo::nn {

torch::Tensor attend(const torch::Tensor& query,
                     const torch::Tensor& key,
                     const torch::Tensor& value,
                     const AttentionOptions& options,
                     torch::Tensor* probabilities) {
  const bool drops = options.training() && options.dropout() > 0.0;
  if (probabilities == nullptr && !drops && !options.head_mask().defined()) {
    const auto& bias = options.bias();
    return at::scaled_dot_product_attention(
        query, key, value, bias.defined() ? std::optional(bias) : std::nullopt);
  }
  auto scores = at::matmul(query, key.transpose(-1, -2));
  scores = scores / std::sqrt(static_cast<double>(query.size(-1)));
  if (options.bias().defined()) scores = scores + options.bias();
  auto map = at::dropout(scores.softmax(-1), options.dropout(), options.training());
  if (options.head_mask().defined()) map = map * options.head_mask();
  if (probabilities != nullptr) *probabilities = map;
  return at::matmul(map, value);
}

torch::Tensor split_heads(const torch::Tensor& input, int64_t heads) {
  return input.unflatten(-1, {heads, -1}).transpose(1, 2);
}

torch::Tensor merge_heads(const torch::Tensor& input) { return input.transpose(1, 2).flatten(-2); }

}  // namespace vizoo::nn
