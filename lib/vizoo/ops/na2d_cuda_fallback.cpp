// Takes the place of na2d_cuda.cpp in a build without CUDA, whose LibTorch may have it: the plain
// composition runs on any device.
#include <ATen/ATen.h>

#include "vizoo/ops/na2d_composition.h"
#include "vizoo/ops/na2d_cuda.h"

namespace vizoo::ops::cuda {

at::Tensor na2d(const at::Tensor& query,
                const at::Tensor& key,
                const at::Tensor& value,
                const std::optional<at::Tensor>& rpb,
                at::IntArrayRef kernel_size,
                at::IntArrayRef dilation,
                double scale) {
  return std::get<0>(
      composition::na2d_forward(query, key, value, rpb, kernel_size, dilation, scale));
}

std::tuple<at::Tensor, at::Tensor> na2d_forward(const at::Tensor& query,
                                                const at::Tensor& key,
                                                const at::Tensor& value,
                                                const std::optional<at::Tensor>& rpb,
                                                at::IntArrayRef kernel_size,
                                                at::IntArrayRef dilation,
                                                double scale) {
  return composition::na2d_forward(query, key, value, rpb, kernel_size, dilation, scale);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> na2d_backward(
    const at::Tensor& grad_out,
    const at::Tensor& query,
    const at::Tensor& key,
    const at::Tensor& value,
    const std::optional<at::Tensor>& rpb,
    const at::Tensor& /*out*/,
    const at::Tensor& lse,
    at::IntArrayRef kernel_size,
    at::IntArrayRef dilation,
    double scale) {
  return composition::na2d_backward(
      grad_out, query, key, value, rpb, lse, kernel_size, dilation, scale);
}

at::Tensor na2d_qk(const at::Tensor& query,
                   const at::Tensor& key,
                   const std::optional<at::Tensor>& rpb,
                   at::IntArrayRef kernel_size,
                   at::IntArrayRef dilation) {
  return composition::na2d_qk(query, key, rpb, kernel_size, dilation);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> na2d_qk_backward(
    const at::Tensor& grad_attn,
    const at::Tensor& query,
    const at::Tensor& key,
    const std::optional<at::Tensor>& rpb,
    at::IntArrayRef kernel_size,
    at::IntArrayRef dilation) {
  return composition::na2d_qk_backward(grad_attn, query, key, rpb, kernel_size, dilation);
}

at::Tensor na2d_av(const at::Tensor& attn,
                   const at::Tensor& value,
                   at::IntArrayRef kernel_size,
                   at::IntArrayRef dilation) {
  return composition::na2d_av(attn, value, kernel_size, dilation);
}

std::tuple<at::Tensor, at::Tensor> na2d_av_backward(const at::Tensor& grad_out,
                                                    const at::Tensor& attn,
                                                    const at::Tensor& value,
                                                    at::IntArrayRef kernel_size,
                                                    at::IntArrayRef dilation) {
  return composition::na2d_av_backward(grad_out, attn, value, kernel_size, dilation);
}

void set_na2d_cuda_kernel(const std::string& name) {
  TORCH_CHECK(name == "default",
              "[set_na2d_cuda_kernel] name: expected \"default\" in a build without CUDA, got \"",
              name,
              "\".");
}

std::string na2d_cuda_kernel(const at::Tensor& /*query*/,
                             const at::Tensor& /*key*/,
                             const at::Tensor& /*value*/,
                             at::IntArrayRef /*kernel_size*/,
                             at::IntArrayRef /*dilation*/) {
  return "composition";
}

}  // namespace vizoo::ops::cuda
