#pragma once

// Neighborhood attention as plain ATen calls: gather the window of each query, then ordinary
// products and softmax. It is the fallback where no kernel fits and what the kernels are tested and
// timed against. It needs Kh * Kw times the memory of the key; the forward functions are
// differentiable by autograd, the backward ones spell the gradients out. Arguments and results are
// those of the ops of the same name, unchecked.

#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>

namespace vizoo::ops::composition {

/// out and lse as na2d_forward gives them.
std::tuple<at::Tensor, at::Tensor> na2d_forward(const at::Tensor& query,
                                                const at::Tensor& key,
                                                const at::Tensor& value,
                                                const std::optional<at::Tensor>& rpb,
                                                at::IntArrayRef kernel_size,
                                                at::IntArrayRef dilation,
                                                double scale);

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> na2d_backward(
    const at::Tensor& grad_out,
    const at::Tensor& query,
    const at::Tensor& key,
    const at::Tensor& value,
    const std::optional<at::Tensor>& rpb,
    const at::Tensor& lse,
    at::IntArrayRef kernel_size,
    at::IntArrayRef dilation,
    double scale);

at::Tensor na2d_qk(const at::Tensor& query,
                   const at::Tensor& key,
                   const std::optional<at::Tensor>& rpb,
                   at::IntArrayRef kernel_size,
                   at::IntArrayRef dilation);

std::tuple<at::Tensor, at::Tensor, at::Tensor> na2d_qk_backward(
    const at::Tensor& grad_attn,
    const at::Tensor& query,
    const at::Tensor& key,
    const std::optional<at::Tensor>& rpb,
    at::IntArrayRef kernel_size,
    at::IntArrayRef dilation);

at::Tensor na2d_av(const at::Tensor& attn,
                   const at::Tensor& value,
                   at::IntArrayRef kernel_size,
                   at::IntArrayRef dilation);

std::tuple<at::Tensor, at::Tensor> na2d_av_backward(const at::Tensor& grad_out,
                                                    const at::Tensor& attn,
                                                    const at::Tensor& value,
                                                    at::IntArrayRef kernel_size,
                                                    at::IntArrayRef dilation);

}  // namespace vizoo::ops::composition
