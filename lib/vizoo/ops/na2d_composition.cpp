#include "vizoo/ops/na2d_composition.h"

#include <ATen/ATen.h>

#include "vizoo/kernels/na_window.h"

namespace vizoo::ops::composition {
namespace {

// What the queries of one axis need: the keys each sees and the bias index of each of those.
struct AxisIndex {
  at::Tensor keys;  // [L, K]
  at::Tensor bias;  // [L, K]
};

AxisIndex axis_index(int64_t size, int64_t kernel, int64_t step, const at::Device& device) {
  const int length = static_cast<int>(size);
  const int kernel_size = static_cast<int>(kernel);
  const int dilation = static_cast<int>(step);
  auto keys = at::empty({size, kernel}, at::kLong);
  auto bias = at::empty({size, kernel}, at::kLong);
  auto* key = keys.data_ptr<int64_t>();
  auto* index = bias.data_ptr<int64_t>();
  for (int query = 0; query < length; ++query) {
    const int group = query % dilation;
    const int position = query / dilation;
    const int tokens = kernels::group_length(length, dilation, group);
    const int first_key = kernels::window_begin(position, tokens, kernel_size);
    const int first_bias = kernels::bias_begin(position, tokens, kernel_size);
    for (int i = 0; i < kernel_size; ++i) {
      *key++ = group + dilation * (first_key + i);
      *index++ = first_bias + i;
    }
  }
  return {keys.to(device), bias.to(device)};
}

// The window of each query: [B, heads, H, W, D] -> [B, heads, H, W, Kh * Kw, D].
at::Tensor gather_windows(const at::Tensor& input,
                          const AxisIndex& rows,
                          const AxisIndex& columns) {
  auto x = input.index_select(2, rows.keys.flatten());
  x = x.index_select(3, columns.keys.flatten());
  // [B, heads, H * Kh, W * Kw, D] -> [B, heads, H, Kh, W, Kw, D]
  x = x.unflatten(3, columns.keys.sizes()).unflatten(2, rows.keys.sizes());
  // [B, heads, H, Kh, W, Kw, D] -> [B, heads, H, W, Kh, Kw, D] -> [B, heads, H, W, Kh * Kw, D]
  return x.transpose(3, 4).flatten(4, 5);
}

// rpb [heads, 2 Kh - 1, 2 Kw - 1] -> [heads, H, W, Kh * Kw].
at::Tensor gather_bias(const at::Tensor& rpb, const AxisIndex& rows, const AxisIndex& columns) {
  auto x = rpb.index_select(1, rows.bias.flatten()).index_select(2, columns.bias.flatten());
  // [heads, H * Kh, W * Kw] -> [heads, H, Kh, W, Kw]
  x = x.unflatten(2, columns.bias.sizes()).unflatten(1, rows.bias.sizes());
  return x.transpose(2, 3).flatten(3, 4);
}

// The transpose of gather_windows: [B, heads, H, W, Kh * Kw, D] -> [B, heads, H, W, D].
at::Tensor scatter_windows(const at::Tensor& input,
                           const AxisIndex& rows,
                           const AxisIndex& columns) {
  const auto height = rows.keys.size(0);
  const auto width = columns.keys.size(0);
  // [B, heads, H, W, Kh * Kw, D] -> [B, heads, H, Kh, W, Kw, D] -> [B, heads, H * Kh, W * Kw, D]
  auto x = input.unflatten(4, {rows.keys.size(1), columns.keys.size(1)}).transpose(3, 4);
  x = x.flatten(4, 5).flatten(2, 3);
  auto by_column = at::zeros({x.size(0), x.size(1), x.size(2), width, x.size(4)}, x.options());
  by_column.index_add_(3, columns.keys.flatten(), x);
  auto result = at::zeros({x.size(0), x.size(1), height, width, x.size(4)}, x.options());
  return result.index_add_(2, rows.keys.flatten(), by_column);
}

// The transpose of gather_bias, summed over the batch: [B, heads, H, W, Kh * Kw] -> like rpb.
at::Tensor scatter_bias(const at::Tensor& grad,
                        const at::Tensor& rpb,
                        const AxisIndex& rows,
                        const AxisIndex& columns) {
  auto x = grad.sum(0).unflatten(3, {rows.bias.size(1), columns.bias.size(1)});
  // [heads, H, W, Kh, Kw] -> [heads, H, Kh, W, Kw] -> [heads, H * Kh, W * Kw]
  x = x.transpose(2, 3).flatten(3, 4).flatten(1, 2);
  auto by_column = at::zeros({rpb.size(0), x.size(1), rpb.size(2)}, x.options());
  by_column.index_add_(2, columns.bias.flatten(), x);
  return at::zeros_like(rpb).index_add_(1, rows.bias.flatten(), by_column);
}

bool has(const std::optional<at::Tensor>& rpb) { return rpb.has_value() && rpb->defined(); }

// [B, H, W, heads, D] -> [B, heads, H, W, D], and back.
at::Tensor heads_first(const at::Tensor& x) { return x.permute({0, 3, 1, 2, 4}); }
at::Tensor heads_last(const at::Tensor& x) { return x.permute({0, 2, 3, 1, 4}).contiguous(); }

}  // namespace

at::Tensor na2d_qk(const at::Tensor& query,
                   const at::Tensor& key,
                   const std::optional<at::Tensor>& rpb,
                   at::IntArrayRef kernel_size,
                   at::IntArrayRef dilation) {
  const auto rows = axis_index(query.size(2), kernel_size[0], dilation[0], query.device());
  const auto columns = axis_index(query.size(3), kernel_size[1], dilation[1], query.device());
  const auto keys = gather_windows(key, rows, columns);  // [B, heads, H, W, Kh * Kw, D]
  auto scores = at::matmul(keys, query.unsqueeze(-1)).squeeze(-1);
  if (has(rpb)) scores = scores + gather_bias(*rpb, rows, columns);
  return scores;
}

at::Tensor na2d_av(const at::Tensor& attn,
                   const at::Tensor& value,
                   at::IntArrayRef kernel_size,
                   at::IntArrayRef dilation) {
  const auto rows = axis_index(value.size(2), kernel_size[0], dilation[0], value.device());
  const auto columns = axis_index(value.size(3), kernel_size[1], dilation[1], value.device());
  const auto values = gather_windows(value, rows, columns);  // [B, heads, H, W, Kh * Kw, D]
  return at::matmul(attn.unsqueeze(-2), values).squeeze(-2);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> na2d_qk_backward(
    const at::Tensor& grad_attn,
    const at::Tensor& query,
    const at::Tensor& key,
    const std::optional<at::Tensor>& rpb,
    at::IntArrayRef kernel_size,
    at::IntArrayRef dilation) {
  const auto rows = axis_index(query.size(2), kernel_size[0], dilation[0], query.device());
  const auto columns = axis_index(query.size(3), kernel_size[1], dilation[1], query.device());
  const auto keys = gather_windows(key, rows, columns);  // [B, heads, H, W, Kh * Kw, D]
  const auto grad_query = at::matmul(grad_attn.unsqueeze(-2), keys).squeeze(-2);
  const auto grad_key =
      scatter_windows(grad_attn.unsqueeze(-1) * query.unsqueeze(-2), rows, columns);
  const auto grad_rpb =
      has(rpb) ? scatter_bias(grad_attn, *rpb, rows, columns) : at::empty({0}, query.options());
  return {grad_query, grad_key, grad_rpb};
}

std::tuple<at::Tensor, at::Tensor> na2d_av_backward(const at::Tensor& grad_out,
                                                    const at::Tensor& attn,
                                                    const at::Tensor& value,
                                                    at::IntArrayRef kernel_size,
                                                    at::IntArrayRef dilation) {
  const auto rows = axis_index(value.size(2), kernel_size[0], dilation[0], value.device());
  const auto columns = axis_index(value.size(3), kernel_size[1], dilation[1], value.device());
  const auto values = gather_windows(value, rows, columns);  // [B, heads, H, W, Kh * Kw, D]
  const auto grad_attn = at::matmul(values, grad_out.unsqueeze(-1)).squeeze(-1);
  const auto grad_value =
      scatter_windows(attn.unsqueeze(-1) * grad_out.unsqueeze(-2), rows, columns);
  return {grad_attn, grad_value};
}

std::tuple<at::Tensor, at::Tensor> na2d_forward(const at::Tensor& query,
                                                const at::Tensor& key,
                                                const at::Tensor& value,
                                                const std::optional<at::Tensor>& rpb,
                                                at::IntArrayRef kernel_size,
                                                at::IntArrayRef dilation,
                                                double scale) {
  const auto scores =
      na2d_qk(heads_first(query) * scale, heads_first(key), rpb, kernel_size, dilation);
  const auto out = na2d_av(scores.softmax(-1), heads_first(value), kernel_size, dilation);
  const auto type = query.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const auto lse = scores.detach().to(type).logsumexp(-1);  // [B, heads, H, W]
  return {heads_last(out), lse.permute({0, 2, 3, 1}).contiguous()};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> na2d_backward(
    const at::Tensor& grad_out,
    const at::Tensor& query,
    const at::Tensor& key,
    const at::Tensor& value,
    const std::optional<at::Tensor>& rpb,
    const at::Tensor& lse,
    at::IntArrayRef kernel_size,
    at::IntArrayRef dilation,
    double scale) {
  const auto scaled_query = heads_first(query) * scale;
  const auto scores = na2d_qk(scaled_query, heads_first(key), rpb, kernel_size, dilation);
  // [B, H, W, heads] -> [B, heads, H, W, 1]
  const auto log_sum = lse.permute({0, 3, 1, 2}).unsqueeze(-1);
  const auto attn = (scores - log_sum).exp().to(query.scalar_type());
  const auto [grad_attn, grad_value] =
      na2d_av_backward(heads_first(grad_out), attn, heads_first(value), kernel_size, dilation);
  const auto grad_scores = attn * (grad_attn - (attn * grad_attn).sum(-1, /*keepdim=*/true));
  auto [grad_query, grad_key, grad_rpb] =
      na2d_qk_backward(grad_scores, scaled_query, heads_first(key), rpb, kernel_size, dilation);
  return {heads_last(grad_query * scale), heads_last(grad_key), heads_last(grad_value), grad_rpb};
}

}  // namespace vizoo::ops::composition
