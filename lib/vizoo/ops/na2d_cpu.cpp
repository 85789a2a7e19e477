#include "vizoo/ops/na2d_cpu.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Dispatch.h>
#include <ATen/Version.h>

#include <algorithm>
#include <string>

#include "vizoo/kernels/na2d_cpu.h"
#include "vizoo/ops/parallel.h"

namespace vizoo::ops::cpu {
namespace {

using kernels::Na2dShape;
using kernels::Na2dTensor;
using OptionalTensor = std::optional<at::Tensor>;

// The kernels' names for the element types of tensors.
template <class T>
struct KernelType {
  using type = T;
};
template <>
struct KernelType<at::Half> {
  using type = kernels::Float16;
};
template <>
struct KernelType<at::BFloat16> {
  using type = kernels::BFloat16;
};

// Calls body with a value of the kernels' type for `type`.
template <class Body>
void dispatch(at::ScalarType type, Body&& body) {
  AT_DISPATCH_FLOATING_TYPES_AND2(
      at::kHalf, at::kBFloat16, type, "na2d", [&] { body(typename KernelType<scalar_t>::type{}); });
}

// ATen's choice of instruction set, which ATEN_CPU_CAPABILITY can lower, as far as it is ours.
template <class T>
const kernels::Na2dCpuKernels<T>& kernels_for() {
  static const auto capability = [] {
    const std::string name = at::get_cpu_capability();
    auto limit = kernels::CpuCapability::portable;
    if (name == "AVX2") limit = kernels::CpuCapability::avx2;
    if (name == "AVX512") limit = kernels::CpuCapability::avx512;
    return std::min(limit, kernels::cpu_capability());
  }();
  return kernels::na2d_cpu_kernels<T>(capability);
}

// Which dimension of a tensor is which.
struct Axes {
  int64_t row;
  int64_t column;
  int64_t head;
};
constexpr Axes kFused{1, 2, 3};    // [B, H, W, heads, D]
constexpr Axes kUnfused{2, 3, 1};  // [B, heads, H, W, D]

Na2dShape make_shape(const at::Tensor& tensor,
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
  for (std::size_t axis = 0; axis < 2; ++axis) {
    shape.kernel_size[axis] = static_cast<int>(kernel_size[axis]);
    shape.dilation[axis] = static_cast<int>(dilation[axis]);
  }
  shape.scale = scale;
  return shape;
}

template <class T>
Na2dTensor<T> view(const at::Tensor& tensor, Axes axes) {
  return {static_cast<T*>(tensor.data_ptr()),
          tensor.stride(0),
          tensor.stride(axes.row),
          tensor.stride(axes.column),
          tensor.stride(axes.head)};
}

template <class T>
Na2dTensor<const T> const_view(const at::Tensor& tensor, Axes axes) {
  return {static_cast<const T*>(tensor.const_data_ptr()),
          tensor.stride(0),
          tensor.stride(axes.row),
          tensor.stride(axes.column),
          tensor.stride(axes.head)};
}

at::Tensor contiguous_channels(const at::Tensor& tensor) {
  return tensor.stride(4) == 1 || tensor.size(4) == 1 ? tensor : tensor.contiguous();
}

at::Tensor empty_like_contiguous(const at::Tensor& tensor) {
  return at::empty(tensor.sizes(), tensor.options());
}

at::ScalarType accumulator_type(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

bool has(const OptionalTensor& rpb) { return rpb.has_value() && rpb->defined(); }

// rpb as the kernels read it: numbers of the accumulator's type, with room behind them.
at::Tensor padded_rpb(const OptionalTensor& rpb) {
  if (!has(rpb)) return {};
  auto padded = at::zeros({rpb->numel() + kernels::kRpbPadding},
                          rpb->options().dtype(accumulator_type(*rpb)));
  padded.narrow(0, 0, rpb->numel()).copy_(rpb->flatten());
  return padded;
}

template <class A>
const A* data_or_null(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<A>() : nullptr;
}

// Runs all tasks of a kernel, each thread with a workspace of its own.
template <class Problem, class Kernel>
void run(const Problem& problem, Kernel kernel, int64_t tasks, std::size_t workspace_bytes) {
  // Below this many multiplications a second thread costs more than it brings.
  constexpr int64_t kLeastWork = 1 << 17;
  const auto& shape = problem.shape;
  const int64_t window = int64_t{shape.kernel_size[0]} * shape.kernel_size[1];
  const int64_t tokens = shape.batch * shape.heads * shape.height * shape.width;
  const int64_t work = std::max<int64_t>(1, 2 * tokens * window * shape.head_dim / tasks);
  const int64_t grain = std::max<int64_t>(1, kLeastWork / work);
  parallel_for(tasks, grain, [&](int64_t first, int64_t last) {
    const auto workspace = at::getCPUAllocator()->allocate(workspace_bytes);  // 64-byte aligned
    kernel(problem, first, last, workspace.get());
  });
}

template <class T>
void run_forward(const kernels::Na2dForward<T>& problem,
                 decltype(kernels::Na2dCpuKernels<T>::forward) kernel) {
  const int64_t tasks = kernels::forward_tasks(problem.shape);
  if (tasks == 0) return;
  run(problem,
      kernel,
      tasks,
      kernels::forward_workspace(problem.shape, sizeof(kernels::AccumulatorOf<T>)));
}

// Also makes the gradient of rpb, of the dtype and sizes of `rpb`; [0] where there is none.
template <class T>
at::Tensor run_backward(kernels::Na2dBackward<T>& problem,
                        decltype(kernels::Na2dCpuKernels<T>::backward) kernel,
                        const OptionalTensor& rpb,
                        const at::TensorOptions& options) {
  const auto& shape = problem.shape;
  const int64_t tasks = kernels::backward_tasks(shape);
  at::Tensor partial;
  if (has(rpb)) {
    // [heads, tasks of a head, 2 Kh - 1, 2 Kw - 1]
    partial =
        at::zeros({shape.heads, tasks / shape.heads, rpb->size(1), rpb->size(2)}, at::kDouble);
    problem.grad_rpb = partial.mutable_data_ptr<double>();
  }
  if (tasks > 0) {
    run(problem,
        kernel,
        tasks,
        kernels::backward_workspace(shape, sizeof(kernels::AccumulatorOf<T>)));
  }
  if (!has(rpb)) return at::empty({0}, options);
  auto sum = at::zeros({shape.heads, rpb->size(1), rpb->size(2)}, at::kDouble);
  for (int64_t i = 0; i < partial.size(1); ++i) sum += partial.select(1, i);  // in a fixed order
  return sum.to(rpb->scalar_type());
}

at::Tensor forward(const at::Tensor& query,
                   const at::Tensor& key,
                   const at::Tensor& value,
                   const OptionalTensor& rpb,
                   at::IntArrayRef kernel_size,
                   at::IntArrayRef dilation,
                   double scale,
                   at::Tensor* lse) {
  auto out = empty_like_contiguous(query);
  const auto bias = padded_rpb(rpb);
  if (lse != nullptr) {
    *lse = at::empty(query.sizes().slice(0, 4), query.options().dtype(accumulator_type(query)));
  }
  dispatch(query.scalar_type(), [&](auto type) {
    using T = decltype(type);
    using A = kernels::AccumulatorOf<T>;
    kernels::Na2dForward<T> problem;
    problem.shape = make_shape(query, kFused, kernel_size, dilation, scale);
    problem.query = const_view<T>(query, kFused);
    problem.key = const_view<T>(key, kFused);
    problem.value = const_view<T>(value, kFused);
    problem.rpb = data_or_null<A>(bias);
    problem.out = view<T>(out, kFused);
    if (lse != nullptr) problem.lse = lse->template mutable_data_ptr<A>();
    run_forward(problem, kernels_for<T>().forward);
  });
  return out;
}

}  // namespace

at::Tensor na2d(const at::Tensor& query,
                const at::Tensor& key,
                const at::Tensor& value,
                const OptionalTensor& rpb,
                at::IntArrayRef kernel_size,
                at::IntArrayRef dilation,
                double scale) {
  return forward(query, key, value, rpb, kernel_size, dilation, scale, nullptr);
}

std::tuple<at::Tensor, at::Tensor> na2d_forward(const at::Tensor& query,
                                                const at::Tensor& key,
                                                const at::Tensor& value,
                                                const OptionalTensor& rpb,
                                                at::IntArrayRef kernel_size,
                                                at::IntArrayRef dilation,
                                                double scale) {
  at::Tensor lse;
  auto out = forward(query, key, value, rpb, kernel_size, dilation, scale, &lse);
  return {out, lse};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> na2d_backward(
    const at::Tensor& grad_out,
    const at::Tensor& query,
    const at::Tensor& key,
    const at::Tensor& value,
    const OptionalTensor& rpb,
    const at::Tensor& /*out*/,
    const at::Tensor& lse,
    at::IntArrayRef kernel_size,
    at::IntArrayRef dilation,
    double scale) {
  const auto given_grad = contiguous_channels(grad_out);
  const auto log_sums = lse.contiguous();
  const auto bias = padded_rpb(rpb);
  auto grad_query = empty_like_contiguous(query);
  auto grad_key = empty_like_contiguous(key);
  auto grad_value = empty_like_contiguous(value);
  at::Tensor grad_rpb;
  dispatch(query.scalar_type(), [&](auto type) {
    using T = decltype(type);
    using A = kernels::AccumulatorOf<T>;
    kernels::Na2dBackward<T> problem;
    problem.shape = make_shape(query, kFused, kernel_size, dilation, scale);
    problem.query = const_view<T>(query, kFused);
    problem.key = const_view<T>(key, kFused);
    problem.value = const_view<T>(value, kFused);
    problem.rpb = data_or_null<A>(bias);
    problem.grad_out = const_view<T>(given_grad, kFused);
    problem.lse = log_sums.const_data_ptr<A>();
    problem.grad_query = view<T>(grad_query, kFused);
    problem.grad_key = view<T>(grad_key, kFused);
    problem.grad_value = view<T>(grad_value, kFused);
    grad_rpb = run_backward(problem, kernels_for<T>().backward, rpb, query.options());
  });
  return {grad_query, grad_key, grad_value, grad_rpb};
}

at::Tensor na2d_qk(const at::Tensor& query,
                   const at::Tensor& key,
                   const OptionalTensor& rpb,
                   at::IntArrayRef kernel_size,
                   at::IntArrayRef dilation) {
  auto sizes = query.sizes().vec();
  sizes[4] = kernel_size[0] * kernel_size[1];
  auto scores = at::empty(sizes, query.options());
  const auto bias = padded_rpb(rpb);
  dispatch(query.scalar_type(), [&](auto type) {
    using T = decltype(type);
    kernels::Na2dForward<T> problem;
    problem.shape = make_shape(query, kUnfused, kernel_size, dilation);
    problem.query = const_view<T>(query, kUnfused);
    problem.key = const_view<T>(key, kUnfused);
    problem.rpb = data_or_null<kernels::AccumulatorOf<T>>(bias);
    problem.scores = static_cast<T*>(scores.mutable_data_ptr());
    run_forward(problem, kernels_for<T>().qk);
  });
  return scores;
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> na2d_qk_backward(const at::Tensor& grad_attn,
                                                                const at::Tensor& query,
                                                                const at::Tensor& key,
                                                                const OptionalTensor& rpb,
                                                                at::IntArrayRef kernel_size,
                                                                at::IntArrayRef dilation) {
  const auto grad_scores = grad_attn.contiguous();
  auto grad_query = empty_like_contiguous(query);
  auto grad_key = empty_like_contiguous(key);
  at::Tensor grad_rpb;
  dispatch(query.scalar_type(), [&](auto type) {
    using T = decltype(type);
    kernels::Na2dBackward<T> problem;
    problem.shape = make_shape(query, kUnfused, kernel_size, dilation);
    problem.query = const_view<T>(query, kUnfused);
    problem.key = const_view<T>(key, kUnfused);
    problem.grad_scores = static_cast<const T*>(grad_scores.const_data_ptr());
    problem.grad_query = view<T>(grad_query, kUnfused);
    problem.grad_key = view<T>(grad_key, kUnfused);
    grad_rpb = run_backward(problem, kernels_for<T>().qk_backward, rpb, query.options());
  });
  return {grad_query, grad_key, grad_rpb};
}

at::Tensor na2d_av(const at::Tensor& attn,
                   const at::Tensor& value,
                   at::IntArrayRef kernel_size,
                   at::IntArrayRef dilation) {
  const auto weights = attn.contiguous();
  auto out = empty_like_contiguous(value);
  dispatch(value.scalar_type(), [&](auto type) {
    using T = decltype(type);
    kernels::Na2dForward<T> problem;
    problem.shape = make_shape(value, kUnfused, kernel_size, dilation);
    problem.value = const_view<T>(value, kUnfused);
    problem.out = view<T>(out, kUnfused);
    problem.attn = static_cast<const T*>(weights.const_data_ptr());
    run_forward(problem, kernels_for<T>().av);
  });
  return out;
}

std::tuple<at::Tensor, at::Tensor> na2d_av_backward(const at::Tensor& grad_out,
                                                    const at::Tensor& attn,
                                                    const at::Tensor& value,
                                                    at::IntArrayRef kernel_size,
                                                    at::IntArrayRef dilation) {
  const auto given_grad = contiguous_channels(grad_out);
  const auto weights = attn.contiguous();
  auto grad_attn = empty_like_contiguous(attn);
  auto grad_value = empty_like_contiguous(value);
  dispatch(value.scalar_type(), [&](auto type) {
    using T = decltype(type);
    kernels::Na2dBackward<T> problem;
    problem.shape = make_shape(value, kUnfused, kernel_size, dilation);
    problem.value = const_view<T>(value, kUnfused);
    problem.grad_out = const_view<T>(given_grad, kUnfused);
    problem.attn = static_cast<const T*>(weights.const_data_ptr());
    problem.grad_attn = static_cast<T*>(grad_attn.mutable_data_ptr());
    problem.grad_value = view<T>(grad_value, kUnfused);
    run_backward(problem, kernels_for<T>().av_backward, std::nullopt, value.options());
  });
  return {grad_attn, grad_value};
}

}  // namespace vizoo::ops::cpu
