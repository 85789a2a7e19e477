#pragma once

// From tensors to what the CUDA kernels take: for the files that launch them.

#include <ATen/ATen.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <optional>

#include "vizoo/kernels/na2d_cuda.h"

namespace vizoo::ops::cuda {

using kernels::Na2dCudaKernel;
using kernels::Na2dElement;
using kernels::Na2dShape;
using OptionalTensor = std::optional<at::Tensor>;

// Which dimension of a tensor is which.
struct Axes {
  int64_t row;
  int64_t column;
  int64_t head;
};
constexpr Axes kFused{1, 2, 3};    // [B, H, W, heads, D]
constexpr Axes kUnfused{2, 3, 1};  // [B, heads, H, W, D]

inline Na2dShape make_shape(const at::Tensor& tensor,
                            Axes axes,
                            at::IntArrayRef kernel_size,
                            at::IntArrayRef dilation,
                            double scale = 1.0) {
  Na2dShape shape;
  shape.batch = tensor.size(0);
  shape.heads = tensor.size(axes.head);
  shape.height = static_cast<int>(tensor.size(axes.row));
  shape.width = static_cast<int>(tensor.size(axes.column));
  shape.head_dim = static_cast<int>(tensor.size(4));
  for (size_t axis = 0; axis < 2; ++axis) {
    shape.kernel_size[axis] = static_cast<int>(kernel_size[axis]);
    shape.dilation[axis] = static_cast<int>(dilation[axis]);
  }
  shape.scale = scale;
  return shape;
}

inline kernels::Na2dTensor<const void> input(const at::Tensor& tensor, Axes axes) {
  return {tensor.const_data_ptr(),
          tensor.stride(0),
          tensor.stride(axes.row),
          tensor.stride(axes.column),
          tensor.stride(axes.head)};
}

inline kernels::Na2dTensor<void> output(const at::Tensor& tensor, Axes axes) {
  return {tensor.mutable_data_ptr(),
          tensor.stride(0),
          tensor.stride(axes.row),
          tensor.stride(axes.column),
          tensor.stride(axes.head)};
}

inline Na2dElement element_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kDouble:
      return Na2dElement::float64;
    case at::kHalf:
      return Na2dElement::float16;
    case at::kBFloat16:
      return Na2dElement::bfloat16;
    default:
      return Na2dElement::float32;
  }
}

inline bool has(const OptionalTensor& rpb) { return rpb.has_value() && rpb->defined(); }

inline OptionalTensor contiguous(const OptionalTensor& rpb) {
  return has(rpb) ? OptionalTensor(rpb->contiguous()) : std::nullopt;
}

inline const void* data_or_null(const OptionalTensor& rpb) {
  return rpb.has_value() ? rpb->const_data_ptr() : nullptr;
}

// Gradients come with any strides, such as 0 over D from an expanded one.
inline at::Tensor contiguous_channels(const at::Tensor& tensor) {
  return tensor.stride(4) == 1 || tensor.size(4) == 1 ? tensor : tensor.contiguous();
}

inline at::Tensor empty_like_contiguous(const at::Tensor& tensor) {
  return at::empty(tensor.sizes(), tensor.options());
}

inline at::Tensor empty_workspace(int64_t bytes, const at::Tensor& like) {
  return at::empty({bytes}, like.options().dtype(at::kByte));
}

inline cudaStream_t stream_of(const at::Tensor& tensor) {
  return c10::cuda::getCurrentCUDAStream(tensor.get_device()).stream();
}

inline void check_launch(const char* op, cudaError_t error) {
  TORCH_CHECK(error == cudaSuccess,
              "[",
              op,
              "] CUDA: expected a successful launch, got ",
              cudaGetErrorString(error),
              ".");
}

inline bool general_fits(const Na2dShape& shape, const at::Tensor& tensor) {
  return kernels::kernel_fits(Na2dCudaKernel::general, shape, element_of(tensor), false);
}

}  // namespace vizoo::ops::cuda
