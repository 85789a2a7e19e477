#include <ATen/ATen.h>
#include <torch/library.h>

#include <cmath>

#include "vizoo/ops/na2d_checks.h"
#include "vizoo/ops/na2d_cpu.h"
#include "vizoo/ops/na2d_cuda.h"
#include "vizoo/ops/registration.h"

namespace vizoo::ops {
namespace {

using OptionalTensor = std::optional<at::Tensor>;

double scale_or_default(const std::optional<double>& scale, const at::Tensor& query) {
  return scale.has_value() ? *scale : 1.0 / std::sqrt(static_cast<double>(query.size(-1)));
}

at::Tensor na2d(const at::Tensor& query,
                const at::Tensor& key,
                const at::Tensor& value,
                const OptionalTensor& rpb,
                at::IntArrayRef kernel_size,
                at::IntArrayRef dilation,
                std::optional<double> scale) {
  check::na2d("na2d", query, key, value, rpb, kernel_size, dilation);
  const auto run = query.is_cuda() ? cuda::na2d : cpu::na2d;
  return run(query, key, value, rpb, kernel_size, dilation, scale_or_default(scale, query));
}

std::tuple<at::Tensor, at::Tensor> na2d_forward(const at::Tensor& query,
                                                const at::Tensor& key,
                                                const at::Tensor& value,
                                                const OptionalTensor& rpb,
                                                at::IntArrayRef kernel_size,
                                                at::IntArrayRef dilation,
                                                std::optional<double> scale) {
  check::na2d("na2d_forward", query, key, value, rpb, kernel_size, dilation);
  const auto run = query.is_cuda() ? cuda::na2d_forward : cpu::na2d_forward;
  return run(query, key, value, rpb, kernel_size, dilation, scale_or_default(scale, query));
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> na2d_backward(
    const at::Tensor& grad_out,
    const at::Tensor& query,
    const at::Tensor& key,
    const at::Tensor& value,
    const OptionalTensor& rpb,
    const at::Tensor& out,
    const at::Tensor& lse,
    at::IntArrayRef kernel_size,
    at::IntArrayRef dilation,
    std::optional<double> scale) {
  check::na2d_backward(grad_out, query, key, value, rpb, out, lse, kernel_size, dilation);
  const auto run = query.is_cuda() ? cuda::na2d_backward : cpu::na2d_backward;
  return run(grad_out,
             query,
             key,
             value,
             rpb,
             out,
             lse,
             kernel_size,
             dilation,
             scale_or_default(scale, query));
}

at::Tensor na2d_qk(const at::Tensor& query,
                   const at::Tensor& key,
                   const OptionalTensor& rpb,
                   at::IntArrayRef kernel_size,
                   at::IntArrayRef dilation) {
  check::na2d_qk("na2d_qk", nullptr, query, key, rpb, kernel_size, dilation);
  const auto run = query.is_cuda() ? cuda::na2d_qk : cpu::na2d_qk;
  return run(query, key, rpb, kernel_size, dilation);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> na2d_qk_backward(const at::Tensor& grad_attn,
                                                                const at::Tensor& query,
                                                                const at::Tensor& key,
                                                                const OptionalTensor& rpb,
                                                                at::IntArrayRef kernel_size,
                                                                at::IntArrayRef dilation) {
  check::na2d_qk("na2d_qk_backward", &grad_attn, query, key, rpb, kernel_size, dilation);
  const auto run = query.is_cuda() ? cuda::na2d_qk_backward : cpu::na2d_qk_backward;
  return run(grad_attn, query, key, rpb, kernel_size, dilation);
}

at::Tensor na2d_av(const at::Tensor& attn,
                   const at::Tensor& value,
                   at::IntArrayRef kernel_size,
                   at::IntArrayRef dilation) {
  check::na2d_av("na2d_av", nullptr, attn, value, kernel_size, dilation);
  const auto run = value.is_cuda() ? cuda::na2d_av : cpu::na2d_av;
  return run(attn, value, kernel_size, dilation);
}

std::tuple<at::Tensor, at::Tensor> na2d_av_backward(const at::Tensor& grad_out,
                                                    const at::Tensor& attn,
                                                    const at::Tensor& value,
                                                    at::IntArrayRef kernel_size,
                                                    at::IntArrayRef dilation) {
  check::na2d_av("na2d_av_backward", &grad_out, attn, value, kernel_size, dilation);
  const auto run = value.is_cuda() ? cuda::na2d_av_backward : cpu::na2d_av_backward;
  return run(grad_out, attn, value, kernel_size, dilation);
}

}  // namespace

void register_device_kernels(torch::Library& library) {
  library.impl("na2d", TORCH_FN(na2d));
  library.impl("na2d_forward", TORCH_FN(na2d_forward));
  library.impl("na2d_backward", TORCH_FN(na2d_backward));
  library.impl("na2d_qk", TORCH_FN(na2d_qk));
  library.impl("na2d_qk_backward", TORCH_FN(na2d_qk_backward));
  library.impl("na2d_av", TORCH_FN(na2d_av));
  library.impl("na2d_av_backward", TORCH_FN(na2d_av_backward));
}

}  // namespace vizoo::ops
