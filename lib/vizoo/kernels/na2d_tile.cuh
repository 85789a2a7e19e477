#pragma once

// What the tensor core kernels share: bringing rows into shared memory, tables of a patch,
// operands. The design is in na2d_tile.h. T is a 16-bit type.

#include <cmath>

#include "vizoo/kernels/cuda_primitives.cuh"
#include "vizoo/kernels/na2d_parameters.h"
#include "vizoo/kernels/na2d_plan.h"

namespace vizoo::kernels::cuda {

constexpr float kLog2E = 1.4426950408889634f;
constexpr float kLn2 = 0.6931471805599453f;

/// One tensor as a grid of rows of D elements: one head of one dilation group of one image.
template <class T>
struct GroupRows {
  T* data;
  int64_t step[2];

  VIZOO_DEVICE GroupRows(const Na2dTensor<T>& tensor,
                         const Na2dShape& shape,
                         int64_t head,
                         const TileItem& item)
      : data(kernels::row_of(tensor, item.batch, head, item.group[0], item.group[1])),
        step{tensor.row_stride * shape.dilation[0], tensor.column_stride * shape.dilation[1]} {}

  VIZOO_DEVICE T* row(int y, int x) const { return data + y * step[0] + x * step[1]; }
  VIZOO_DEVICE T* row(const int (&position)[2]) const { return row(position[0], position[1]); }
};

/// Index into lse and delta of a position.
VIZOO_DEVICE int64_t statistic_of(const Na2dShape& shape,
                                  int64_t head,
                                  const TileItem& item,
                                  const int (&position)[2]) {
  return kernels::statistic_index(shape,
                                  item.batch,
                                  head,
                                  item.group[0] + shape.dilation[0] * position[0],
                                  item.group[1] + shape.dilation[1] * position[1]);
}

/// Starts copying the rows of a rectangle's neighbours to shared memory, row_pitch apart.
template <class T, int kHeadDim>
VIZOO_DEVICE void copy_rows(const GroupRows<const T>& rows,
                            const Patch& rectangle,
                            unsigned char* shared) {
  constexpr int kRuns = kHeadDim / 8;  // of 16 bytes
  const int width = rectangle.extent(1);
  for (int i = thread_index(); i < rectangle.neighbour_count() * kRuns; i += block_size()) {
    const int token = i / kRuns;
    const int run = i % kRuns;
    const int y = token / width;
    const int x = token - y * width;
    copy_async(
        shared + token * row_pitch(kHeadDim) + run * 16,
        rows.row(rectangle.neighbours[0].begin + y, rectangle.neighbours[1].begin + x) + run * 8);
  }
}

/// Eight bias elements of a lane and step, in the order of fragment_row and fragment_column.
template <class T>
struct alignas(16) BiasFragment {
  T element[8];
};

/// A warp's tables, written by the warp itself.
template <class T>
struct PatchTables {
  BiasFragment<T>* bias;  // [steps, 32]
  uint16_t* columns;      // [steps * 16]

  VIZOO_DEVICE PatchTables(const TileLayout& layout, const TilePlan& plan, int warp)
      : bias(reinterpret_cast<BiasFragment<T>*>(shared_memory() + layout.bias) +
             warp * plan.steps * 32),
        columns(reinterpret_cast<uint16_t*>(shared_memory() + layout.columns) +
                warp * plan.steps * kStepNeighbours) {}

  VIZOO_DEVICE void fill(const Na2dShape& shape,
                         const TilePlan& plan,
                         const TileWork& work,
                         const Patch& tile,
                         const Patch& patch,
                         const T* rpb,
                         int64_t head,
                         int lane) {
    const int steps = patch.steps();
    for (int column = lane; column < steps * kStepNeighbours; column += 32) {
      int position[2] = {};
      column_position(patch, column, position);
      columns[column] = static_cast<uint16_t>(halo_index(tile, position));
    }
    for (int step = 0; step < steps; ++step) {
      BiasFragment<T> fragment;
      VIZOO_UNROLL
      for (int i = 0; i < 8; ++i) {
        const int column = step * kStepNeighbours + fragment_column(lane, i);
        const int index = patch_bias_index(shape, plan, work, patch, fragment_row(lane, i), column);
        fragment.element[i] = narrow<T>(0.0f);
        if (index < 0) {
          fragment.element[i] = narrow<T>(-INFINITY);
        } else if (rpb != nullptr) {
          fragment.element[i] = rpb[head * bias_size(shape) + index];
        }
      }
      bias[step * 32 + lane] = fragment;
    }
  }
};

/// scores = scores * scale + bias, for a step.
template <class T>
VIZOO_DEVICE void add_bias(float* scores, float scale, const BiasFragment<T>& bias) {
  VIZOO_UNROLL
  for (int i = 0; i < 8; ++i) scores[i] = scores[i] * scale + widen(bias.element[i]);
}

/// Left operand of products over D: this lane's part of two rows of D elements (its fragment_row 0
/// and 2).
template <int kHeadDim>
struct LeftRows {
  uint32_t part[kHeadDim / 16][4];

  template <class T>
  VIZOO_DEVICE void load(const T* first, const T* second, int lane) {
    const int column = 2 * (lane % 4);
    VIZOO_UNROLL
    for (int i = 0; i < kHeadDim / 16; ++i) {
      part[i][0] = *reinterpret_cast<const uint32_t*>(first + i * 16 + column);
      part[i][1] = *reinterpret_cast<const uint32_t*>(second + i * 16 + column);
      part[i][2] = *reinterpret_cast<const uint32_t*>(first + i * 16 + column + 8);
      part[i][3] = *reinterpret_cast<const uint32_t*>(second + i * 16 + column + 8);
    }
  }
};

/// result [16, 16] = left [16, D] . rows^T for 16 rows in shared memory; `first` and `second` are
/// what the lane points at: along_row of the first and of the second eight of them, at run
/// along_run.
template <class T, int kHeadDim>
VIZOO_DEVICE void multiply_along(float* result,
                                 const LeftRows<kHeadDim>& left,
                                 const unsigned char* first,
                                 const unsigned char* second) {
  VIZOO_UNROLL
  for (int i = 0; i < 8; ++i) result[i] = 0.0f;
  VIZOO_UNROLL
  for (int i = 0; i < kHeadDim / 32; ++i) {
    uint32_t right[4];
    load_matrices(right, first + i * 64);
    multiply_add<T>(result, left.part[2 * i], right[0], right[1]);
    multiply_add<T>(result, left.part[2 * i + 1], right[2], right[3]);
    load_matrices(right, second + i * 64);
    multiply_add<T>(result + 4, left.part[2 * i], right[0], right[1]);
    multiply_add<T>(result + 4, left.part[2 * i + 1], right[2], right[3]);
  }
}

/// total [16, D] += left [16, 16] . rows for 16 rows in shared memory; the lane points at
/// across_row, run across_run. total: [D / 8][4], an accumulator for each 8 of D.
template <class T, int kHeadDim>
VIZOO_DEVICE void multiply_across(float (&total)[kHeadDim / 8][4],
                                  const uint32_t (&left)[4],
                                  const unsigned char* row) {
  VIZOO_UNROLL
  for (int i = 0; i < kHeadDim / 16; ++i) {
    uint32_t right[4];
    load_matrices_transposed(right, row + i * 32);
    multiply_add<T>(total[2 * i], left, right[0], right[1]);
    multiply_add<T>(total[2 * i + 1], left, right[2], right[3]);
  }
}

/// A step's values as left operand of a product over its 16 columns.
template <class T>
VIZOO_DEVICE void pack_left(uint32_t (&left)[4], const float* values) {
  VIZOO_UNROLL
  for (int i = 0; i < 4; ++i) left[i] = pack<T>(values[2 * i], values[2 * i + 1]);
}

/// Writes one of the lane's two rows of a [16, D] result, times a factor. `half` is 0 for the row
/// that fragment_row(lane, 0) is, 1 for the other.
template <class T, int kHeadDim>
VIZOO_DEVICE void store_row(
    T* row, const float (&total)[kHeadDim / 8][4], int half, float factor, int lane) {
  VIZOO_UNROLL
  for (int i = 0; i < kHeadDim / 8; ++i) {
    *reinterpret_cast<uint32_t*>(row + i * 8 + 2 * (lane % 4)) =
        pack<T>(total[i][2 * half] * factor, total[i][2 * half + 1] * factor);
  }
}

/// Sum or maximum over the four lanes that share a row.
VIZOO_DEVICE float row_sum(float value) {
  value += shuffle_xor(0xffffffffu, value, 1);
  return value + shuffle_xor(0xffffffffu, value, 2);
}
VIZOO_DEVICE float row_maximum(float value) {
  value = larger(value, shuffle_xor(0xffffffffu, value, 1));
  return larger(value, shuffle_xor(0xffffffffu, value, 2));
}

/// grad_out . out over D for the lane's two rows: what is subtracted from gradients of the weights.
template <class T, int kHeadDim>
VIZOO_DEVICE void row_products(float (&result)[2],
                               const LeftRows<kHeadDim>& a,
                               const LeftRows<kHeadDim>& b) {
  VIZOO_UNROLL
  for (int half = 0; half < 2; ++half) {
    float total = 0.0f;
    VIZOO_UNROLL
    for (int i = 0; i < kHeadDim / 16; ++i) {
      VIZOO_UNROLL
      for (int j = 0; j < 2; ++j) {
        float a0, a1, b0, b1;
        unpack<T>(a.part[i][half + 2 * j], a0, a1);
        unpack<T>(b.part[i][half + 2 * j], b0, b1);
        total += a0 * b0 + a1 * b1;
      }
    }
    result[half] = row_sum(total);
  }
}

}  // namespace vizoo::kernels::cuda
