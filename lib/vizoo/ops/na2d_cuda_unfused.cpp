#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>

#include "vizoo/ops/na2d_composition.h"
#include "vizoo/ops/na2d_cuda.h"
#include "vizoo/ops/na2d_cuda_arguments.h"

namespace vizoo::ops::cuda {

at::Tensor na2d_qk(const at::Tensor& query,
                   const at::Tensor& key,
                   const OptionalTensor& rpb,
                   at::IntArrayRef kernel_size,
                   at::IntArrayRef dilation) {
  const c10::cuda::CUDAGuard guard(query.device());
  const auto shape = make_shape(query, kUnfused, kernel_size, dilation);
  if (!general_fits(shape, query)) {
    return composition::na2d_qk(query, key, rpb, kernel_size, dilation);
  }
  auto sizes = query.sizes().vec();
  sizes[4] = kernel_size[0] * kernel_size[1];
  auto attn = at::empty(sizes, query.options());
  if (attn.numel() == 0) return attn;
  const auto bias = contiguous(rpb);
  kernels::Na2dUnfusedParameters<void> parameters;
  parameters.shape = shape;
  parameters.left = input(query, kUnfused);
  parameters.right = input(key, kUnfused);
  parameters.rpb = data_or_null(bias);
  parameters.attn_out = attn.mutable_data_ptr();
  check_launch("na2d_qk",
               kernels::na2d_cuda_scores(parameters, element_of(query), stream_of(query)));
  return attn;
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> na2d_qk_backward(const at::Tensor& grad_attn_any,
                                                                const at::Tensor& query,
                                                                const at::Tensor& key,
                                                                const OptionalTensor& rpb,
                                                                at::IntArrayRef kernel_size,
                                                                at::IntArrayRef dilation) {
  constexpr const char* kOp = "na2d_qk_backward";
  const c10::cuda::CUDAGuard guard(query.device());
  const auto shape = make_shape(query, kUnfused, kernel_size, dilation);
  if (!general_fits(shape, query)) {
    return composition::na2d_qk_backward(grad_attn_any, query, key, rpb, kernel_size, dilation);
  }
  const auto grad_attn = grad_attn_any.contiguous();
  auto grad_query = empty_like_contiguous(query);
  auto grad_key = empty_like_contiguous(key);
  auto grad_rpb =
      has(rpb) ? at::empty(rpb->sizes(), rpb->options()) : at::empty({0}, query.options());
  if (query.numel() == 0) return {grad_query, grad_key, grad_rpb.zero_()};

  const auto element = element_of(query);
  const auto stream = stream_of(query);
  kernels::Na2dUnfusedParameters<void> parameters;
  parameters.shape = shape;
  parameters.left = input(query, kUnfused);
  parameters.right = input(key, kUnfused);
  parameters.attn_in = grad_attn.const_data_ptr();
  parameters.out = output(grad_query, kUnfused);
  check_launch(kOp, kernels::na2d_cuda_gather(parameters, element, stream));
  parameters.out = output(grad_key, kUnfused);
  check_launch(kOp, kernels::na2d_cuda_scatter(parameters, element, stream));
  if (has(rpb)) {
    const auto workspace = empty_workspace(
        kernels::backward_workspace_bytes(Na2dCudaKernel::general, shape, element, true), query);
    check_launch(kOp,
                 kernels::na2d_cuda_bias_gradient(parameters,
                                                  grad_rpb.mutable_data_ptr(),
                                                  workspace.mutable_data_ptr(),
                                                  element,
                                                  stream));
  }
  return {grad_query, grad_key, grad_rpb};
}

at::Tensor na2d_av(const at::Tensor& attn_any,
                   const at::Tensor& value,
                   at::IntArrayRef kernel_size,
                   at::IntArrayRef dilation) {
  const c10::cuda::CUDAGuard guard(value.device());
  const auto shape = make_shape(value, kUnfused, kernel_size, dilation);
  if (!general_fits(shape, value)) {
    return composition::na2d_av(attn_any, value, kernel_size, dilation);
  }
  const auto attn = attn_any.contiguous();
  auto out = empty_like_contiguous(value);
  if (out.numel() == 0) return out;
  kernels::Na2dUnfusedParameters<void> parameters;
  parameters.shape = shape;
  parameters.right = input(value, kUnfused);
  parameters.attn_in = attn.const_data_ptr();
  parameters.out = output(out, kUnfused);
  check_launch("na2d_av",
               kernels::na2d_cuda_gather(parameters, element_of(value), stream_of(value)));
  return out;
}

std::tuple<at::Tensor, at::Tensor> na2d_av_backward(const at::Tensor& grad_out_any,
                                                    const at::Tensor& attn_any,
                                                    const at::Tensor& value,
                                                    at::IntArrayRef kernel_size,
                                                    at::IntArrayRef dilation) {
  constexpr const char* kOp = "na2d_av_backward";
  const c10::cuda::CUDAGuard guard(value.device());
  const auto shape = make_shape(value, kUnfused, kernel_size, dilation);
  const auto grad_out = contiguous_channels(grad_out_any);
  if (!general_fits(shape, value)) {
    return composition::na2d_av_backward(grad_out, attn_any, value, kernel_size, dilation);
  }
  const auto attn = attn_any.contiguous();
  auto grad_attn = empty_like_contiguous(attn);
  auto grad_value = empty_like_contiguous(value);
  if (value.numel() == 0) return {grad_attn, grad_value};

  const auto element = element_of(value);
  const auto stream = stream_of(value);
  kernels::Na2dUnfusedParameters<void> parameters;
  parameters.shape = shape;
  parameters.left = input(grad_out, kUnfused);
  parameters.right = input(value, kUnfused);
  parameters.attn_in = attn.const_data_ptr();
  parameters.attn_out = grad_attn.mutable_data_ptr();
  parameters.out = output(grad_value, kUnfused);
  check_launch(kOp, kernels::na2d_cuda_scores(parameters, element, stream));
  check_launch(kOp, kernels::na2d_cuda_scatter(parameters, element, stream));
  return {grad_attn, grad_value};
}

}  // namespace vizoo::ops::cuda
