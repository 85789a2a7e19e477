#pragma once

// What the CUDA kernels of neighborhood attention are given. Results are contiguous or lie as their
// Na2dTensor says; lse and delta are contiguous [B, H, W, heads]; rpb is contiguous
// [heads, 2 Kh - 1, 2 Kw - 1] or null. With T = void they are what a caller that knows the element
// type only at run time fills in (na2d_cuda.h).

#include <type_traits>

#include "vizoo/kernels/na2d.h"
#include "vizoo/kernels/na_window.h"

namespace vizoo::kernels {

/// What sums of T are kept in.
template <class T>
using SumOf = std::conditional_t<std::is_same_v<T, double> || std::is_void_v<T>, T, float>;

template <class T>
struct Na2dForwardParameters {
  Na2dShape shape;
  Na2dTensor<const T> query;
  Na2dTensor<const T> key;
  Na2dTensor<const T> value;
  const T* rpb = nullptr;
  Na2dTensor<T> out;
  SumOf<T>* lse = nullptr;  ///< may be null
};

template <class T>
struct Na2dBackwardParameters {
  Na2dShape shape;
  Na2dTensor<const T> grad_out;
  Na2dTensor<const T> query;
  Na2dTensor<const T> key;
  Na2dTensor<const T> value;
  Na2dTensor<const T> out;
  const T* rpb = nullptr;
  const SumOf<T>* lse = nullptr;
  Na2dTensor<T> grad_query;
  Na2dTensor<T> grad_key;
  Na2dTensor<T> grad_value;
  SumOf<T>* delta = nullptr;     ///< grad_out . out of each query: the kernel of queries writes it
  SumOf<T>* partials = nullptr;  ///< [slices, heads, 2 Kh - 1, 2 Kw - 1], null if not wanted
  int64_t slices = 1;  ///< into how many sums of its own a head's gradient of rpb is split
};

/// One of the unfused steps; which members it uses is said at each kernel. attn is contiguous
/// [B, heads, H, W, Kh * Kw].
template <class T>
struct Na2dUnfusedParameters {
  Na2dShape shape;
  Na2dTensor<const T> left;
  Na2dTensor<const T> right;
  const T* rpb = nullptr;
  const T* attn_in = nullptr;
  T* attn_out = nullptr;
  Na2dTensor<T> out;
  SumOf<T>* partials = nullptr;
  int64_t slices = 1;
};

/// Elements of one head's bias.
VIZOO_HOST_DEVICE constexpr int bias_size(const Na2dShape& shape) {
  return (2 * shape.kernel_size[0] - 1) * (2 * shape.kernel_size[1] - 1);
}

/// Where the row of D elements of one token and head begins.
template <class T>
VIZOO_HOST_DEVICE constexpr T* row_of(
    const Na2dTensor<T>& tensor, int64_t batch, int64_t head, int64_t y, int64_t x) {
  return tensor.data + batch * tensor.batch_stride + head * tensor.head_stride +
         y * tensor.row_stride + x * tensor.column_stride;
}

/// Index into lse and delta.
VIZOO_HOST_DEVICE constexpr int64_t statistic_index(
    const Na2dShape& shape, int64_t batch, int64_t head, int64_t y, int64_t x) {
  return ((batch * shape.height + y) * shape.width + x) * shape.heads + head;
}

}  // namespace vizoo::kernels
