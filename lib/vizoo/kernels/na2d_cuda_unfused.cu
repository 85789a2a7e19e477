#include "vizoo/kernels/na2d_general_launch.cuh"
#include "vizoo/kernels/na2d_unfused.cuh"

namespace vizoo::kernels {
namespace {

/// Launches one of the kernels that walk over all tokens, with teams of single elements: what these
/// steps read and write most is attn.
template <template <class> class Kernel>
cudaError_t launch_unfused(const Na2dUnfusedParameters<void>& p,
                           Na2dElement element,
                           cudaStream_t stream) {
  if (!kernel_fits(Na2dCudaKernel::general, p.shape, element, false)) return cudaErrorNotSupported;
  return cuda::with_element(element, [&](auto zero) {
    using T = decltype(zero);
    return cuda::with_lanes<T, 1>(p.shape.head_dim, [&](auto team) {
      return cuda::launch(Kernel<decltype(team)>::function(),
                          cuda::team_blocks<decltype(team)>(p.shape),
                          cuda::kGeneralThreads,
                          0,
                          stream,
                          cuda::typed<T>(p));
    });
  });
}

// Function templates as template arguments.
template <class Team>
struct Scores {
  static auto function() { return &cuda::unfused_scores<Team>; }
};
template <class Team>
struct Gather {
  static auto function() { return &cuda::unfused_gather<Team>; }
};
template <class Team>
struct Scatter {
  static auto function() { return &cuda::unfused_scatter<Team>; }
};

}  // namespace

cudaError_t na2d_cuda_scores(const Na2dUnfusedParameters<void>& parameters,
                             Na2dElement element,
                             cudaStream_t stream) {
  return launch_unfused<Scores>(parameters, element, stream);
}

cudaError_t na2d_cuda_gather(const Na2dUnfusedParameters<void>& parameters,
                             Na2dElement element,
                             cudaStream_t stream) {
  return launch_unfused<Gather>(parameters, element, stream);
}

cudaError_t na2d_cuda_scatter(const Na2dUnfusedParameters<void>& parameters,
                              Na2dElement element,
                              cudaStream_t stream) {
  return launch_unfused<Scatter>(parameters, element, stream);
}

cudaError_t na2d_cuda_bias_gradient(const Na2dUnfusedParameters<void>& parameters,
                                    void* grad_rpb,
                                    void* workspace,
                                    Na2dElement element,
                                    cudaStream_t stream) {
  auto p = parameters;
  if (!kernel_fits(Na2dCudaKernel::general, p.shape, element, false)) return cudaErrorNotSupported;
  p.slices = bias_slices(Na2dCudaKernel::general, p.shape);
  p.partials = workspace;
  const auto error = cuda::with_element(element, [&](auto zero) {
    using T = decltype(zero);
    return cuda::launch(&cuda::unfused_bias<T>,
                        p.slices * p.shape.heads,
                        cuda::kGeneralThreads,
                        bias_sums_bytes(p.shape, cuda::kBiasQueries, sizeof(SumOf<T>)),
                        stream,
                        cuda::typed<T>(p));
  });
  if (error != cudaSuccess) return error;
  return cuda::launch_sum_bias_partials(
      p.partials, p.slices, p.shape.heads * bias_size(p.shape), grad_rpb, element, stream);
}

}  // namespace vizoo::kernels
