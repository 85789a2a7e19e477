// The typed entries of neighborhood attention: each goes through the dispatcher, so that autograd,
// autocast and tracing see one op.
#include "vizoo/ops/neighborhood_attention.h"

#include "vizoo/ops/find_op.h"

namespace vizoo::ops {

at::Tensor na2d(const at::Tensor& query,
                const at::Tensor& key,
                const at::Tensor& value,
                const std::optional<at::Tensor>& rpb,
                at::IntArrayRef kernel_size,
                at::IntArrayRef dilation,
                std::optional<double> scale) {
  static const auto op = find_op<decltype(na2d)>("vizoo::na2d");
  return op.call(query, key, value, rpb, kernel_size, dilation, scale);
}

std::tuple<at::Tensor, at::Tensor> na2d_forward(const at::Tensor& query,
                                                const at::Tensor& key,
                                                const at::Tensor& value,
                                                const std::optional<at::Tensor>& rpb,
                                                at::IntArrayRef kernel_size,
                                                at::IntArrayRef dilation,
                                                std::optional<double> scale) {
  static const auto op = find_op<decltype(na2d_forward)>("vizoo::na2d_forward");
  return op.call(query, key, value, rpb, kernel_size, dilation, scale);
}

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
    std::optional<double> scale) {
  static const auto op = find_op<decltype(na2d_backward)>("vizoo::na2d_backward");
  return op.call(grad_out, query, key, value, rpb, out, lse, kernel_size, dilation, scale);
}

at::Tensor na2d_qk(const at::Tensor& query,
                   const at::Tensor& key,
                   const std::optional<at::Tensor>& rpb,
                   at::IntArrayRef kernel_size,
                   at::IntArrayRef dilation) {
  static const auto op = find_op<decltype(na2d_qk)>("vizoo::na2d_qk");
  return op.call(query, key, rpb, kernel_size, dilation);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> na2d_qk_backward(
    const at::Tensor& grad_attn,
    const at::Tensor& query,
    const at::Tensor& key,
    const std::optional<at::Tensor>& rpb,
    at::IntArrayRef kernel_size,
    at::IntArrayRef dilation) {
  static const auto op = find_op<decltype(na2d_qk_backward)>("vizoo::na2d_qk_backward");
  return op.call(grad_attn, query, key, rpb, kernel_size, dilation);
}

at::Tensor na2d_av(const at::Tensor& attn,
                   const at::Tensor& value,
                   at::IntArrayRef kernel_size,
                   at::IntArrayRef dilation) {
  static const auto op = find_op<decltype(na2d_av)>("vizoo::na2d_av");
  return op.call(attn, value, kernel_size, dilation);
}

std::tuple<at::Tensor, at::Tensor> na2d_av_backward(const at::Tensor& grad_out,
                                                    const at::Tensor& attn,
                                                    const at::Tensor& value,
                                                    at::IntArrayRef kernel_size,
                                                    at::IntArrayRef dilation) {
  static const auto op = find_op<decltype(na2d_av_backward)>("vizoo::na2d_av_backward");
  return op.call(grad_out, attn, value, kernel_size, dilation);
}

at::Tensor pad_to_at_least(const at::Tensor& input, at::IntArrayRef size) {
  static const auto op = find_op<decltype(pad_to_at_least)>("vizoo::pad_to_at_least");
  return op.call(input, size);
}

at::Tensor crop_like(const at::Tensor& input, const at::Tensor& reference) {
  static const auto op = find_op<decltype(crop_like)>("vizoo::crop_like");
  return op.call(input, reference);
}

}  // namespace vizoo::ops
