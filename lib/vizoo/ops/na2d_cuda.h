#pragma once

// Neighborhood attention on CUDA tensors, on the current stream. Arguments are checked already
// (na2d_checks.h).

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <tuple>

namespace vizoo::ops::cuda {

at::Tensor na2d(const at::Tensor& query,
                const at::Tensor& key,
                const at::Tensor& value,
                const std::optional<at::Tensor>& rpb,
                at::IntArrayRef kernel_size,
                at::IntArrayRef dilation,
                double scale);

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
    const at::Tensor& out,
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

/// Which kernels na2d_forward and na2d_backward take from now on, in all threads, where they can
/// run the problem: "general", "dense_group", "gathered_tile", or "default" for what is chosen by
/// shape and device. For measurements and tests. Throws c10::Error for another name.
void set_na2d_cuda_kernel(const std::string& name);

/// Which of them runs such a problem now; "composition" where none can.
std::string na2d_cuda_kernel(const at::Tensor& query,
                             const at::Tensor& key,
                             const at::Tensor& value,
                             at::IntArrayRef kernel_size,
                             at::IntArrayRef dilation);

}  // namespace vizoo::ops::cuda
