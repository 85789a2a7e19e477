#pragma once

// Gradients of the bias without atomics: each block sums into bins of its own, each bin in one
// thread and in a fixed order, and writes them as one row of `partials`; sum_bias_partials adds the
// rows up.

#include "vizoo/kernels/cuda_primitives.cuh"
#include "vizoo/kernels/na2d_parameters.h"

namespace vizoo::kernels::cuda {

constexpr int kGeneralThreads = 128;

/// A block's sums for one head, in shared memory (bias_sums_bytes). A round holds the gradients of
/// the scores of some queries; then each bin of the bias, owned by one thread, collects what those
/// queries have for it.
template <class Sum>
struct BiasSums {
  double* bins;     // [2 Kh - 1, 2 Kw - 1]
  Sum* scores;      // [queries, Kh, Kw] of a round
  int* first_bias;  // [queries, 2]; kNoQuery: the round has no such query

  static constexpr int kNoQuery = 1 << 24;

  /// With `queries` 0 there is nothing to sum and no memory for it.
  VIZOO_DEVICE BiasSums(const Na2dShape& shape, int queries) {
    const int window = shape.kernel_size[0] * shape.kernel_size[1];
    bins = reinterpret_cast<double*>(shared_memory());
    scores = reinterpret_cast<Sum*>(bins + bias_size(shape));
    first_bias = reinterpret_cast<int*>(scores + queries * window);
    if (queries == 0) return;
    for (int bin = thread_index(); bin < bias_size(shape); bin += block_size()) bins[bin] = 0.0;
  }

  /// After a barrier: adds the round to the bins. The next round may begin after another barrier.
  VIZOO_DEVICE void add_round(const Na2dShape& shape, int queries) {
    const int width = 2 * shape.kernel_size[1] - 1;
    const int window = shape.kernel_size[0] * shape.kernel_size[1];
    for (int bin = thread_index(); bin < bias_size(shape); bin += block_size()) {
      const int bin_y = bin / width;
      const int bin_x = bin - bin_y * width;
      Sum total = Sum(0);
      for (int query = 0; query < queries; ++query) {
        const int i = bin_y - first_bias[2 * query];
        const int j = bin_x - first_bias[2 * query + 1];
        if (i >= 0 && i < shape.kernel_size[0] && j >= 0 && j < shape.kernel_size[1]) {
          total += scores[query * window + i * shape.kernel_size[1] + j];
        }
      }
      bins[bin] += static_cast<double>(total);
    }
  }

  /// Each thread writes the bins it owns.
  VIZOO_DEVICE void write(const Na2dShape& shape, Sum* partials) const {
    for (int bin = thread_index(); bin < bias_size(shape); bin += block_size()) {
      partials[bin] = static_cast<Sum>(bins[bin]);
    }
  }
};

/// grad_rpb[i] = sum over slices of partials[slice][i], i < size; one warp for each i, always in
/// the same order.
template <class T>
VIZOO_GLOBAL void VIZOO_LAUNCH_BOUNDS(kGeneralThreads)
    sum_bias_partials(const SumOf<T>* partials, int64_t slices, int64_t size, T* grad_rpb) {
  const int64_t index = (block_index() * kGeneralThreads + thread_index()) / 32;
  const int lane = thread_index() % 32;
  if (index >= size) return;  // whole warps
  double total = 0.0;
  for (int64_t slice = lane; slice < slices; slice += 32) {
    total += static_cast<double>(partials[slice * size + index]);
  }
  VIZOO_UNROLL
  for (int offset = 16; offset > 0; offset /= 2) total += shuffle_xor(0xffffffffu, total, offset);
  if (lane == 0) grad_rpb[index] = narrow<T>(static_cast<SumOf<T>>(total));
}

}  // namespace vizoo::kernels::cuda
