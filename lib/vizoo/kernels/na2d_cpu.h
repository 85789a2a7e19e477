#pragma once

// CPU kernels of two-dimensional neighborhood attention, fused and unfused, forward and backward.
// Sums are float32 (float64 for float64). Each function does a range of independent tasks, so that
// the caller decides on threads; results do not depend on how tasks are spread.

#include <cstddef>
#include <cstdint>

#include "vizoo/kernels/half_types.h"
#include "vizoo/kernels/na2d.h"

namespace vizoo::kernels {

/// The type of sums, biases and denominators for tensors of T.
template <class T>
struct Accumulator {
  using type = float;
};
template <>
struct Accumulator<double> {
  using type = double;
};
template <class T>
using AccumulatorOf = typename Accumulator<T>::type;

/// Elements that must be readable after the last element of `rpb`.
constexpr int kRpbPadding = 16;

/// Arguments of the forward kernels. What a kernel does not name in its comment may stay empty.
template <class T>
struct Na2dForward {
  Na2dShape shape;
  Na2dTensor<const T> query;
  Na2dTensor<const T> key;
  Na2dTensor<const T> value;
  /// [heads, 2 Kh - 1, 2 Kw - 1], contiguous, with kRpbPadding elements after it; or null.
  const AccumulatorOf<T>* rpb = nullptr;
  Na2dTensor<T> out;
  AccumulatorOf<T>* lse = nullptr;  ///< [B, H, W, heads], contiguous; or null
  const T* attn = nullptr;          ///< [B, heads, H, W, Kh * Kw], contiguous, given
  T* scores = nullptr;              ///< the same, to be written
};

/// Arguments of the backward kernels.
template <class T>
struct Na2dBackward {
  Na2dShape shape;
  Na2dTensor<const T> query;
  Na2dTensor<const T> key;
  Na2dTensor<const T> value;
  const AccumulatorOf<T>* rpb = nullptr;
  Na2dTensor<const T> grad_out;
  const AccumulatorOf<T>* lse = nullptr;
  const T* attn = nullptr;         ///< [B, heads, H, W, Kh * Kw], contiguous
  const T* grad_scores = nullptr;  ///< the same
  Na2dTensor<T> grad_query;
  Na2dTensor<T> grad_key;
  Na2dTensor<T> grad_value;
  T* grad_attn = nullptr;
  /// [backward_tasks, 2 Kh - 1, 2 Kw - 1], zeros before; task t belongs to head
  /// t / (backward_tasks / heads), whose gradient is the sum over its tasks; or null.
  double* grad_rpb = nullptr;
};

/// The kernels for tensors of T, best first instruction set of this processor.
template <class T>
struct Na2dCpuKernels {
  /// Reads query, key, value, rpb; writes out and lse. Tasks: forward_tasks.
  void (*forward)(const Na2dForward<T>&, int64_t first, int64_t last, void* workspace);
  /// Reads query, key, rpb; writes scores, without scale. Tasks: forward_tasks.
  void (*qk)(const Na2dForward<T>&, int64_t first, int64_t last, void* workspace);
  /// Reads attn, value; writes out. Tasks: forward_tasks.
  void (*av)(const Na2dForward<T>&, int64_t first, int64_t last, void* workspace);
  /// Reads query, key, value, rpb, grad_out, lse; writes the gradients of query, key, value and
  /// rpb. Tasks: backward_tasks.
  void (*backward)(const Na2dBackward<T>&, int64_t first, int64_t last, void* workspace);
  /// Reads grad_scores, query, key; writes the gradients of query, key and rpb.
  void (*qk_backward)(const Na2dBackward<T>&, int64_t first, int64_t last, void* workspace);
  /// Reads attn, value, grad_out; writes grad_attn and grad_value.
  void (*av_backward)(const Na2dBackward<T>&, int64_t first, int64_t last, void* workspace);
};

/// Instruction sets that the kernels are compiled for, in rising order.
enum class CpuCapability { portable, avx2, avx512 };

/// The best that this processor has (AVX-512 means F, BW, DQ and VL).
CpuCapability cpu_capability();

template <class T>
const Na2dCpuKernels<T>& na2d_cpu_kernels(CpuCapability capability);

/// Number of tasks of the forward kernels.
int64_t forward_tasks(const Na2dShape& shape);

/// Number of tasks of the backward kernels, a multiple of the heads. It depends on the shape alone,
/// so that sums over tasks are the same whatever the number of threads.
int64_t backward_tasks(const Na2dShape& shape);

/// Bytes of 64-byte aligned workspace that each call needs.
std::size_t forward_workspace(const Na2dShape& shape, std::size_t element_size);
std::size_t backward_workspace(const Na2dShape& shape, std::size_t element_size);

}  // namespace vizoo::kernels
