#pragma once

// Forward on tensor cores, for any dilation group; see na2d_tile.h. Block head + heads * slot does
// piece of work `slot` of its head, with a warp for each patch of the tile. A patch's scores are
// all in registers, so that the softmax is exact in one pass. Weights of pairs that are no
// neighbours are exactly zero, but multiply values: an infinite or NaN value reaches all queries of
// the patch.

#include "vizoo/kernels/na2d_tile.cuh"

namespace vizoo::kernels::cuda {

template <class T, int kHeadDim, int kSteps>
VIZOO_GLOBAL void VIZOO_LAUNCH_BOUNDS(kMaxTilePatches * 32, kHeadDim == 32 && kSteps <= 7 ? 2 : 1)
    tile_forward(const Na2dForwardParameters<T> p, const TilePlan plan) {
  constexpr int kPitch = row_pitch(kHeadDim);
  const Na2dShape& shape = p.shape;
  const int64_t slot = block_index() / shape.heads;
  const int64_t head = block_index() - slot * shape.heads;
  const int warp = thread_index() / 32;
  const int lane = thread_index() % 32;
  const TileLayout layout = tile_layout(shape, plan, TilePass::forward);
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

  for (int64_t index = work.first_item; index < work.items; index += work.item_step) {
    const TileItem item = tile_item(work, index);
    sync_threads();  // nobody reads the previous item's rows any more; tables are there
    copy_rows<T, kHeadDim>(GroupRows<const T>(p.key, shape, head, item), tile, keys);
    copy_async_commit();
    copy_rows<T, kHeadDim>(GroupRows<const T>(p.value, shape, head, item), tile, values);
    copy_async_commit();
    LeftRows<kHeadDim> query;
    const GroupRows<const T> queries(p.query, shape, head, item);
    query.load(queries.row(position[0]), queries.row(position[1]), lane);
    copy_async_wait<1>();
    sync_threads();  // keys are there

    // Scores of the patch, step by step; columns beyond its neighbours have bias -inf.
    float scores[kSteps][8];
    float maximum[2] = {-INFINITY, -INFINITY};
    VIZOO_UNROLL
    for (int step = 0; step < kSteps; ++step) {
      if (step < steps) {
        const uint16_t* const columns = tables.columns + step * kStepNeighbours;
        const unsigned char* const run = keys + along_run(lane) * 16;
        multiply_along<T>(scores[step],
                          query,
                          run + columns[along_row(lane)] * kPitch,
                          run + columns[along_row(lane) + 8] * kPitch);
        add_bias(scores[step], scale, tables.bias[step * 32 + lane]);
        VIZOO_UNROLL
        for (int i = 0; i < 8; ++i) {
          maximum[i / 2 % 2] = larger(maximum[i / 2 % 2], scores[step][i]);
        }
      }
    }
    float total[2] = {};
    VIZOO_UNROLL
    for (int half = 0; half < 2; ++half) {
      maximum[half] = row_maximum(maximum[half]);
      if (maximum[half] == -INFINITY) maximum[half] = 0.0f;  // no differences of infinities
    }
    copy_async_wait<0>();
    sync_threads();  // values are there

    float out[kHeadDim / 8][4] = {};
    VIZOO_UNROLL
    for (int step = 0; step < kSteps; ++step) {
      if (step < steps) {
        VIZOO_UNROLL
        for (int i = 0; i < 8; ++i) {
          const int half = i / 2 % 2;
          scores[step][i] = fast_exp2((scores[step][i] - maximum[half]) * kLog2E);
          total[half] += scores[step][i];
        }
        uint32_t weights[4];
        pack_left<T>(weights, scores[step]);
        const int column = tables.columns[step * kStepNeighbours + across_row(lane)];
        multiply_across<T, kHeadDim>(
            out, weights, values + column * kPitch + across_run(lane) * 16);
      }
    }
    if (steps > 0) {
      const GroupRows<T> results(p.out, shape, head, item);
      total[0] = row_sum(total[0]);
      total[1] = row_sum(total[1]);
      VIZOO_UNROLL
      for (int half = 0; half < 2; ++half) {
        if (!present[half]) continue;
        store_row<T, kHeadDim>(results.row(position[half]), out, half, 1.0f / total[half], lane);
        if (p.lse != nullptr && lane % 4 == 0) {
          p.lse[statistic_of(shape, head, item, position[half])] =
              maximum[half] + logarithm(total[half]);
        }
      }
    }
  }
}

}  // namespace vizoo::kernels::cuda
