#pragma once

// The index arithmetic of neighborhood attention, one axis at a time, once for CPU and CUDA.
// Source: Hassani et al., "Neighborhood Attention Transformer" (arXiv:2204.07143) and "Dilated
// Neighborhood Attention Transformer" (arXiv:2209.15001), as NATTEN 0.14.6 computes it.

#if defined(__CUDACC__)
#define VIZOO_HOST_DEVICE __host__ __device__ __forceinline__
#else
// Inlined always: a file compiled for AVX-512 must not leave its copy for everyone to call.
#define VIZOO_HOST_DEVICE __attribute__((always_inline)) inline
#endif

namespace vizoo::kernels {

/// Positions [begin, end) of one dilation group.
struct PositionRange {
  int begin;
  int end;
};

/// A dilation splits an axis of `length` tokens into groups: token i belongs to group
/// i mod dilation, at position i div dilation. Number of tokens in a group:
/// ceil((length - group) / dilation), for 0 <= group < dilation <= length.
VIZOO_HOST_DEVICE constexpr int group_length(int length, int dilation, int group) {
  return (length - group + dilation - 1) / dilation;
}

/// First key position of the window of the query at `position`: centred where it fits, else shifted
/// inwards, never cut: clamp(position - K / 2, 0, group_length - K). Needs group_length >= K, which
/// K * dilation <= length guarantees; K is odd.
VIZOO_HOST_DEVICE constexpr int window_begin(int position, int group_length, int kernel_size) {
  const int centred = position - kernel_size / 2;
  const int last = group_length - kernel_size;
  return centred < 0 ? 0 : (centred > last ? last : centred);
}

/// The queries whose window holds the key at `position`: one range of at least K / 2 + 1 and at
/// most 2K - 1 positions. It is what makes gradients of keys and values sums without atomics.
VIZOO_HOST_DEVICE constexpr PositionRange queries_of_key(int position,
                                                         int group_length,
                                                         int kernel_size) {
  const int radius = kernel_size / 2;
  const int begin = position < kernel_size ? 0 : position - radius;
  const int end = position >= group_length - kernel_size ? group_length : position + radius + 1;
  return {begin, end};
}

/// Index into an axis of the relative positional bias, 2K - 1 long, for a query and the first key
/// of its window; the following keys have the following indices: key - query + K - 1.
VIZOO_HOST_DEVICE constexpr int bias_begin(int position, int group_length, int kernel_size) {
  return window_begin(position, group_length, kernel_size) - position + kernel_size - 1;
}

}  // namespace vizoo::kernels
