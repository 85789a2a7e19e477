#pragma once

// Two-dimensional neighborhood attention with relative positional bias, with gradients. Each
// function is also the dispatcher op vizoo::<name>, with kernels for CPU and CUDA, shape functions
// (Meta), Autograd and Autocast, so that it works from C++, TorchScript and Python alike.
//
// Along an axis of length L with dilation d, token i belongs to group i mod d, at position i div d.
// A query sees the K keys of its own group that start at clamp(position - K / 2, 0, G - K), G being
// the group's length: windows at borders are shifted inwards, never cut. Axes are independent.
// Sources: arXiv:2204.07143, arXiv:2209.15001; NATTEN 0.14.6 for the exact windows and bias.

#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>

namespace vizoo::ops {

/// out = softmax(scale * query . key + rpb) . value over each query's Kh x Kw window.
///
/// query, key, value: [B, H, W, heads, D], D in 1..256, of one dtype (float32, float64, float16,
/// bfloat16) and device, any strides with unit stride over D (so that a packed projection is read
/// in place). rpb: [heads, 2 Kh - 1, 2 Kw - 1] or absent, used as bias(h, q, k) = rpb[h, kh - qh +
/// Kh - 1, kw - qw + Kw - 1] with positions inside the dilation group. kernel_size: odd, at least
/// 3; dilation: at least 1; kernel_size * dilation <= size on each axis. scale: D^-0.5 by default.
/// Returns [B, H, W, heads, D], contiguous. Sums are float32 (float64 for float64). Runs repeat to
/// the bit. Throws c10::Error before any work for anything else. A batch may be empty.
at::Tensor na2d(const at::Tensor& query,
                const at::Tensor& key,
                const at::Tensor& value,
                const std::optional<at::Tensor>& rpb,
                at::IntArrayRef kernel_size,
                at::IntArrayRef dilation,
                std::optional<double> scale = std::nullopt);

/// As na2d, and the natural logarithm of each query's softmax denominator, which the backward
/// needs: lse [B, H, W, heads], float32 (float64 for float64), contiguous, without gradient.
std::tuple<at::Tensor, at::Tensor> na2d_forward(const at::Tensor& query,
                                                const at::Tensor& key,
                                                const at::Tensor& value,
                                                const std::optional<at::Tensor>& rpb,
                                                at::IntArrayRef kernel_size,
                                                at::IntArrayRef dilation,
                                                std::optional<double> scale = std::nullopt);

/// Gradients of na2d: (grad_query, grad_key, grad_value, grad_rpb), contiguous, in the dtype of
/// what they are gradients of; grad_rpb is an empty tensor [0] without rpb. out and lse are
/// na2d_forward's. Not differentiable itself.
std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> na2d_backward(
    const at::Tensor& grad_out,
    const at::Tensor& query,
    const at::Tensor& key,
    const at::Tensor& value,
    const std::optional<at::Tensor>& rpb,
    const at::Tensor& out,
    const at::Tensor& lse,
    at::IntArrayRef kernel_size,
    at::IntArrayRef dilation,
    std::optional<double> scale = std::nullopt);

/// Attention scores query . key + rpb, unscaled, of the unfused form: query, key
/// [B, heads, H, W, D], any strides with unit stride over D -> [B, heads, H, W, Kh * Kw], window
/// positions row by row. For `output_attentions`; it writes Kh * Kw / D times the size of query.
at::Tensor na2d_qk(const at::Tensor& query,
                   const at::Tensor& key,
                   const std::optional<at::Tensor>& rpb,
                   at::IntArrayRef kernel_size,
                   at::IntArrayRef dilation);

/// Gradients of na2d_qk: (grad_query, grad_key, grad_rpb); grad_rpb is [0] without rpb.
std::tuple<at::Tensor, at::Tensor, at::Tensor> na2d_qk_backward(
    const at::Tensor& grad_attn,
    const at::Tensor& query,
    const at::Tensor& key,
    const std::optional<at::Tensor>& rpb,
    at::IntArrayRef kernel_size,
    at::IntArrayRef dilation);

/// Weighted sum of values of the unfused form: attn [B, heads, H, W, Kh * Kw], value
/// [B, heads, H, W, D] -> [B, heads, H, W, D].
at::Tensor na2d_av(const at::Tensor& attn,
                   const at::Tensor& value,
                   at::IntArrayRef kernel_size,
                   at::IntArrayRef dilation);

/// Gradients of na2d_av: (grad_attn, grad_value).
std::tuple<at::Tensor, at::Tensor> na2d_av_backward(const at::Tensor& grad_out,
                                                    const at::Tensor& attn,
                                                    const at::Tensor& value,
                                                    at::IntArrayRef kernel_size,
                                                    at::IntArrayRef dilation);

/// input [B, H, W, C] with zeros added at the bottom and at the right so that H and W are at least
/// `size`; a view of the input where they are. An op, so that a traced model decides at run time.
at::Tensor pad_to_at_least(const at::Tensor& input, at::IntArrayRef size);

/// The top left part of input [B, H, W, C] that is as high and wide as `reference` [B, h, w, ...]:
/// undoes pad_to_at_least. A view of the input.
at::Tensor crop_like(const at::Tensor& input, const at::Tensor& reference);

}  // namespace vizoo::ops
