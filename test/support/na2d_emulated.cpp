#include "test/support/na2d_emulated.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <stdexcept>

#include "test/support/cuda_emulator.h"
// The kernels come after what stands in for the hardware.
#include "vizoo/kernels/na2d_dense_backward.cuh"
#include "vizoo/kernels/na2d_general.cuh"
#include "vizoo/kernels/na2d_tile_backward.cuh"
#include "vizoo/kernels/na2d_tile_forward.cuh"
#include "vizoo/kernels/na2d_unfused.cuh"

namespace vizoo::test {
namespace {

using kernels::Na2dCudaKernel;
using kernels::Na2dElement;
using kernels::TilePass;

Na2dElement element_of(at::ScalarType type) {
  switch (type) {
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

/// [B, H, W, heads, D]
template <class T>
kernels::Na2dTensor<const T> input(const at::Tensor& x) {
  return {x.const_data_ptr<T>(), x.stride(0), x.stride(1), x.stride(2), x.stride(3)};
}
template <class T>
kernels::Na2dTensor<T> result(const at::Tensor& x) {
  return {x.mutable_data_ptr<T>(), x.stride(0), x.stride(1), x.stride(2), x.stride(3)};
}

/// Filled with NaN, so that what is not written shows.
at::Tensor poisoned(at::IntArrayRef sizes, const at::Tensor& like) {
  return at::full(sizes, std::nan(""), like.options());
}

bool is_aligned(const at::Tensor& x) {
  for (int i = 0; i < 4; ++i) {
    if (x.stride(i) % 8 != 0) return false;
  }
  return reinterpret_cast<uintptr_t>(x.const_data_ptr()) % 16 == 0;
}

at::ScalarType sum_type(at::ScalarType type) {
  return type == at::kDouble ? at::kDouble : at::kFloat;
}

/// A team for the head dimension, as na2d_general_launch.cuh chooses it.
template <class T, int kVector, class Function>
void with_team(int head_dim, const Function& function) {
  using kernels::cuda::Team;
  if (head_dim <= 32) {
    function(Team<T, 8, 4, kVector>());
  } else if (head_dim <= 64) {
    function(Team<T, 8, 8, kVector>());
  } else {
    function(Team<T, 32, 8, kVector>());
  }
}

int64_t blocks_for(int64_t tokens, int teams) {
  // Fewer blocks than teams need, so that the walk over the grid is tested too.
  return std::max<int64_t>(1, (tokens + teams - 1) / teams / 2);
}

/// The plan of a GPU, but with so few blocks that each has several items to walk over.
kernels::TilePlan plan_with_walks(const kernels::Na2dShape& shape, TilePass pass) {
  auto plan = kernels::make_tile_plan(shape, pass);
  plan.slices = std::min<int64_t>(plan.slices, 2);
  return plan;
}

int64_t slices_with_walks(Na2dCudaKernel kernel, const kernels::Na2dShape& shape) {
  if (kernel == Na2dCudaKernel::gathered_tile) {
    return kernels::tile_slots(shape, plan_with_walks(shape, TilePass::backward_queries));
  }
  return std::min<int64_t>(kernels::bias_slices(kernel, shape), 3);
}

template <class T>
struct Problem {
  kernels::Na2dForwardParameters<T> forward;
  kernels::Na2dBackwardParameters<T> backward;
  Na2dTensors tensors;
  at::Tensor delta;
  at::Tensor partials;
};

template <class T>
Problem<T> prepare(const Na2dCase& c, Na2dCudaKernel kernel) {
  using Sum = kernels::SumOf<T>;
  Problem<T> problem;
  const kernels::Na2dShape shape = kernel_shape(c.sizes);
  const auto options = c.query.options().dtype(sum_type(c.dtype));
  Na2dTensors& t = problem.tensors;
  t.out = poisoned(c.query.sizes(), c.query);
  t.lse = at::full(c.query.sizes().slice(0, 4), std::nan(""), options);
  t.grad_query = poisoned(c.query.sizes(), c.query);
  t.grad_key = poisoned(c.query.sizes(), c.query);
  t.grad_value = poisoned(c.query.sizes(), c.query);
  const at::Tensor delta = at::full_like(t.lse, std::nan(""));
  problem.delta = delta;
  const T* rpb = c.rpb ? c.rpb->const_data_ptr<T>() : nullptr;
  problem.forward = {shape,
                     input<T>(c.query),
                     input<T>(c.key),
                     input<T>(c.value),
                     rpb,
                     result<T>(t.out),
                     t.lse.mutable_data_ptr<Sum>()};
  auto& b = problem.backward;
  b.shape = shape;
  b.grad_out = input<T>(c.grad_out);
  b.query = input<T>(c.query);
  b.key = input<T>(c.key);
  b.value = input<T>(c.value);
  b.out = input<T>(t.out);
  b.rpb = rpb;
  b.lse = t.lse.const_data_ptr<Sum>();
  b.grad_query = result<T>(t.grad_query);
  b.grad_key = result<T>(t.grad_key);
  b.grad_value = result<T>(t.grad_value);
  b.delta = delta.mutable_data_ptr<Sum>();
  b.slices = slices_with_walks(kernel, shape);
  if (c.rpb) {
    t.grad_rpb = poisoned(c.rpb->sizes(), *c.rpb);
    const at::Tensor partials =
        at::full({b.slices, shape.heads, kernels::bias_size(shape)}, std::nan(""), options);
    problem.partials = partials;
    b.partials = partials.mutable_data_ptr<Sum>();
  }
  return problem;
}

template <class T>
void sum_partials(Problem<T>& problem, bool reversed) {
  if (!problem.partials.defined()) return;
  const at::Tensor grad_rpb = problem.tensors.grad_rpb;
  const int64_t size = grad_rpb.numel();
  emulate((size + 3) / 4,
          kernels::cuda::kGeneralThreads,
          0,
          [&] {
            kernels::cuda::sum_bias_partials<T>(problem.backward.partials,
                                                problem.backward.slices,
                                                size,
                                                grad_rpb.mutable_data_ptr<T>());
          },
          reversed);
}

template <class T, int kVector>
void run_general(Problem<T>& problem, bool reversed) {
  const auto& shape = problem.forward.shape;
  const int64_t tokens = shape.batch * shape.heads * shape.height * shape.width;
  with_team<T, kVector>(shape.head_dim, [&](auto team) {
    using TeamType = decltype(team);
    constexpr int kThreads = kernels::cuda::kGeneralThreads;
    const int64_t blocks = blocks_for(tokens, TeamType::kTeams);
    const auto& p = problem.backward;
    const int64_t shared =
        p.partials == nullptr
            ? 0
            : kernels::bias_sums_bytes(shape, TeamType::kTeams, sizeof(kernels::SumOf<T>));
    emulate(
        blocks,
        kThreads,
        0,
        [&] { kernels::cuda::general_forward<TeamType>(problem.forward); },
        reversed);
    emulate(
        p.slices * shape.heads,
        kThreads,
        shared,
        [&] { kernels::cuda::general_backward_queries<TeamType>(p); },
        reversed);
    emulate(
        blocks, kThreads, 0, [&] { kernels::cuda::general_backward_keys<TeamType>(p); }, reversed);
  });
}

template <class T, int kHeadDim, int kSteps>
void run_tiles(Problem<T>& problem, Na2dCudaKernel kernel, bool reversed) {
  using namespace kernels;
  const auto& shape = problem.forward.shape;
  const auto run = [&](TilePass pass, const auto& body) {
    const TilePlan plan = plan_with_walks(shape, pass);
    emulate(
        tile_slots(shape, plan) * shape.heads,
        plan.patches[0] * plan.patches[1] * 32,
        tile_layout(shape, plan, pass).bytes,
        [&] { body(plan); },
        reversed);
  };
  run(TilePass::forward, [&](const TilePlan& plan) {
    cuda::tile_forward<T, kHeadDim, kSteps>(problem.forward, plan);
  });
  if (kernel == Na2dCudaKernel::dense_group) {
    emulate(
        problem.backward.slices * shape.heads,
        cuda::kDenseWarps * 32,
        cuda::dense_layout(kHeadDim).bytes,
        [&] { cuda::dense_backward<T, kHeadDim>(problem.backward); },
        reversed);
    return;
  }
  run(TilePass::backward_queries, [&](const TilePlan& plan) {
    cuda::tile_backward_queries<T, kHeadDim, kSteps>(problem.backward, plan);
  });
  run(TilePass::backward_keys,
      [&](const TilePlan& plan) { cuda::tile_backward_keys<T, kHeadDim>(problem.backward, plan); });
}

template <class T>
Na2dTensors run(const Na2dCase& c, Na2dCudaKernel kernel, bool reversed) {
  auto problem = prepare<T>(c, kernel);
  const auto& shape = problem.forward.shape;
  if (kernel == Na2dCudaKernel::general) {
    bool runs_of_four = shape.head_dim % 4 == 0 && sizeof(T) < 8;
    for (const auto& x : {c.query, c.key, c.value, c.grad_out}) {
      for (int i = 0; i < 4; ++i) runs_of_four = runs_of_four && x.stride(i) % 4 == 0;
      const auto address = reinterpret_cast<uintptr_t>(x.const_data_ptr());
      runs_of_four = runs_of_four && address % (4 * sizeof(T)) == 0;
    }
    runs_of_four ? run_general<T, 4>(problem, reversed) : run_general<T, 1>(problem, reversed);
  } else if constexpr (sizeof(T) == 2) {
    const int steps = kernels::make_tile_plan(shape, TilePass::forward).steps;
    if (shape.head_dim == 32 && steps <= 4) {
      run_tiles<T, 32, 4>(problem, kernel, reversed);
    } else if (shape.head_dim == 32 && steps <= 7) {
      run_tiles<T, 32, 7>(problem, kernel, reversed);
    } else if (shape.head_dim == 32) {
      run_tiles<T, 32, 13>(problem, kernel, reversed);
    } else {
      run_tiles<T, 64, 13>(problem, kernel, reversed);
    }
  }
  sum_partials(problem, reversed);
  return problem.tensors;
}

template <class T>
std::vector<at::Tensor> run_unfused(const Na2dCase& c,
                                    const at::Tensor& attn,
                                    const at::Tensor& grad_scores,
                                    bool reversed) {
  using namespace kernels;
  using Sum = SumOf<T>;
  constexpr int kThreads = cuda::kGeneralThreads;
  Na2dUnfusedParameters<T> common;
  common.shape = kernel_shape(c.sizes);
  const auto& shape = common.shape;
  const int64_t tokens = shape.batch * shape.heads * shape.height * shape.width;
  const auto scores = poisoned(attn.sizes(), attn);
  const auto grad_attn = poisoned(attn.sizes(), attn);
  const auto grad_query = poisoned(c.query.sizes(), c.query);
  const auto grad_key = poisoned(c.query.sizes(), c.query);
  const auto out = poisoned(c.query.sizes(), c.query);
  const auto grad_value = poisoned(c.query.sizes(), c.query);
  at::Tensor grad_rpb;
  with_team<T, 1>(shape.head_dim, [&](auto team) {
    using TeamType = decltype(team);
    const int64_t blocks = blocks_for(tokens, TeamType::kTeams);
    const auto score = [&](const at::Tensor& left,
                           const at::Tensor& right,
                           const T* rpb,
                           const at::Tensor& result_attn) {
      auto p = common;
      p.left = input<T>(left);
      p.right = input<T>(right);
      p.rpb = rpb;
      p.attn_out = result_attn.mutable_data_ptr<T>();
      emulate(
          blocks, kThreads, 0, [&] { cuda::unfused_scores<TeamType>(p); }, reversed);
    };
    const auto gather =
        [&](const at::Tensor& weights, const at::Tensor& right, const at::Tensor& to) {
          auto p = common;
          p.attn_in = weights.const_data_ptr<T>();
          p.right = input<T>(right);
          p.out = result<T>(to);
          emulate(
              blocks, kThreads, 0, [&] { cuda::unfused_gather<TeamType>(p); }, reversed);
        };
    const auto scatter =
        [&](const at::Tensor& weights, const at::Tensor& left, const at::Tensor& to) {
          auto p = common;
          p.attn_in = weights.const_data_ptr<T>();
          p.left = input<T>(left);
          p.out = result<T>(to);
          emulate(
              blocks, kThreads, 0, [&] { cuda::unfused_scatter<TeamType>(p); }, reversed);
        };
    score(c.query, c.key, c.rpb ? c.rpb->const_data_ptr<T>() : nullptr, scores);
    gather(grad_scores, c.key, grad_query);
    scatter(grad_scores, c.query, grad_key);
    gather(attn, c.value, out);
    score(c.grad_out, c.value, nullptr, grad_attn);
    scatter(attn, c.grad_out, grad_value);
  });
  if (c.rpb) {
    Problem<T> sums = prepare<T>(c, Na2dCudaKernel::general);
    auto p = common;
    p.attn_in = grad_scores.const_data_ptr<T>();
    p.partials = sums.backward.partials;
    p.slices = sums.backward.slices;
    emulate(
        p.slices * shape.heads,
        kThreads,
        bias_sums_bytes(shape, cuda::kBiasQueries, sizeof(Sum)),
        [&] { cuda::unfused_bias<T>(p); },
        reversed);
    sum_partials(sums, reversed);
    grad_rpb = sums.tensors.grad_rpb;
  }
  return {scores, grad_query, grad_key, grad_rpb, out, grad_attn, grad_value};
}

/// Calls function(T()) with the case's element type.
template <class Function>
auto with_element(at::ScalarType type, const Function& function) {
  switch (type) {
    case at::kDouble:
      return function(double());
    case at::kHalf:
      return function(at::Half());
    case at::kBFloat16:
      return function(at::BFloat16());
    default:
      return function(float());
  }
}

}  // namespace

kernels::Na2dShape kernel_shape(const Na2dSizes& sizes) {
  kernels::Na2dShape shape;
  shape.batch = sizes.batch;
  shape.heads = sizes.heads;
  shape.height = static_cast<int>(sizes.height);
  shape.width = static_cast<int>(sizes.width);
  shape.head_dim = static_cast<int>(sizes.head_dim);
  for (const size_t axis : {0, 1}) {
    shape.kernel_size[axis] = static_cast<int>(sizes.kernel_size[axis]);
    shape.dilation[axis] = static_cast<int>(sizes.dilation[axis]);
  }
  shape.scale = sizes.scale;
  return shape;
}

bool emulated_fits(const Na2dCase& problem, Na2dCudaKernel kernel) {
  const bool aligned = is_aligned(problem.query) && is_aligned(problem.key) &&
                       is_aligned(problem.value) && is_aligned(problem.grad_out);
  return kernels::kernel_fits(
      kernel, kernel_shape(problem.sizes), element_of(problem.dtype), aligned);
}

Na2dTensors run_emulated(const Na2dCase& problem, Na2dCudaKernel kernel, bool reversed) {
  if (!emulated_fits(problem, kernel)) throw std::invalid_argument(problem.description);
  return with_element(problem.dtype,
                      [&](auto zero) { return run<decltype(zero)>(problem, kernel, reversed); });
}

std::vector<at::Tensor> run_emulated_unfused(const Na2dCase& problem,
                                             const at::Tensor& attn,
                                             const at::Tensor& grad_scores,
                                             bool reversed) {
  return with_element(problem.dtype, [&](auto zero) {
    return run_unfused<decltype(zero)>(problem, attn, grad_scores, reversed);
  });
}

}  // namespace vizoo::test
