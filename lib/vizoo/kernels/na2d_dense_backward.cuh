#pragma once

// Backward on tensor cores in one kernel, for dilation groups of exactly Kh x Kw <= 64 tokens,
// where every query sees its whole group: attention of 64 x 64 (with padding), all of it on chip.
// The forward of such groups is tile_forward, whose tile is then the group.
//
// A block of four warps serves one head and walks over images and groups. A warp owns 16 keys:
// it computes scores, weights and their gradients with keys as rows and queries as columns, sums
// its gradients of keys and values over all queries, and leaves gradients of scores in shared
// memory. Then it owns 16 queries and sums gradients of queries over all keys. Tokens are numbered
// row by row; from Kh * Kw on they are padding, rows of zeros with bias -inf.

#include "vizoo/kernels/na2d_tile.cuh"

namespace vizoo::kernels::cuda {

constexpr int kDenseWarps = kDenseTokens / 16;
constexpr int kDenseSteps = kDenseTokens / kStepNeighbours;
/// Bytes between rows of the gradients of scores [key, query].
constexpr int kScorePitch = row_pitch(kDenseTokens);

/// Byte offsets into shared memory.
struct DenseLayout {
  int queries;
  int grads;
  int keys;
  int scores;      ///< gradients of scores, [key, query]; at the end the block's sums, as floats
  int bias;        ///< [warps, steps, 32 lanes, 8] elements
  int statistics;  ///< lse and delta of the queries
  int bytes;
};

VIZOO_HOST_DEVICE constexpr DenseLayout dense_layout(int head_dim) {
  const int rows = kDenseTokens * row_pitch(head_dim);
  DenseLayout layout{};
  layout.grads = rows;
  layout.keys = 2 * rows;
  layout.scores = 3 * rows;
  layout.bias = layout.scores + kDenseTokens * kScorePitch;
  layout.statistics = layout.bias + kDenseWarps * kDenseSteps * 32 * 16;
  layout.bytes = layout.statistics + kDenseTokens * 8;
  return layout;
}

/// bias_index of tokens of a dense group, or -1 if one is padding.
VIZOO_HOST_DEVICE constexpr int dense_bias_index(const Na2dShape& shape, int query, int key) {
  const int width = shape.kernel_size[1];
  const int tokens = shape.kernel_size[0] * width;
  if (query >= tokens || key >= tokens) return -1;
  const int query_at[2] = {query / width, query % width};
  const int key_at[2] = {key / width, key % width};
  return bias_index(query_at, key_at, shape.kernel_size, shape.kernel_size);
}

/// Image and groups of item `index` < batch * dilations.
VIZOO_HOST_DEVICE constexpr TileItem dense_item(const Na2dShape& shape, int64_t index) {
  const int64_t row = index / shape.dilation[1];
  const int64_t batch = row / shape.dilation[0];
  return {batch,
          {static_cast<int>(row - batch * shape.dilation[0]),
           static_cast<int>(index - row * shape.dilation[1])}};
}

/// Block head + heads * slice takes every slices-th item and writes row (slice, head) of partials.
template <class T, int kHeadDim>
VIZOO_GLOBAL void VIZOO_LAUNCH_BOUNDS(kDenseWarps * 32, kHeadDim == 32 ? 3 : 2)
    dense_backward(const Na2dBackwardParameters<T> p) {
  constexpr int kPitch = row_pitch(kHeadDim);
  constexpr DenseLayout kLayout = dense_layout(kHeadDim);
  const Na2dShape& shape = p.shape;
  const int64_t slice = block_index() / shape.heads;
  const int64_t head = block_index() - slice * shape.heads;
  const int warp = thread_index() / 32;
  const int lane = thread_index() % 32;
  const int width = shape.kernel_size[1];
  const int tokens = shape.kernel_size[0] * width;
  const int steps = (tokens + kStepNeighbours - 1) / kStepNeighbours;
  const float scale = static_cast<float>(shape.scale);
  unsigned char* const queries = shared_memory() + kLayout.queries;
  unsigned char* const grads = shared_memory() + kLayout.grads;
  unsigned char* const keys = shared_memory() + kLayout.keys;
  unsigned char* const scores = shared_memory() + kLayout.scores;
  float* const statistics = reinterpret_cast<float*>(shared_memory() + kLayout.statistics);
  BiasFragment<T>* const bias =
      reinterpret_cast<BiasFragment<T>*>(shared_memory() + kLayout.bias) + warp * kDenseSteps * 32;

  // Padding stays zero: nothing is ever copied there.
  for (int i = thread_index() * 16; i < kLayout.bias; i += kDenseWarps * 32 * 16) {
    *reinterpret_cast<BiasFragment<T>*>(shared_memory() + i) = BiasFragment<T>{};
  }
  for (int i = thread_index(); i < 2 * kDenseTokens; i += kDenseWarps * 32) statistics[i] = 0.0f;
  for (int step = 0; step < steps; ++step) {
    BiasFragment<T> fragment;
    VIZOO_UNROLL
    for (int i = 0; i < 8; ++i) {
      const int index = dense_bias_index(shape,
                                         step * kStepNeighbours + fragment_column(lane, i),
                                         warp * 16 + fragment_row(lane, i));
      fragment.element[i] = narrow<T>(0.0f);
      if (index < 0) {
        fragment.element[i] = narrow<T>(-INFINITY);
      } else if (p.rpb != nullptr) {
        fragment.element[i] = p.rpb[head * bias_size(shape) + index];
      }
    }
    bias[step * 32 + lane] = fragment;
  }
  int token[2] = {};        // the lane's two keys, then queries
  int position[2][2] = {};  // those of padding are the first token's
  bool present[2] = {};
  VIZOO_UNROLL
  for (int half = 0; half < 2; ++half) {
    token[half] = warp * 16 + fragment_row(lane, 2 * half);
    present[half] = token[half] < tokens;
    position[half][0] = present[half] ? token[half] / width : 0;
    position[half][1] = present[half] ? token[half] % width : 0;
  }
  const Patch group = make_patch(
      {0, 0}, shape.kernel_size, shape.kernel_size, shape.kernel_size, /*inverse=*/false);

  float sums[kDenseSteps][8] = {};  // gradients of scores, over items
  const int64_t items = shape.batch * shape.dilation[0] * shape.dilation[1];
  for (int64_t index = slice; index < items; index += p.slices) {
    const TileItem item = dense_item(shape, index);
    sync_threads();  // nobody reads the previous item any more; padding is there
    copy_rows<T, kHeadDim>(GroupRows<const T>(p.query, shape, head, item), group, queries);
    copy_rows<T, kHeadDim>(GroupRows<const T>(p.grad_out, shape, head, item), group, grads);
    copy_rows<T, kHeadDim>(GroupRows<const T>(p.key, shape, head, item), group, keys);
    copy_async_commit();
    {
      // Statistics of the warp's 16 queries.
      const GroupRows<const T> grad_rows(p.grad_out, shape, head, item);
      const GroupRows<const T> out_rows(p.out, shape, head, item);
      LeftRows<kHeadDim> grad_out;
      LeftRows<kHeadDim> out;
      grad_out.load(grad_rows.row(position[0]), grad_rows.row(position[1]), lane);
      out.load(out_rows.row(position[0]), out_rows.row(position[1]), lane);
      float delta[2];
      row_products<T>(delta, grad_out, out);
      VIZOO_UNROLL
      for (int half = 0; half < 2; ++half) {
        if (present[half] && lane % 4 == 0) {
          statistics[2 * token[half]] = p.lse[statistic_of(shape, head, item, position[half])];
          statistics[2 * token[half] + 1] = delta[half];
        }
      }
    }
    LeftRows<kHeadDim> key;
    LeftRows<kHeadDim> value;
    const GroupRows<const T> key_rows(p.key, shape, head, item);
    const GroupRows<const T> value_rows(p.value, shape, head, item);
    key.load(key_rows.row(position[0]), key_rows.row(position[1]), lane);
    value.load(value_rows.row(position[0]), value_rows.row(position[1]), lane);
    copy_async_wait<0>();
    sync_threads();  // all rows and statistics are there

    float grad_key[kHeadDim / 8][4] = {};
    float grad_value[kHeadDim / 8][4] = {};
    VIZOO_UNROLL
    for (int step = 0; step < kDenseSteps; ++step) {
      if (step < steps) {
        const int first = step * kStepNeighbours;
        const int along = (first + along_row(lane)) * kPitch + along_run(lane) * 16;
        float weights[8];
        float grad_scores[8];
        multiply_along<T>(weights, key, queries + along, queries + along + 8 * kPitch);
        multiply_along<T>(grad_scores, value, grads + along, grads + along + 8 * kPitch);
        add_bias(weights, scale, bias[step * 32 + lane]);
        VIZOO_UNROLL
        for (int i = 0; i < 8; ++i) {
          const float* const statistic = statistics + 2 * (first + fragment_column(lane, i));
          weights[i] = fast_exp2((weights[i] - statistic[0]) * kLog2E);
          grad_scores[i] = weights[i] * (grad_scores[i] - statistic[1]);
          sums[step][i] += grad_scores[i];
        }
        const int across = (first + across_row(lane)) * kPitch + across_run(lane) * 16;
        uint32_t left[4];
        pack_left<T>(left, weights);
        multiply_across<T, kHeadDim>(grad_value, left, grads + across);
        pack_left<T>(left, grad_scores);
        multiply_across<T, kHeadDim>(grad_key, left, queries + across);
        VIZOO_UNROLL
        for (int i = 0; i < 4; ++i) {
          const int row = warp * 16 + fragment_row(lane, 2 * i);
          const int column = first + fragment_column(lane, 2 * i);
          *reinterpret_cast<uint32_t*>(scores + row * kScorePitch + column * 2) = left[i];
        }
      }
    }
    const GroupRows<T> grad_keys(p.grad_key, shape, head, item);
    const GroupRows<T> grad_values(p.grad_value, shape, head, item);
    VIZOO_UNROLL
    for (int half = 0; half < 2; ++half) {
      if (present[half]) {
        store_row<T, kHeadDim>(grad_keys.row(position[half]), grad_key, half, scale, lane);
        store_row<T, kHeadDim>(grad_values.row(position[half]), grad_value, half, 1.0f, lane);
      }
    }
    sync_threads();  // gradients of scores are there

    float grad_query[kHeadDim / 8][4] = {};
    for (int step = 0; step < steps; ++step) {
      const int first = step * kStepNeighbours;  // of 16 keys
      uint32_t left[4];
      // [key, query] read transposed: matrix i covers queries + 8 (i % 2) and keys + 8 (i / 2).
      load_matrices_transposed(left,
                               scores + (first + lane % 8 + lane / 16 * 8) * kScorePitch +
                                   (warp * 16 + lane / 8 % 2 * 8) * 2);
      multiply_across<T, kHeadDim>(
          grad_query, left, keys + (first + across_row(lane)) * kPitch + across_run(lane) * 16);
    }
    const GroupRows<T> grad_queries(p.grad_query, shape, head, item);
    VIZOO_UNROLL
    for (int half = 0; half < 2; ++half) {
      if (present[half]) {
        store_row<T, kHeadDim>(grad_queries.row(position[half]), grad_query, half, scale, lane);
      }
    }
  }
  if (p.partials == nullptr) return;  // the same in all threads

  // The block's sums [key, query] to shared memory, over what is no longer needed; then each bin's
  // thread goes through the queries in order.
  float* const all = reinterpret_cast<float*>(shared_memory());
  sync_threads();
  VIZOO_UNROLL
  for (int step = 0; step < kDenseSteps; ++step) {
    VIZOO_UNROLL
    for (int i = 0; i < 8; ++i) {
      all[(warp * 16 + fragment_row(lane, i)) * kDenseTokens + step * kStepNeighbours +
          fragment_column(lane, i)] = sums[step][i];
    }
  }
  sync_threads();
  float* const partials = p.partials + (slice * shape.heads + head) * bias_size(shape);
  const int bias_width = 2 * width - 1;
  for (int bin = thread_index(); bin < bias_size(shape); bin += kDenseWarps * 32) {
    const int shift[2] = {bin / bias_width - shape.kernel_size[0] + 1,
                          bin % bias_width - width + 1};
    float total = 0.0f;
    for (int query = 0; query < tokens; ++query) {
      const int y = query / width + shift[0];
      const int x = query % width + shift[1];
      if (y >= 0 && y < shape.kernel_size[0] && x >= 0 && x < width) {
        total += all[(y * width + x) * kDenseTokens + query];
      }
    }
    partials[bin] = total;
  }
}

}  // namespace vizoo::kernels::cuda
