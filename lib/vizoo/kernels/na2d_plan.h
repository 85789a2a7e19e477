#pragma once

// Which CUDA kernel may run a problem of neighborhood attention, which one does, how the work is
// split over blocks and how much memory that takes. Decisions hang on sizes alone, never on the
// device at hand, so that a problem gives the same bits on every machine of an architecture.

#include <cstdint>

#include "vizoo/kernels/na2d.h"
#include "vizoo/kernels/na2d_parameters.h"
#include "vizoo/kernels/na2d_tile.h"

namespace vizoo::kernels {

/// Element types of the CUDA kernels.
enum class Na2dElement { float32, float64, float16, bfloat16 };

/// The last two run on tensor cores. With them an infinite or NaN value may reach queries that do
/// not see it but stand within 4 x 4 tokens, or a dense group, of one that does.
enum class Na2dCudaKernel {
  general,        ///< every problem but those with a huge window
  dense_group,    ///< groups of exactly K x K tokens, where every query sees its whole group
  gathered_tile,  ///< any group
};

constexpr int64_t bytes_of_sum(Na2dElement element) {
  return element == Na2dElement::float64 ? 8 : 4;
}

/// Shared memory that every architecture since sm_80 gives to a block on request.
constexpr int64_t kMaxSharedBytes = 99 * 1024;

// ---- General kernels
// -------------------------------------------------------------------------------
/// Most queries of a round of the general kernels' gradient of the bias.
constexpr int kMaxRoundQueries = 16;
/// About how many blocks share the gradient of the bias, of all heads together.
constexpr int64_t kBiasBlocks = 4096;

/// Shared memory of BiasSums for rounds of `queries`.
VIZOO_HOST_DEVICE constexpr int64_t bias_sums_bytes(const Na2dShape& shape,
                                                    int queries,
                                                    int64_t sum_bytes) {
  const int64_t window = static_cast<int64_t>(shape.kernel_size[0]) * shape.kernel_size[1];
  return bias_size(shape) * int64_t{8} + queries * window * sum_bytes + queries * int64_t{8};
}

// ---- Tiles
// -----------------------------------------------------------------------------------------
enum class TilePass { forward, backward_queries, backward_keys };

constexpr int kMaxScoreSteps = 13;     ///< a patch's scores are in registers: K x K up to 11 x 11
constexpr int64_t kTileBlocks = 1024;  ///< about how many blocks a launch has if it can choose
constexpr int64_t kDenseBlocks = 2048;
constexpr int kDenseTokens = 64;  ///< most tokens of a dense group
constexpr int kRowPadding = 16;   ///< bytes after each row in shared memory, against bank conflicts

VIZOO_HOST_DEVICE constexpr int row_pitch(int head_dim) { return 2 * head_dim + kRowPadding; }

/// Byte offsets into a tile kernel's shared memory; every part is aligned to 16.
struct TileLayout {
  int first_rows;   ///< halo of keys (of queries for backward_keys)
  int second_rows;  ///< halo of values (of gradients of out)
  int bias;         ///< [warps, steps, 32 lanes, 8] elements: bias, -inf where there is no pair
  int columns;      ///< [warps, steps * 16] uint16: number of a patch's neighbour in the halo
  int statistics;   ///< backward_keys: lse and delta of the halo, [halo, 2] floats
  int bins;         ///< backward_queries: the block's gradient of the bias, floats
  int bytes;
};

VIZOO_HOST_DEVICE constexpr TileLayout tile_layout(const Na2dShape& shape,
                                                   const TilePlan& plan,
                                                   TilePass pass) {
  TileLayout layout{};
  const int warps = plan.patches[0] * plan.patches[1];
  layout.second_rows = plan.halo_tokens * row_pitch(shape.head_dim);
  int next = 2 * layout.second_rows;
  if (pass == TilePass::backward_queries) {  // one patch's gradients of scores, at the very end
    const int scores = kPatchTokens * kStepNeighbours * plan.steps * 4;
    if (next < scores) next = scores;
  }
  layout.bias = next;
  next += warps * plan.steps * 32 * 16;
  layout.columns = next;
  next += warps * plan.steps * kStepNeighbours * 2;
  layout.statistics = next;
  if (pass == TilePass::backward_keys) next += (plan.halo_tokens * 8 + 15) / 16 * 16;
  layout.bins = next;
  if (pass == TilePass::backward_queries) next += bias_size(shape) * 4;
  layout.bytes = next;
  return layout;
}

/// The largest union of neighbours by axis over pieces of a span, in groups of both lengths.
constexpr int largest_extent(const Na2dShape& shape, int axis, int span, bool inverse) {
  const int size = axis == 0 ? shape.height : shape.width;
  int largest = 0;
  for (int i = 0; i < group_class_count(size, shape.dilation[axis]); ++i) {
    const int length = group_class(size, shape.dilation[axis], i).length;
    const int extent = largest_extent(length, shape.kernel_size[axis], span, inverse);
    if (extent > largest) largest = extent;
  }
  return largest;
}

/// The plan that moves least through shared memory. One without tiles (patches 0) if none fits.
constexpr TilePlan make_tile_plan(const Na2dShape& shape, TilePass pass) {
  const bool inverse = pass == TilePass::backward_keys;
  int extent[2][kMaxTilePatches + 1] = {};  // of the neighbours of 1, 2, ... patches in a row
  int length[2] = {};
  for (int axis = 0; axis < 2; ++axis) {
    length[axis] =
        group_class(axis == 0 ? shape.height : shape.width, shape.dilation[axis], 0).length;
    for (int patches = 1; patches <= kMaxTilePatches; ++patches) {
      extent[axis][patches] = largest_extent(shape, axis, kPatchSide * patches, inverse);
    }
  }
  TilePlan best{};
  int64_t best_cost = -1;
  for (int y = 1; y <= kMaxTilePatches; ++y) {
    for (int x = 1; x * y <= kMaxTilePatches; ++x) {
      TilePlan plan{{y, x}, inverse, 0, 0, 1};
      plan.steps = (extent[0][1] * extent[1][1] + kStepNeighbours - 1) / kStepNeighbours;
      plan.halo_tokens = extent[0][y] * extent[1][x];
      if (tile_layout(shape, plan, pass).bytes > kMaxSharedBytes) continue;
      const int64_t tiles =
          static_cast<int64_t>(tile_count(plan, 0, length[0])) * tile_count(plan, 1, length[1]);
      const int64_t cost = tiles * (plan.halo_tokens + kPatchTokens * x * y);
      if (best_cost < 0 || cost < best_cost) {
        best = plan;
        best_cost = cost;
      }
    }
  }
  if (best_cost < 0) return best;
  const int64_t blocks = tile_slots(shape, best) * shape.heads;  // with one slice each
  if (blocks > 0 && blocks < kTileBlocks) best.slices = kTileBlocks / blocks;
  return best;
}

/// Into how many sums of its own each head's gradient of the bias is split: what
/// Na2dBackwardParameters::slices must be.
constexpr int64_t bias_slices(Na2dCudaKernel kernel, const Na2dShape& shape) {
  if (kernel == Na2dCudaKernel::gathered_tile) {
    return tile_slots(shape, make_tile_plan(shape, TilePass::backward_queries));
  }
  const bool dense = kernel == Na2dCudaKernel::dense_group;
  const int64_t most = dense ? shape.batch * shape.dilation[0] * shape.dilation[1]
                             : (shape.batch * shape.height * shape.width + 15) / 16;
  const int64_t wanted = (dense ? kDenseBlocks : kBiasBlocks) / shape.heads;
  const int64_t slices = wanted < most ? wanted : most;
  return slices > 1 ? slices : 1;
}

/// Bytes of the workspace that a backward needs: delta, then partial sums of the bias.
constexpr int64_t backward_workspace_bytes(Na2dCudaKernel kernel,
                                           const Na2dShape& shape,
                                           Na2dElement element,
                                           bool with_rpb) {
  int64_t sums = shape.batch * shape.height * shape.width * shape.heads;
  if (with_rpb) sums += bias_slices(kernel, shape) * shape.heads * bias_size(shape);
  return sums * bytes_of_sum(element);
}

/// Whether a kernel can run this problem. `aligned`: every tensor begins at a multiple of 16 bytes
/// and all strides are multiples of 8 elements.
constexpr bool kernel_fits(Na2dCudaKernel kernel,
                           const Na2dShape& shape,
                           Na2dElement element,
                           bool aligned) {
  const int64_t sum_bytes = bytes_of_sum(element);
  if (kernel == Na2dCudaKernel::general) {
    const int64_t window = static_cast<int64_t>(shape.kernel_size[0]) * shape.kernel_size[1];
    return shape.head_dim <= 256 && window < 8192 && shape.heads < (int64_t{1} << 31) &&
           bias_sums_bytes(shape, kMaxRoundQueries, sum_bytes) <= kMaxSharedBytes;
  }
  const bool half = element == Na2dElement::float16 || element == Na2dElement::bfloat16;
  if (!half || !aligned || (shape.head_dim != 32 && shape.head_dim != 64)) return false;
  if (shape.height > (1 << 24) || shape.width > (1 << 24)) return false;
  if (shape.kernel_size[0] > 64 || shape.kernel_size[1] > 64) return false;
  if (kernel == Na2dCudaKernel::dense_group) {
    return shape.height == shape.kernel_size[0] * shape.dilation[0] &&
           shape.width == shape.kernel_size[1] * shape.dilation[1] &&
           shape.kernel_size[0] * shape.kernel_size[1] <= kDenseTokens;
  }
  const TilePass passes[] = {
      TilePass::forward, TilePass::backward_queries, TilePass::backward_keys};
  for (const TilePass pass : passes) {
    const TilePlan plan = make_tile_plan(shape, pass);
    if (plan.patches[0] == 0) return false;
    if (!plan.inverse && plan.steps > kMaxScoreSteps) return false;
    if (tile_slots(shape, plan) * shape.heads >= (int64_t{1} << 31)) return false;
  }
  return true;
}

/// The kernel that runs a problem unless another is asked for. A kernel that has never run on a GPU
/// is not the default: the other two take over, by shape, type and architecture (80 for sm_80),
/// when a result of a real run under docs/gpu-results/ shows them right and faster.
constexpr Na2dCudaKernel choose_na2d_kernel(const Na2dShape& /*shape*/,
                                            Na2dElement /*element*/,
                                            int /*architecture*/) {
  return Na2dCudaKernel::general;
}

}  // namespace vizoo::kernels
