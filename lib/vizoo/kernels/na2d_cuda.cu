// Chooses among the kernel families. The kernels themselves are in the .cuh files.
#include "vizoo/kernels/na2d_cuda.h"

#include "vizoo/kernels/na2d_launch.cuh"

namespace vizoo::kernels {
namespace {

constexpr int64_t kAlignment = 16;

int64_t bytes_of_element(Na2dElement element) {
  switch (element) {
    case Na2dElement::float32:
      return 4;
    case Na2dElement::float64:
      return 8;
    default:
      return 2;
  }
}

template <class... Tensors>
bool all_aligned(Na2dElement element, const Tensors&... tensors) {
  return (cuda::is_aligned(tensors, bytes_of_element(element), kAlignment) && ...);
}

}  // namespace

cudaError_t na2d_cuda_forward(const Na2dForwardParameters<void>& parameters,
                              Na2dElement element,
                              Na2dCudaKernel kernel,
                              cudaStream_t stream) {
  const auto& p = parameters;
  const bool aligned = all_aligned(element, p.query, p.key, p.value, p.out);
  if (!kernel_fits(kernel, p.shape, element, aligned)) return cudaErrorNotSupported;
  if (kernel == Na2dCudaKernel::general) return cuda::launch_general_forward(p, element, stream);
  return cuda::launch_tile_forward(p, element, stream);  // a dense group is one tile
}

cudaError_t na2d_cuda_backward(const Na2dBackwardParameters<void>& parameters,
                               void* grad_rpb,
                               void* workspace,
                               Na2dElement element,
                               Na2dCudaKernel kernel,
                               cudaStream_t stream) {
  auto p = parameters;
  const bool aligned = all_aligned(
      element, p.grad_out, p.query, p.key, p.value, p.out, p.grad_query, p.grad_key, p.grad_value);
  if (!kernel_fits(kernel, p.shape, element, aligned)) return cudaErrorNotSupported;
  const int64_t statistics = p.shape.batch * p.shape.height * p.shape.width * p.shape.heads;
  p.delta = workspace;
  p.slices = bias_slices(kernel, p.shape);
  p.partials = nullptr;
  if (p.rpb != nullptr && grad_rpb != nullptr) {
    p.partials = static_cast<unsigned char*>(workspace) + statistics * bytes_of_sum(element);
  }
  auto error = cudaErrorInvalidValue;
  switch (kernel) {
    case Na2dCudaKernel::general:
      error = cuda::launch_general_backward(p, element, stream);
      break;
    case Na2dCudaKernel::dense_group:
      error = cuda::launch_dense_backward(p, element, stream);
      break;
    case Na2dCudaKernel::gathered_tile:
      error = cuda::launch_tile_backward(p, element, stream);
      break;
  }
  if (error != cudaSuccess || p.partials == nullptr) return error;
  return cuda::launch_sum_bias_partials(
      p.partials, p.slices, p.shape.heads * bias_size(p.shape), grad_rpb, element, stream);
}

}  // namespace vizoo::kernels
