#pragma once

// How the CPU kernels cut a problem into tasks. By the shape alone, never by the number of threads.

#include "vizoo/kernels/na2d.h"
#include "vizoo/kernels/na_window.h"

namespace vizoo::kernels {

/// Positions of a dilation group of rows that one forward task computes: many, since the K - 1
/// rows of keys around them are copied besides, but few enough for all threads to have work.
constexpr int kForwardRows = 16;

/// Rows of keys that a forward task reads.
VIZOO_HOST_DEVICE constexpr int forward_key_rows(const Na2dShape& shape) {
  const int longest = group_length(shape.height, shape.dilation[0], 0);
  const int rows = kForwardRows + shape.kernel_size[0] - 1;
  return rows < longest ? rows : longest;
}

/// Tasks for each dilation group of rows.
VIZOO_HOST_DEVICE constexpr int64_t forward_row_blocks(const Na2dShape& shape) {
  const int longest = group_length(shape.height, shape.dilation[0], 0);
  return (longest + kForwardRows - 1) / kForwardRows;
}

/// Positions of a dilation group of rows that own their gradients in one backward task. A task also
/// visits the up to K - 1 positions around them, for what those add to its keys and values: about
/// 5 % more work for 28 of 56 rows with K = 7.
VIZOO_HOST_DEVICE constexpr int64_t backward_row_blocks(const Na2dShape& shape) {
  constexpr int kMostRows = 32;
  const int longest = group_length(shape.height, shape.dilation[0], 0);
  return (longest + kMostRows - 1) / kMostRows;
}
VIZOO_HOST_DEVICE constexpr int backward_rows(const Na2dShape& shape) {
  const auto blocks = static_cast<int>(backward_row_blocks(shape));
  return (group_length(shape.height, shape.dilation[0], 0) + blocks - 1) / blocks;
}

/// Rows of keys that a backward task reads: those of all queries of its own rows.
VIZOO_HOST_DEVICE constexpr int backward_key_rows(const Na2dShape& shape) {
  const int longest = group_length(shape.height, shape.dilation[0], 0);
  const int rows = backward_rows(shape) + 2 * (shape.kernel_size[0] - 1);
  return rows < longest ? rows : longest;
}

}  // namespace vizoo::kernels
