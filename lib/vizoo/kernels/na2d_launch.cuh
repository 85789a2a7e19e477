#pragma once

// What the files that launch kernels share. Host code.

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <cstdint>

#include "vizoo/kernels/na2d_cuda.h"

namespace vizoo::kernels::cuda {

constexpr int64_t kMaxBlocks = (int64_t{1} << 31) - 1;
constexpr int64_t kDefaultSharedBytes = 48 * 1024;  // more has to be asked for

/// Launches a kernel on a one-dimensional grid; nothing for no blocks.
template <class... Parameters>
cudaError_t launch(void (*kernel)(Parameters...),
                   int64_t blocks,
                   int threads,
                   int64_t shared_bytes,
                   cudaStream_t stream,
                   Parameters... parameters) {
  if (blocks <= 0) return cudaSuccess;
  if (blocks > kMaxBlocks || shared_bytes > kMaxSharedBytes) return cudaErrorInvalidConfiguration;
  if (shared_bytes > kDefaultSharedBytes) {
    const auto error = cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                            cudaFuncAttributeMaxDynamicSharedMemorySize,
                                            static_cast<int>(shared_bytes));
    if (error != cudaSuccess) return error;
  }
  kernel<<<static_cast<unsigned>(blocks),
           static_cast<unsigned>(threads),
           static_cast<size_t>(shared_bytes),
           stream>>>(parameters...);
  return cudaGetLastError();
}

// ---- Parameters with their element type
// ------------------------------------------------------------
template <class T>
Na2dTensor<const T> typed(const Na2dTensor<const void>& tensor) {
  return {static_cast<const T*>(tensor.data),
          tensor.batch_stride,
          tensor.row_stride,
          tensor.column_stride,
          tensor.head_stride};
}
template <class T>
Na2dTensor<T> typed(const Na2dTensor<void>& tensor) {
  return {static_cast<T*>(tensor.data),
          tensor.batch_stride,
          tensor.row_stride,
          tensor.column_stride,
          tensor.head_stride};
}

template <class T>
Na2dForwardParameters<T> typed(const Na2dForwardParameters<void>& p) {
  return {p.shape,
          typed<T>(p.query),
          typed<T>(p.key),
          typed<T>(p.value),
          static_cast<const T*>(p.rpb),
          typed<T>(p.out),
          static_cast<SumOf<T>*>(p.lse)};
}
template <class T>
Na2dBackwardParameters<T> typed(const Na2dBackwardParameters<void>& p) {
  return {p.shape,
          typed<T>(p.grad_out),
          typed<T>(p.query),
          typed<T>(p.key),
          typed<T>(p.value),
          typed<T>(p.out),
          static_cast<const T*>(p.rpb),
          static_cast<const SumOf<T>*>(p.lse),
          typed<T>(p.grad_query),
          typed<T>(p.grad_key),
          typed<T>(p.grad_value),
          static_cast<SumOf<T>*>(p.delta),
          static_cast<SumOf<T>*>(p.partials),
          p.slices};
}
template <class T>
Na2dUnfusedParameters<T> typed(const Na2dUnfusedParameters<void>& p) {
  return {p.shape,
          typed<T>(p.left),
          typed<T>(p.right),
          static_cast<const T*>(p.rpb),
          static_cast<const T*>(p.attn_in),
          static_cast<T*>(p.attn_out),
          typed<T>(p.out),
          static_cast<SumOf<T>*>(p.partials),
          p.slices};
}

/// Calls function(T()) with the element type.
template <class Function>
cudaError_t with_element(Na2dElement element, const Function& function) {
  switch (element) {
    case Na2dElement::float32:
      return function(float());
    case Na2dElement::float64:
      return function(double());
    case Na2dElement::float16:
      return function(__half());
    case Na2dElement::bfloat16:
      return function(__nv_bfloat16());
  }
  return cudaErrorInvalidValue;
}

/// The same for the types that tensor cores take 16 rows at a time.
template <class Function>
cudaError_t with_half_element(Na2dElement element, const Function& function) {
  if (element == Na2dElement::float16) return function(__half());
  if (element == Na2dElement::bfloat16) return function(__nv_bfloat16());
  return cudaErrorNotSupported;
}

/// Whether a tensor's rows all begin at a multiple of this many bytes, its elements being of
/// `element_bytes`.
template <class Pointer>
bool is_aligned(const Na2dTensor<Pointer>& tensor, int64_t element_bytes, int64_t bytes) {
  const int64_t strides[] = {
      tensor.batch_stride, tensor.row_stride, tensor.column_stride, tensor.head_stride};
  for (const int64_t stride : strides) {
    if (stride * element_bytes % bytes != 0) return false;
  }
  return reinterpret_cast<uintptr_t>(tensor.data) % static_cast<uintptr_t>(bytes) == 0;
}

// ---- One function a kernel family, each in its own file ----------------------------------------
cudaError_t launch_general_forward(const Na2dForwardParameters<void>& p,
                                   Na2dElement element,
                                   cudaStream_t stream);
cudaError_t launch_general_backward(const Na2dBackwardParameters<void>& p,
                                    Na2dElement element,
                                    cudaStream_t stream);
/// partials [slices, size] -> grad_rpb [size].
cudaError_t launch_sum_bias_partials(const void* partials,
                                     int64_t slices,
                                     int64_t size,
                                     void* grad_rpb,
                                     Na2dElement element,
                                     cudaStream_t stream);
cudaError_t launch_tile_forward(const Na2dForwardParameters<void>& p,
                                Na2dElement element,
                                cudaStream_t stream);
cudaError_t launch_tile_backward(const Na2dBackwardParameters<void>& p,
                                 Na2dElement element,
                                 cudaStream_t stream);
cudaError_t launch_dense_backward(const Na2dBackwardParameters<void>& p,
                                  Na2dElement element,
                                  cudaStream_t stream);

}  // namespace vizoo::kernels::cuda
