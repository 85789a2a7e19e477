#include "vizoo/kernels/na2d_dense_backward.cuh"
#include "vizoo/kernels/na2d_launch.cuh"

namespace vizoo::kernels::cuda {

cudaError_t launch_dense_backward(const Na2dBackwardParameters<void>& p,
                                  Na2dElement element,
                                  cudaStream_t stream) {
  return with_half_element(element, [&](auto zero) {
    using T = decltype(zero);
    return launch(p.shape.head_dim == 32 ? &dense_backward<T, 32> : &dense_backward<T, 64>,
                  p.slices * p.shape.heads,
                  kDenseWarps * 32,
                  dense_layout(p.shape.head_dim).bytes,
                  stream,
                  typed<T>(p));
  });
}

}  // namespace vizoo::kernels::cuda
