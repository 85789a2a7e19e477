#pragma once

// How the tensor core kernels of neighborhood attention cut a problem into pieces, and which lane
// holds what: index arithmetic only, for host and device, covered by tests on the CPU
// (test/unit/kernels/na2d_tile_test.cpp).
//
// A dilation group is a dense grid of tokens, and groups do not see one another. A group is cut
// into tiles, a tile into patches of 4 x 4 tokens. One warp works on one patch: its 16 tokens are
// the rows of a matrix product, and the columns are the neighbours of the patch, the union of what
// its tokens see (a rectangle, numbered row by row, taken 16 at a time). The neighbours of a whole
// tile, its halo, are what a block brings into shared memory. Which pairs are really neighbours,
// and their bias, is a table that hangs on the place of the patch in its group, not on batch and
// group: so a block keeps its place and walks over the batch and over the groups of one length.
//
// "Neighbours" are the keys of queries or, for gradients of keys and values, the queries that see
// keys (inverse).

#include "vizoo/kernels/na2d.h"
#include "vizoo/kernels/na_window.h"

namespace vizoo::kernels {

// ---- Dilation groups of one axis
// -------------------------------------------------------------------
struct GroupPosition {
  int group;
  int position;
};

/// Token number `index` if tokens are counted group by group; 0 <= index < length, dilation <=
/// length. The first length mod dilation groups have one token more than the others.
VIZOO_HOST_DEVICE constexpr GroupPosition group_order(int index, int length, int dilation) {
  const int shorter = length / dilation;
  const int longer_groups = length - shorter * dilation;
  const int in_longer = longer_groups * (shorter + 1);
  if (index < in_longer) {
    const int group = index / (shorter + 1);
    return {group, index - group * (shorter + 1)};
  }
  const int group = (index - in_longer) / shorter;
  return {longer_groups + group, index - in_longer - group * shorter};
}

/// Groups [first, first + count) of an axis that have the same length.
struct GroupClass {
  int first;
  int count;
  int length;
};

VIZOO_HOST_DEVICE constexpr int group_class_count(int length, int dilation) {
  return length % dilation == 0 ? 1 : 2;
}
VIZOO_HOST_DEVICE constexpr GroupClass group_class(int length, int dilation, int index) {
  const int longer_groups = length % dilation;
  if (longer_groups == 0) return {0, dilation, length / dilation};
  if (index == 0) return {0, longer_groups, length / dilation + 1};
  return {longer_groups, dilation - longer_groups, length / dilation};
}

// ---- Neighbours on one axis
// ------------------------------------------------------------------------
/// The union of the neighbours of positions [first, last] of a group.
VIZOO_HOST_DEVICE constexpr PositionRange neighbours_of(
    int first, int last, int length, int kernel_size, bool inverse) {
  if (inverse) {
    return {queries_of_key(first, length, kernel_size).begin,
            queries_of_key(last, length, kernel_size).end};
  }
  return {window_begin(first, length, kernel_size),
          window_begin(last, length, kernel_size) + kernel_size};
}

/// The longest union over pieces of `span` positions, counted from the group's first.
VIZOO_HOST_DEVICE constexpr int largest_extent(int length,
                                               int kernel_size,
                                               int span,
                                               bool inverse) {
  int largest = 0;
  for (int first = 0; first < length; first += span) {
    const int last = (first + span < length ? first + span : length) - 1;
    const PositionRange range = neighbours_of(first, last, length, kernel_size, inverse);
    if (range.end - range.begin > largest) largest = range.end - range.begin;
    if (first >= kernel_size) {  // pieces far from both ends are alike: go on at the last of them
      const int alike = (length - 2 * kernel_size - 2 * span - first) / span;
      if (alike > 0) first += alike * span;
    }
  }
  return largest;
}

/// Index into a head's bias, or -1 if the query does not see the key. Arrays are by axis.
VIZOO_HOST_DEVICE constexpr int bias_index(const int (&query)[2],
                                           const int (&key)[2],
                                           const int (&length)[2],
                                           const int (&kernel_size)[2]) {
  int index = 0;
  for (int axis = 0; axis < 2; ++axis) {
    const int size = kernel_size[axis];
    const int slot = key[axis] - window_begin(query[axis], length[axis], size);
    if (slot < 0 || slot >= size) return -1;
    index = index * (2 * size - 1) + key[axis] - query[axis] + size - 1;
  }
  return index;
}

// ---- Patches and tiles
// -----------------------------------------------------------------------------
constexpr int kPatchSide = 4;
constexpr int kPatchTokens = kPatchSide * kPatchSide;
constexpr int kStepNeighbours = 16;  // columns of a step: two tiles of m16n8k16
constexpr int kMaxTilePatches = 8;   // warps of a block

/// How a problem is cut: the same for every block.
struct TilePlan {
  int patches[2];  ///< of a tile
  bool inverse;
  int steps;        ///< most steps of a patch
  int halo_tokens;  ///< most tokens of a halo
  int64_t slices;   ///< into how many blocks the walk of one tile and head is split, at most
};

VIZOO_HOST_DEVICE constexpr int tile_span(const TilePlan& plan, int axis) {
  return kPatchSide * plan.patches[axis];
}
VIZOO_HOST_DEVICE constexpr int tile_count(const TilePlan& plan, int axis, int length) {
  return (length + tile_span(plan, axis) - 1) / tile_span(plan, axis);
}

/// What one block does: one tile, at the same place in each of a number of items. An item is one
/// image's group with these lengths.
struct TileWork {
  GroupClass groups[2];
  int first[2];  ///< position of the tile's first token
  int64_t first_item;
  int64_t item_step;
  int64_t items;
};

/// Number of pieces of work of each head.
VIZOO_HOST_DEVICE constexpr int64_t tile_slots(const Na2dShape& shape, const TilePlan& plan) {
  int64_t slots = 0;
  for (int i = 0; i < group_class_count(shape.height, shape.dilation[0]); ++i) {
    const GroupClass rows = group_class(shape.height, shape.dilation[0], i);
    for (int j = 0; j < group_class_count(shape.width, shape.dilation[1]); ++j) {
      const GroupClass columns = group_class(shape.width, shape.dilation[1], j);
      const int64_t items = shape.batch * rows.count * columns.count;
      slots += static_cast<int64_t>(tile_count(plan, 0, rows.length)) *
               tile_count(plan, 1, columns.length) * (items < plan.slices ? items : plan.slices);
    }
  }
  return slots;
}

/// Piece of work number `slot` < tile_slots. Tiles come before slices, so that blocks that run at
/// the same time read neighbouring tiles.
VIZOO_HOST_DEVICE constexpr TileWork tile_work(const Na2dShape& shape,
                                               const TilePlan& plan,
                                               int64_t slot) {
  for (int i = 0; i < group_class_count(shape.height, shape.dilation[0]); ++i) {
    const GroupClass rows = group_class(shape.height, shape.dilation[0], i);
    for (int j = 0; j < group_class_count(shape.width, shape.dilation[1]); ++j) {
      const GroupClass columns = group_class(shape.width, shape.dilation[1], j);
      const int64_t items = shape.batch * rows.count * columns.count;
      const int64_t slices = items < plan.slices ? items : plan.slices;
      const int64_t across = tile_count(plan, 1, columns.length);
      const int64_t tiles = tile_count(plan, 0, rows.length) * across;
      if (slot < tiles * slices) {
        const int64_t slice = slot / tiles;
        const int64_t tile = slot - slice * tiles;
        const int tile_y = static_cast<int>(tile / across);
        const int tile_x = static_cast<int>(tile - tile_y * across);
        return {{rows, columns},
                {tile_y * tile_span(plan, 0), tile_x * tile_span(plan, 1)},
                slice,
                slices,
                items};
      }
      slot -= tiles * slices;
    }
  }
  return {};
}

/// A rectangle of tokens of a group and the union of their neighbours, by axis.
struct Patch {
  int first[2];
  int count[2];  ///< 0 where the tile reaches beyond the group
  PositionRange neighbours[2];

  VIZOO_HOST_DEVICE constexpr bool empty() const { return count[0] == 0 || count[1] == 0; }
  VIZOO_HOST_DEVICE constexpr int extent(int axis) const {
    return neighbours[axis].end - neighbours[axis].begin;
  }
  VIZOO_HOST_DEVICE constexpr int neighbour_count() const { return extent(0) * extent(1); }
  VIZOO_HOST_DEVICE constexpr int steps() const {
    return (neighbour_count() + kStepNeighbours - 1) / kStepNeighbours;
  }
};

/// `span` tokens by axis from `first`, as far as the group goes.
VIZOO_HOST_DEVICE constexpr Patch make_patch(const int (&first)[2],
                                             const int (&span)[2],
                                             const int (&length)[2],
                                             const int (&kernel_size)[2],
                                             bool inverse) {
  Patch patch{};
  for (int axis = 0; axis < 2; ++axis) {
    const int left = length[axis] - first[axis];
    const int count = left < 0 ? 0 : (left < span[axis] ? left : span[axis]);
    patch.first[axis] = count > 0 ? first[axis] : 0;
    patch.count[axis] = count;
    const int last = patch.first[axis] + (count > 0 ? count - 1 : 0);
    patch.neighbours[axis] =
        neighbours_of(patch.first[axis], last, length[axis], kernel_size[axis], inverse);
  }
  return patch;
}

/// The block's tile as one rectangle; its neighbours are the halo.
VIZOO_HOST_DEVICE constexpr Patch tile_of(const Na2dShape& shape,
                                          const TilePlan& plan,
                                          const TileWork& work) {
  const int span[2] = {tile_span(plan, 0), tile_span(plan, 1)};
  const int length[2] = {work.groups[0].length, work.groups[1].length};
  return make_patch(work.first, span, length, shape.kernel_size, plan.inverse);
}

VIZOO_HOST_DEVICE constexpr Patch patch_of(const Na2dShape& shape,
                                           const TilePlan& plan,
                                           const TileWork& work,
                                           int warp) {
  const int first[2] = {work.first[0] + kPatchSide * (warp / plan.patches[1]),
                        work.first[1] + kPatchSide * (warp % plan.patches[1])};
  const int span[2] = {kPatchSide, kPatchSide};
  const int length[2] = {work.groups[0].length, work.groups[1].length};
  return make_patch(first, span, length, shape.kernel_size, plan.inverse);
}

/// Position of a patch's row 0..15, and whether there is such a token; else the position is that of
/// one that there is.
VIZOO_HOST_DEVICE constexpr bool row_position(const Patch& patch, int row, int (&position)[2]) {
  const int y = row / kPatchSide;
  const int x = row % kPatchSide;
  position[0] = patch.first[0] + (y < patch.count[0] ? y : 0);
  position[1] = patch.first[1] + (x < patch.count[1] ? x : 0);
  return y < patch.count[0] && x < patch.count[1];
}

/// Position of a patch's neighbour, and whether there is one with this number; else the position is
/// that of the last one.
VIZOO_HOST_DEVICE constexpr bool column_position(const Patch& patch,
                                                 int column,
                                                 int (&position)[2]) {
  const int last = patch.neighbour_count() - 1;
  const int index = column < last ? column : last;
  const int y = index / patch.extent(1);
  position[0] = patch.neighbours[0].begin + y;
  position[1] = patch.neighbours[1].begin + index - y * patch.extent(1);
  return column <= last;
}

/// Number of a position in the halo of a tile.
VIZOO_HOST_DEVICE constexpr int halo_index(const Patch& tile, const int (&position)[2]) {
  return (position[0] - tile.neighbours[0].begin) * tile.extent(1) + position[1] -
         tile.neighbours[1].begin;
}

/// bias_index of a row and a column of a patch, or -1 if they are no neighbours or not there.
VIZOO_HOST_DEVICE constexpr int patch_bias_index(const Na2dShape& shape,
                                                 const TilePlan& plan,
                                                 const TileWork& work,
                                                 const Patch& patch,
                                                 int row,
                                                 int column) {
  int own[2] = {};
  int other[2] = {};
  const bool row_is = row_position(patch, row, own);
  const bool column_is = column_position(patch, column, other);
  if (!row_is || !column_is) return -1;
  const int length[2] = {work.groups[0].length, work.groups[1].length};
  return plan.inverse ? bias_index(other, own, length, shape.kernel_size)
                      : bias_index(own, other, length, shape.kernel_size);
}

/// Image and groups of an item.
struct TileItem {
  int64_t batch;
  int group[2];
};
VIZOO_HOST_DEVICE constexpr TileItem tile_item(const TileWork& work, int64_t item) {
  const int64_t row = item / work.groups[1].count;
  const int64_t batch = row / work.groups[0].count;
  return {batch,
          {work.groups[0].first + static_cast<int>(row - batch * work.groups[0].count),
           work.groups[1].first + static_cast<int>(item - row * work.groups[1].count)}};
}

// ---- Which lane holds what (see multiply_add and load_matrices in cuda_primitives.cuh)
// -------------
/// A lane's eight elements of a step [16 rows, 16 columns]: two accumulators of m16n8k16. As pairs
/// they are, in this order, the left operand of the next product over the 16 columns.
VIZOO_HOST_DEVICE constexpr int fragment_row(int lane, int element) {
  return lane / 4 + (element & 2) * 4;
}
VIZOO_HOST_DEVICE constexpr int fragment_column(int lane, int element) {
  return 2 * (lane % 4) + (element & 1) + (element & 4) * 2;
}

/// Rows as right operand, multiplied along D: of 8 rows and 32 of D, the lane points at this row
/// and at this run of 8 elements; the four results are both registers of two products over 16 of D.
VIZOO_HOST_DEVICE constexpr int along_row(int lane) { return lane % 8; }
VIZOO_HOST_DEVICE constexpr int along_run(int lane) { return lane / 8; }

/// Rows as right operand, summed over rows: of 16 rows and 16 of D, the lane points at this row and
/// run; loaded transposed, the results are both registers of the first 8 of D, then of the others.
VIZOO_HOST_DEVICE constexpr int across_row(int lane) { return lane % 16; }
VIZOO_HOST_DEVICE constexpr int across_run(int lane) { return lane / 16; }

}  // namespace vizoo::kernels
