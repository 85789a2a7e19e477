#pragma once

#include "vizoo/nn/torch.h"

namespace vizoo::nn {

/// What `attend` takes beside query, key and value.
struct AttentionOptions {
  /// Probability that an attention probability is dropped.
  TORCH_ARG(double, dropout) = 0.0;
  TORCH_ARG(bool, training) = false;
  /// Added to the scores before the softmax. At least two dimensions; broadcasts to [B, heads, N,
  /// M].
  TORCH_ARG(torch::Tensor, bias) = torch::Tensor();
  /// Multiplies the probabilities after dropout; broadcasts to [B, heads, N, M].
  TORCH_ARG(torch::Tensor, head_mask) = torch::Tensor();
  /// Whether the steps one by one scale the query before the product, as CLIP does, and not the
  /// scores. The result differs in rounding only.
  TORCH_ARG(bool, scale_query) = false;
  /// Whether `probabilities` are those before dropout and head mask, as CLIP returns them.
  TORCH_ARG(bool, map_before_dropout) = false;
};

/// softmax(query key^T / sqrt(D) + bias) value for each head. query: [B, heads, N, D]; key: [B,
/// heads, M, D]; value: [B, heads, M, E]; returns [B, heads, N, E]. `probabilities`, unless null,
/// becomes the map [B, heads, N, M], after dropout and head mask unless an option says otherwise.
///
/// ATen's fused scaled_dot_product_attention where nobody asks for the map and nothing has to
/// happen to it; otherwise the steps one by one, as in Transformers (modeling_vit.py,
/// ViTSelfAttention, 4.37.2), so that one seed drops the same entries. A query whose scores a bias
/// lowers all to the least number of their type attends evenly step by step only: ask for the map.
torch::Tensor attend(const torch::Tensor& query,
                     const torch::Tensor& key,
                     const torch::Tensor& value,
                     const AttentionOptions& options,
                     torch::Tensor* probabilities);

/// The least finite number of a floating-point type: what masks add to scores.
double lowest(at::ScalarType dtype);

/// [B, N, heads * D] -> [B, heads, N, D].
torch::Tensor split_heads(const torch::Tensor& input, int64_t heads);

/// [B, heads, N, D] -> [B, N, heads * D].
torch::Tensor merge_heads(const torch::Tensor& input);

}  // namespace vizoo::nn
