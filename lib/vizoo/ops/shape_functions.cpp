#include <ATen/ATen.h>
#include <torch/library.h>

#include "vizoo/ops/na2d_checks.h"
#include "vizoo/ops/registration.h"

namespace vizoo::ops {
namespace {

using OptionalTensor = std::optional<at::Tensor>;

at::Tensor contiguous_like(const at::Tensor& tensor) {
  return at::empty_symint(tensor.sym_sizes(), tensor.options());
}

at::Tensor like_rpb(const OptionalTensor& rpb, const at::Tensor& query) {
  const bool given = rpb.has_value() && rpb->defined();
  return given ? contiguous_like(*rpb) : at::empty({0}, query.options());
}

std::tuple<at::Tensor, at::Tensor> na2d_forward(const at::Tensor& query,
                                                const at::Tensor& key,
                                                const at::Tensor& value,
                                                const OptionalTensor& rpb,
                                                at::IntArrayRef kernel_size,
                                                at::IntArrayRef dilation,
                                                std::optional<double> /*scale*/) {
  check::na2d("na2d_forward", query, key, value, rpb, kernel_size, dilation);
  const auto type = query.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  auto lse = at::empty_symint(query.sym_sizes().slice(0, 4), query.options().dtype(type));
  return {contiguous_like(query), lse};
}

at::Tensor na2d(const at::Tensor& query,
                const at::Tensor& key,
                const at::Tensor& value,
                const OptionalTensor& rpb,
                at::IntArrayRef kernel_size,
                at::IntArrayRef dilation,
                std::optional<double> /*scale*/) {
  check::na2d("na2d", query, key, value, rpb, kernel_size, dilation);
  return contiguous_like(query);
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
    std::optional<double> /*scale*/) {
  check::na2d_backward(grad_out, query, key, value, rpb, out, lse, kernel_size, dilation);
  return {
      contiguous_like(query), contiguous_like(key), contiguous_like(value), like_rpb(rpb, query)};
}

at::Tensor na2d_qk(const at::Tensor& query,
                   const at::Tensor& key,
                   const OptionalTensor& rpb,
                   at::IntArrayRef kernel_size,
                   at::IntArrayRef dilation) {
  check::na2d_qk("na2d_qk", nullptr, query, key, rpb, kernel_size, dilation);
  auto sizes = query.sym_sizes().vec();
  sizes[4] = kernel_size[0] * kernel_size[1];
  return at::empty_symint(sizes, query.options());
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> na2d_qk_backward(const at::Tensor& grad_attn,
                                                                const at::Tensor& query,
                                                                const at::Tensor& key,
                                                                const OptionalTensor& rpb,
                                                                at::IntArrayRef kernel_size,
                                                                at::IntArrayRef dilation) {
  check::na2d_qk("na2d_qk_backward", &grad_attn, query, key, rpb, kernel_size, dilation);
  return {contiguous_like(query), contiguous_like(key), like_rpb(rpb, query)};
}

at::Tensor na2d_av(const at::Tensor& attn,
                   const at::Tensor& value,
                   at::IntArrayRef kernel_size,
                   at::IntArrayRef dilation) {
  check::na2d_av("na2d_av", nullptr, attn, value, kernel_size, dilation);
  return contiguous_like(value);
}

std::tuple<at::Tensor, at::Tensor> na2d_av_backward(const at::Tensor& grad_out,
                                                    const at::Tensor& attn,
                                                    const at::Tensor& value,
                                                    at::IntArrayRef kernel_size,
                                                    at::IntArrayRef dilation) {
  check::na2d_av("na2d_av_backward", &grad_out, attn, value, kernel_size, dilation);
  return {contiguous_like(attn), contiguous_like(value)};
}

}  // namespace

void register_shape_functions(torch::Library& library) {
  library.impl("na2d", TORCH_FN(na2d));
  library.impl("na2d_forward", TORCH_FN(na2d_forward));
  library.impl("na2d_backward", TORCH_FN(na2d_backward));
  library.impl("na2d_qk", TORCH_FN(na2d_qk));
  library.impl("na2d_qk_backward", TORCH_FN(na2d_qk_backward));
  library.impl("na2d_av", TORCH_FN(na2d_av));
  library.impl("na2d_av_backward", TORCH_FN(na2d_av_backward));
}

}  // namespace vizoo::ops
