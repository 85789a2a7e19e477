#pragma once

// The inner loops of the CPU kernels: one query, or two queries one above the other in their
// dilation group, against one row of a window. Lanes run over the head dimension, which is
// contiguous, so that borders and dilations are plain address arithmetic.

#include "vizoo/kernels/na2d_cpu_vector.h"

namespace vizoo::kernels {
namespace VIZOO_CPU_TARGET {

/// Registers that hold a part of a vector of D numbers at a time.
constexpr int kPart = 4;

/// Dot products of `query` with N keys, `step` elements apart: lane i of the result is query . key
/// i. `registers`: D in registers.
template <int N, class A>
VIZOO_INLINE Block<A> dot_products(const A* query, const A* keys, int64_t step, int registers) {
  Register<A> sums[N] = {};
  for (int r = 0; r < registers; ++r) {
    const auto q = load<Register<A>>(query + r * kLanes<A>);
    const A* key = keys + r * kLanes<A>;
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) sums[i] += q * load<Register<A>>(key + i * step);
  }
  return over_lanes<Add>(sums);
}

/// The same for one block of a row: eight keys, or the odd rest of fewer, as kernel sizes are odd.
template <class A>
VIZOO_INLINE Block<A> block_dot_products(
    const A* query, const A* keys, int64_t step, int registers, int count) {
  switch (count) {
    case 1:
      return dot_products<1>(query, keys, step, registers);
    case 3:
      return dot_products<3>(query, keys, step, registers);
    case 5:
      return dot_products<5>(query, keys, step, registers);
    case 7:
      return dot_products<7>(query, keys, step, registers);
    default:
      return dot_products<kBlock>(query, keys, step, registers);
  }
}

/// Which of the two queries of a pair have a row of keys in their windows.
template <bool First, bool Second>
struct Having {
  static constexpr bool first = First;
  static constexpr bool second = Second;
};

/// Two queries, the second below the first in their dilation group: a pointer to each one's
/// numbers.
template <class A>
struct Pair {
  const A* first;
  const A* second;
};

/// Sums for two queries and a part of `Width` registers, in two sets: see add_weighted_row.
template <int Width, class A>
struct PairSums {
  // One by one: compilers clear a whole array with a slow string instruction.
  VIZOO_ALWAYS_INLINE PairSums() {
#pragma GCC unroll 8
    for (int w = 0; w < Width; ++w) {
      first[0][w] = first[1][w] = second[0][w] = second[1][w] = Register<A>{};
    }
  }

  Register<A> first[2][Width];
  Register<A> second[2][Width];
};

/// sums += sum over i < count of weights[i] * row i, for the queries that have the row. Odd rows
/// go to a second set of sums where one set would leave the multipliers waiting for each other.
template <class Has, int Width, class A>
VIZOO_INLINE void add_weighted_row(
    PairSums<Width, A>& sums, Pair<A> weights, const A* row, int64_t step, int count) {
  constexpr int kSets = (Has::first && Has::second ? 2 : 1) * Width <= 4 ? 2 : 1;
  const auto add = [&](int i, int set) __attribute__((always_inline)) {
#pragma GCC unroll 8
    for (int w = 0; w < Width; ++w) {
      auto x = load<Register<A>>(row + i * step + w * kLanes<A>);
      if constexpr (Has::first && Has::second) keep_in_register(x);
      if constexpr (Has::first) sums.first[set][w] += x * weights.first[i];
      if constexpr (Has::second) sums.second[set][w] += x * weights.second[i];
    }
  };
  int i = 0;
  if constexpr (kSets == 2) {
    for (; i + 1 < count; i += 2) {
      add(i, 0);
      add(i + 1, 1);
    }
  }
  for (; i < count; ++i) add(i, 0);
}

/// row i += weights[i] * vector, summed over the queries that have the row, for i < count and a
/// part of `Width` registers.
template <class Has, int Width, class A>
VIZOO_INLINE void scatter_weighted(
    Pair<A> weights, Pair<A> vectors, A* row, int64_t step, int count) {
  Register<A> first[Width];
  Register<A> second[Width];
  for (int w = 0; w < Width; ++w) {
    if constexpr (Has::first) first[w] = load<Register<A>>(vectors.first + w * kLanes<A>);
    if constexpr (Has::second) second[w] = load<Register<A>>(vectors.second + w * kLanes<A>);
  }
  for (int i = 0; i < count; ++i) {
#pragma GCC unroll 8
    for (int w = 0; w < Width; ++w) {
      A* const at = row + i * step + w * kLanes<A>;
      auto x = load<Register<A>>(at);
      if constexpr (Has::first) x += first[w] * weights.first[i];
      if constexpr (Has::second) x += second[w] * weights.second[i];
      store(at, x);
    }
  }
}

/// Calls `body` with parts of at most kPart registers that make up `registers`: body(first lane,
/// width as a type).
template <int Width>
struct PartWidth {
  static constexpr int value = Width;
};
template <class A, class Body>
VIZOO_INLINE void for_each_part(int registers, Body&& body) {
  int r = 0;
  for (; r + kPart <= registers; r += kPart) body(r * kLanes<A>, PartWidth<kPart>{});
  switch (registers - r) {
    case 1:
      return body(r * kLanes<A>, PartWidth<1>{});
    case 2:
      return body(r * kLanes<A>, PartWidth<2>{});
    case 3:
      return body(r * kLanes<A>, PartWidth<3>{});
    default:
      return;
  }
}

}  // namespace VIZOO_CPU_TARGET
}  // namespace vizoo::kernels
