#pragma once

// Neighborhood attention as plain ATen calls: gather the window of each query, then ordinary
// products and softmax. It is the fallback where no kernel fits and what the kernels are tested and
// timed against. It needs Kh * Kw times the memory of the key; the forward functions are
// differentiable by autograd, the backward ones spell the gradients out. Arguments and results are
// those of the ops of the same name, unchecked.

#include "vizoo/ops/na2d_signatures.h"

namespace vizoo::ops::composition {

/// out and lse as na2d_forward gives them.
signature::Na2dForward na2d_forward;

/// Without `out`, which it does not need.
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

signature::Na2dQk na2d_qk;
signature::Na2dQkBackward na2d_qk_backward;
signature::Na2dAv na2d_av;
signature::Na2dAvBackward na2d_av_backward;

}  // namespace vizoo::ops::composition
