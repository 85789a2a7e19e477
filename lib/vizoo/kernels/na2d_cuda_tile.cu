#include "vizoo/kernels/na2d_launch.cuh"
#include "vizoo/kernels/na2d_tile_backward.cuh"
#include "vizoo/kernels/na2d_tile_forward.cuh"

namespace vizoo::kernels::cuda {
namespace {

template <int kValue>
using Constant = std::integral_constant<int, kValue>;

/// Calls function(T(), head dimension, steps) with the smallest instance that holds the plan: 4
/// steps hold patches of K x K up to 5 x 5 and dense groups up to 64 tokens, 7 hold 7 x 7, 13 hold
/// 11 x 11.
template <class Function>
cudaError_t with_instance(Na2dElement element,
                          int head_dim,
                          const TilePlan& plan,
                          const Function& function) {
  return with_half_element(element, [&](auto zero) {
    const auto with_steps = [&](auto dim) {
      if (plan.steps <= 4) return function(zero, dim, Constant<4>());
      if (plan.steps <= 7) return function(zero, dim, Constant<7>());
      return function(zero, dim, Constant<kMaxScoreSteps>());
    };
    return head_dim == 32 ? with_steps(Constant<32>()) : with_steps(Constant<64>());
  });
}

int threads_of(const TilePlan& plan) { return plan.patches[0] * plan.patches[1] * 32; }

}  // namespace

cudaError_t launch_tile_forward(const Na2dForwardParameters<void>& p,
                                Na2dElement element,
                                cudaStream_t stream) {
  const TilePlan plan = make_tile_plan(p.shape, TilePass::forward);
  return with_instance(element, p.shape.head_dim, plan, [&](auto zero, auto dim, auto steps) {
    using T = decltype(zero);
    return launch(&tile_forward<T, decltype(dim)::value, decltype(steps)::value>,
                  tile_slots(p.shape, plan) * p.shape.heads,
                  threads_of(plan),
                  tile_layout(p.shape, plan, TilePass::forward).bytes,
                  stream,
                  typed<T>(p),
                  plan);
  });
}

cudaError_t launch_tile_backward(const Na2dBackwardParameters<void>& p,
                                 Na2dElement element,
                                 cudaStream_t stream) {
  const TilePlan plan = make_tile_plan(p.shape, TilePass::backward_queries);
  const auto error =
      with_instance(element, p.shape.head_dim, plan, [&](auto zero, auto dim, auto steps) {
        using T = decltype(zero);
        return launch(&tile_backward_queries<T, decltype(dim)::value, decltype(steps)::value>,
                      tile_slots(p.shape, plan) * p.shape.heads,
                      threads_of(plan),
                      tile_layout(p.shape, plan, TilePass::backward_queries).bytes,
                      stream,
                      typed<T>(p),
                      plan);
      });
  if (error != cudaSuccess) return error;
  const TilePlan inverse = make_tile_plan(p.shape, TilePass::backward_keys);
  return with_half_element(element, [&](auto zero) {
    using T = decltype(zero);
    return launch(p.shape.head_dim == 32 ? &tile_backward_keys<T, 32> : &tile_backward_keys<T, 64>,
                  tile_slots(p.shape, inverse) * p.shape.heads,
                  threads_of(inverse),
                  tile_layout(p.shape, inverse, TilePass::backward_keys).bytes,
                  stream,
                  typed<T>(p),
                  inverse);
  });
}

}  // namespace vizoo::kernels::cuda
