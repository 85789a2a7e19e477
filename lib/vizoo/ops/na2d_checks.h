#pragma once

// What every op of neighborhood attention demands of its arguments, checked before any work, on all
// devices and on tensors without data alike. Each function throws c10::Error with one line of the
// form `[op] argument: expected X, got Y.`

#include <ATen/core/Tensor.h>

#include <optional>

namespace vizoo::ops::check {

/// na2d and na2d_forward: query, key, value [B, H, W, heads, D].
void na2d(const char* op,
          const at::Tensor& query,
          const at::Tensor& key,
          const at::Tensor& value,
          const std::optional<at::Tensor>& rpb,
          at::IntArrayRef kernel_size,
          at::IntArrayRef dilation);

/// na2d_backward: as na2d, with grad_out and out like query and lse [B, H, W, heads].
void na2d_backward(const at::Tensor& grad_out,
                   const at::Tensor& query,
                   const at::Tensor& key,
                   const at::Tensor& value,
                   const std::optional<at::Tensor>& rpb,
                   const at::Tensor& out,
                   const at::Tensor& lse,
                   at::IntArrayRef kernel_size,
                   at::IntArrayRef dilation);

/// na2d_qk, and with `grad_attn` [B, heads, H, W, Kh * Kw] its backward.
void na2d_qk(const char* op,
             const at::Tensor* grad_attn,
             const at::Tensor& query,
             const at::Tensor& key,
             const std::optional<at::Tensor>& rpb,
             at::IntArrayRef kernel_size,
             at::IntArrayRef dilation);

/// na2d_av, and with `grad_out` [B, heads, H, W, D] its backward.
void na2d_av(const char* op,
             const at::Tensor* grad_out,
             const at::Tensor& attn,
             const at::Tensor& value,
             at::IntArrayRef kernel_size,
             at::IntArrayRef dilation);

void pad_to_at_least(const at::Tensor& input, at::IntArrayRef size);
void crop_like(const at::Tensor& input, const at::Tensor& reference);

}  // namespace vizoo::ops::check
