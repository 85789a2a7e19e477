#include "vizoo/kernels/na2d_general.cuh"
#include "vizoo/kernels/na2d_general_launch.cuh"
#include "vizoo/kernels/na2d_launch.cuh"

namespace vizoo::kernels::cuda {

cudaError_t launch_general_forward(const Na2dForwardParameters<void>& p,
                                   Na2dElement element,
                                   cudaStream_t stream) {
  return with_element(element, [&](auto zero) {
    using T = decltype(zero);
    return with_team<T>(
        p.shape,
        [&](auto team) {
          return launch(&general_forward<decltype(team)>,
                        team_blocks<decltype(team)>(p.shape),
                        kGeneralThreads,
                        0,
                        stream,
                        typed<T>(p));
        },
        p.query,
        p.key,
        p.value,
        p.out);
  });
}

cudaError_t launch_general_backward(const Na2dBackwardParameters<void>& p,
                                    Na2dElement element,
                                    cudaStream_t stream) {
  return with_element(element, [&](auto zero) {
    using T = decltype(zero);
    return with_team<T>(
        p.shape,
        [&](auto team) {
          using TeamType = decltype(team);
          const int64_t shared = p.partials == nullptr
                                     ? 0
                                     : bias_sums_bytes(p.shape, TeamType::kTeams, sizeof(SumOf<T>));
          const auto error = launch(&general_backward_queries<TeamType>,
                                    p.slices * p.shape.heads,
                                    kGeneralThreads,
                                    shared,
                                    stream,
                                    typed<T>(p));
          if (error != cudaSuccess) return error;
          return launch(&general_backward_keys<TeamType>,
                        team_blocks<TeamType>(p.shape),
                        kGeneralThreads,
                        0,
                        stream,
                        typed<T>(p));
        },
        p.grad_out,
        p.query,
        p.key,
        p.value,
        p.out,
        p.grad_query,
        p.grad_key,
        p.grad_value);
  });
}

cudaError_t launch_sum_bias_partials(const void* partials,
                                     int64_t slices,
                                     int64_t size,
                                     void* grad_rpb,
                                     Na2dElement element,
                                     cudaStream_t stream) {
  return with_element(element, [&](auto zero) {
    using T = decltype(zero);
    constexpr int kWarps = kGeneralThreads / 32;
    return launch(&sum_bias_partials<T>,
                  (size + kWarps - 1) / kWarps,
                  kGeneralThreads,
                  0,
                  stream,
                  static_cast<const SumOf<T>*>(partials),
                  slices,
                  size,
                  static_cast<T*>(grad_rpb));
  });
}

}  // namespace vizoo::kernels::cuda
