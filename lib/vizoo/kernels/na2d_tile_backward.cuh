#pragma once

// Backward on tensor cores, for any dilation group, as two kernels; see na2d_tile.h. Weights are
// computed again from the saved log-sum-exp, so that no row has to be held whole. With
// P = exp(scores - lse), dP = grad_out . value^T and delta = grad_out . out:
//   grad_score = P (dP - delta)                     whose sums over pairs with one bias are
//   grad_rpb grad_query = scale * grad_score . key           tile_backward_queries grad_key = scale
//   * grad_score^T . query         tile_backward_keys grad_value = P^T . grad_out
//   tile_backward_keys

#include "vizoo/kernels/na2d_tile.cuh"

namespace vizoo::kernels::cuda {

/// Adds the gradients of one patch's scores to the block's bins; `scores` is [16, columns].
/// Each bin has one thread, which goes through the patch's tokens in order.
VIZOO_DEVICE void add_patch_to_bins(const Na2dShape& shape,
                                    const TileWork& work,
                                    const Patch& patch,
                                    const float* scores,
                                    float* bins) {
  const int columns = patch.steps() * kStepNeighbours;
  const int width = 2 * shape.kernel_size[1] - 1;
  const int length[2] = {work.groups[0].length, work.groups[1].length};
  for (int bin = thread_index(); bin < bias_size(shape); bin += block_size()) {
    float total = 0.0f;
    for (int row = 0; row < kPatchTokens; ++row) {
      int query[2] = {};
      if (!row_position(patch, row, query)) continue;
      const int key[2] = {query[0] + bin / width - shape.kernel_size[0] + 1,
                          query[1] + bin % width - shape.kernel_size[1] + 1};
      if (bias_index(query, key, length, shape.kernel_size) < 0) continue;
      total += scores[row * columns + (key[0] - patch.neighbours[0].begin) * patch.extent(1) +
                      key[1] - patch.neighbours[1].begin];
    }
    bins[bin] += total;
  }
}

/// Gradients of queries and of the bias, and delta. A lane's gradients of scores are summed over
/// all items of the block, in registers, and fall into bins once, at the end: partials of block
/// head + heads * slot is row (slot, head).
template <class T, int kHeadDim, int kSteps>
VIZOO_GLOBAL void VIZOO_LAUNCH_BOUNDS(kMaxTilePatches * 32, 1)
    tile_backward_queries(const Na2dBackwardParameters<T> p, const TilePlan plan) {
  constexpr int kPitch = row_pitch(kHeadDim);
  const Na2dShape& shape = p.shape;
  const int64_t slot = block_index() / shape.heads;
  const int64_t head = block_index() - slot * shape.heads;
  const int warp = thread_index() / 32;
  const int lane = thread_index() % 32;
  const TileLayout layout = tile_layout(shape, plan, TilePass::backward_queries);
  const TileWork work = tile_work(shape, plan, slot);
  const Patch tile = tile_of(shape, plan, work);
  const Patch patch = patch_of(shape, plan, work, warp);
  const int steps = patch.empty() ? 0 : patch.steps();
  unsigned char* const keys = shared_memory() + layout.first_rows;
  unsigned char* const values = shared_memory() + layout.second_rows;
  PatchTables<T> tables(layout, plan, warp);
  if (steps > 0) tables.fill(shape, plan, work, tile, patch, p.rpb, head, lane);
  const float scale = static_cast<float>(shape.scale);
  int position[2][2] = {};
  bool present[2] = {};
  VIZOO_UNROLL
  for (int half = 0; half < 2; ++half) {
    present[half] = row_position(patch, fragment_row(lane, 2 * half), position[half]);
  }

  float sums[kSteps][8] = {};  // gradients of scores, over items
  for (int64_t index = work.first_item; index < work.items; index += work.item_step) {
    const TileItem item = tile_item(work, index);
    sync_threads();  // nobody reads the previous item's rows any more; tables are there
    copy_rows<T, kHeadDim>(GroupRows<const T>(p.key, shape, head, item), tile, keys);
    copy_rows<T, kHeadDim>(GroupRows<const T>(p.value, shape, head, item), tile, values);
    copy_async_commit();
    LeftRows<kHeadDim> query;
    LeftRows<kHeadDim> grad_out;
    float delta[2];
    float lse[2];
    {
      const GroupRows<const T> queries(p.query, shape, head, item);
      const GroupRows<const T> grads(p.grad_out, shape, head, item);
      const GroupRows<const T> results(p.out, shape, head, item);
      LeftRows<kHeadDim> out;
      query.load(queries.row(position[0]), queries.row(position[1]), lane);
      grad_out.load(grads.row(position[0]), grads.row(position[1]), lane);
      out.load(results.row(position[0]), results.row(position[1]), lane);
      row_products<T>(delta, grad_out, out);
    }
    VIZOO_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int64_t statistic = statistic_of(shape, head, item, position[half]);
      lse[half] = p.lse[statistic];
      if (steps > 0 && present[half] && lane % 4 == 0) p.delta[statistic] = delta[half];
    }
    copy_async_wait<0>();
    sync_threads();  // keys and values are there

    float grad_query[kHeadDim / 8][4] = {};
    VIZOO_UNROLL
    for (int step = 0; step < kSteps; ++step) {
      if (step < steps) {
        const uint16_t* const columns = tables.columns + step * kStepNeighbours;
        const int first = columns[along_row(lane)] * kPitch + along_run(lane) * 16;
        const int second = columns[along_row(lane) + 8] * kPitch + along_run(lane) * 16;
        float scores[8];
        float grad_weights[8];
        multiply_along<T>(scores, query, keys + first, keys + second);
        multiply_along<T>(grad_weights, grad_out, values + first, values + second);
        add_bias(scores, scale, tables.bias[step * 32 + lane]);
        VIZOO_UNROLL
        for (int i = 0; i < 8; ++i) {
          const int half = i / 2 % 2;
          const float weight = fast_exp2((scores[i] - lse[half]) * kLog2E);
          scores[i] = weight * (grad_weights[i] - delta[half]);
          sums[step][i] += scores[i];
        }
        uint32_t grad_scores[4];
        pack_left<T>(grad_scores, scores);
        multiply_across<T, kHeadDim>(
            grad_query,
            grad_scores,
            keys + columns[across_row(lane)] * kPitch + across_run(lane) * 16);
      }
    }
    const GroupRows<T> results(p.grad_query, shape, head, item);
    VIZOO_UNROLL
    for (int half = 0; half < 2; ++half) {
      if (steps > 0 && present[half]) {
        store_row<T, kHeadDim>(results.row(position[half]), grad_query, half, scale, lane);
      }
    }
  }
  if (p.partials == nullptr) return;  // the same in all threads

  // One patch after another: its sums to shared memory, where the rows were, then into the bins.
  float* const scores = reinterpret_cast<float*>(shared_memory() + layout.first_rows);
  float* const bins = reinterpret_cast<float*>(shared_memory() + layout.bins);
  for (int bin = thread_index(); bin < bias_size(shape); bin += block_size()) bins[bin] = 0.0f;
  for (int turn = 0; turn < plan.patches[0] * plan.patches[1]; ++turn) {
    const Patch whose = patch_of(shape, plan, work, turn);
    if (whose.empty()) continue;  // the same in all threads
    sync_threads();               // nobody reads what was there
    if (turn == warp) {
      VIZOO_UNROLL
      for (int step = 0; step < kSteps; ++step) {
        if (step < steps) {
          VIZOO_UNROLL
          for (int i = 0; i < 8; ++i) {
            scores[fragment_row(lane, i) * steps * kStepNeighbours + step * kStepNeighbours +
                   fragment_column(lane, i)] = sums[step][i];
          }
        }
      }
    }
    sync_threads();
    add_patch_to_bins(shape, work, whose, scores, bins);
  }
  float* const partials = p.partials + (slot * shape.heads + head) * bias_size(shape);
  for (int bin = thread_index(); bin < bias_size(shape); bin += block_size()) {
    partials[bin] = bins[bin];
  }
}

/// Gradients of keys and values. Rows are keys, neighbours are the queries that see them; delta is
/// what tile_backward_queries wrote.
template <class T, int kHeadDim>
VIZOO_GLOBAL void VIZOO_LAUNCH_BOUNDS(kMaxTilePatches * 32, kHeadDim == 32 ? 2 : 1)
    tile_backward_keys(const Na2dBackwardParameters<T> p, const TilePlan plan) {
  constexpr int kPitch = row_pitch(kHeadDim);
  const Na2dShape& shape = p.shape;
  const int64_t slot = block_index() / shape.heads;
  const int64_t head = block_index() - slot * shape.heads;
  const int warp = thread_index() / 32;
  const int lane = thread_index() % 32;
  const TileLayout layout = tile_layout(shape, plan, TilePass::backward_keys);
  const TileWork work = tile_work(shape, plan, slot);
  const Patch tile = tile_of(shape, plan, work);
  const Patch patch = patch_of(shape, plan, work, warp);
  const int steps = patch.empty() ? 0 : patch.steps();
  unsigned char* const queries = shared_memory() + layout.first_rows;
  unsigned char* const grads = shared_memory() + layout.second_rows;
  float* const statistics = reinterpret_cast<float*>(shared_memory() + layout.statistics);
  PatchTables<T> tables(layout, plan, warp);
  if (steps > 0) tables.fill(shape, plan, work, tile, patch, p.rpb, head, lane);
  const float scale = static_cast<float>(shape.scale);
  int position[2][2] = {};
  bool present[2] = {};
  VIZOO_UNROLL
  for (int half = 0; half < 2; ++half) {
    present[half] = row_position(patch, fragment_row(lane, 2 * half), position[half]);
  }

  for (int64_t index = work.first_item; index < work.items; index += work.item_step) {
    const TileItem item = tile_item(work, index);
    sync_threads();  // nobody reads the previous item's rows any more; tables are there
    copy_rows<T, kHeadDim>(GroupRows<const T>(p.query, shape, head, item), tile, queries);
    copy_rows<T, kHeadDim>(GroupRows<const T>(p.grad_out, shape, head, item), tile, grads);
    copy_async_commit();
    for (int i = thread_index(); i < tile.neighbour_count(); i += block_size()) {
      int query[2] = {};
      column_position(tile, i, query);
      const int64_t statistic = statistic_of(shape, head, item, query);
      statistics[2 * i] = p.lse[statistic];
      statistics[2 * i + 1] = p.delta[statistic];
    }
    LeftRows<kHeadDim> key;
    LeftRows<kHeadDim> value;
    const GroupRows<const T> key_rows(p.key, shape, head, item);
    const GroupRows<const T> value_rows(p.value, shape, head, item);
    key.load(key_rows.row(position[0]), key_rows.row(position[1]), lane);
    value.load(value_rows.row(position[0]), value_rows.row(position[1]), lane);
    copy_async_wait<0>();
    sync_threads();  // queries, gradients of out and statistics are there

    float grad_key[kHeadDim / 8][4] = {};
    float grad_value[kHeadDim / 8][4] = {};
    for (int step = 0; step < steps; ++step) {
      const uint16_t* const columns = tables.columns + step * kStepNeighbours;
      const int first = columns[along_row(lane)] * kPitch + along_run(lane) * 16;
      const int second = columns[along_row(lane) + 8] * kPitch + along_run(lane) * 16;
      float weights[8];
      float grad_scores[8];
      multiply_along<T>(weights, key, queries + first, queries + second);
      multiply_along<T>(grad_scores, value, grads + first, grads + second);
      add_bias(weights, scale, tables.bias[step * 32 + lane]);
      VIZOO_UNROLL
      for (int i = 0; i < 8; ++i) {
        const float* const statistic = statistics + 2 * columns[fragment_column(lane, i)];
        weights[i] = fast_exp2((weights[i] - statistic[0]) * kLog2E);
        grad_scores[i] = weights[i] * (grad_scores[i] - statistic[1]);
      }
      const int across = columns[across_row(lane)] * kPitch + across_run(lane) * 16;
      uint32_t left[4];
      pack_left<T>(left, weights);
      multiply_across<T, kHeadDim>(grad_value, left, grads + across);
      pack_left<T>(left, grad_scores);
      multiply_across<T, kHeadDim>(grad_key, left, queries + across);
    }
    const GroupRows<T> grad_keys(p.grad_key, shape, head, item);
    const GroupRows<T> grad_values(p.grad_value, shape, head, item);
    VIZOO_UNROLL
    for (int half = 0; half < 2; ++half) {
      if (steps > 0 && present[half]) {
        store_row<T, kHeadDim>(grad_keys.row(position[half]), grad_key, half, scale, lane);
        store_row<T, kHeadDim>(grad_values.row(position[half]), grad_value, half, 1.0f, lane);
      }
    }
  }
}

}  // namespace vizoo::kernels::cuda
