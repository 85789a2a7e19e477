// The index arithmetic of the tensor core kernels against what it means, counted out.
#include "vizoo/kernels/na2d_tile.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "test/support/catch.h"
#include "vizoo/kernels/na2d_plan.h"

using namespace vizoo::kernels;

// Usable where a constant is needed, and so on a device.
static_assert(group_order(7, 10, 3).group == 2 && group_order(7, 10, 3).position == 0);
static_assert(largest_extent(56, 7, 4, false) == 10 && largest_extent(56, 7, 8, false) == 14);
static_assert(fragment_row(31, 2) == 15 && fragment_column(31, 5) == 15);

namespace {

bool sees(int query, int key, int length, int kernel_size) {
  const int begin = window_begin(query, length, kernel_size);
  return key >= begin && key < begin + kernel_size;
}

/// The smallest range that holds the neighbours of [first, last]; `inverse` as in TilePlan.
PositionRange counted_neighbours(int first, int last, int length, int kernel_size, bool inverse) {
  PositionRange range{length, 0};
  for (int own = first; own <= last; ++own) {
    for (int other = 0; other < length; ++other) {
      const bool near =
          inverse ? sees(other, own, length, kernel_size) : sees(own, other, length, kernel_size);
      if (!near) continue;
      range.begin = std::min(range.begin, other);
      range.end = std::max(range.end, other + 1);
    }
  }
  return range;
}

Na2dShape make_shape(int64_t batch,
                     int height,
                     int width,
                     std::array<int, 2> kernel_size,
                     std::array<int, 2> dilation,
                     int64_t heads = 1,
                     int head_dim = 32) {
  Na2dShape shape;
  shape.batch = batch;
  shape.heads = heads;
  shape.height = height;
  shape.width = width;
  shape.head_dim = head_dim;
  for (const size_t axis : {0, 1}) {
    shape.kernel_size[axis] = kernel_size[axis];
    shape.dilation[axis] = dilation[axis];
  }
  return shape;
}

std::vector<Na2dShape> random_shapes(int count) {
  std::mt19937 engine(5);
  const auto between = [&](int low, int high) {
    return low + static_cast<int>(engine() % static_cast<unsigned>(high - low + 1));
  };
  std::vector<Na2dShape> shapes;
  while (static_cast<int>(shapes.size()) < count) {
    const std::array<int, 2> kernel{2 * between(1, 5) + 1, 2 * between(1, 5) + 1};
    const std::array<int, 2> dilation{between(1, 4), between(1, 4)};
    shapes.push_back(make_shape(between(1, 3),
                                kernel[0] * dilation[0] + between(0, 20),
                                kernel[1] * dilation[1] + between(0, 20),
                                kernel,
                                dilation,
                                between(1, 3)));
  }
  return shapes;
}

constexpr TilePass kPasses[] = {
    TilePass::forward, TilePass::backward_queries, TilePass::backward_keys};

}  // namespace

TEST_CASE("tokens in the order of groups: each once, groups one after another") {
  std::string wrong;
  for (int length = 1; length <= 60; ++length) {
    for (int dilation = 1; dilation <= length; ++dilation) {
      int index = 0;
      for (int group = 0; group < dilation; ++group) {
        for (int position = 0; position < group_length(length, dilation, group); ++position) {
          const auto place = group_order(index++, length, dilation);
          if (place.group != group || place.position != position) wrong = "group_order";
        }
      }
      if (index != length) wrong = "length";
      int groups = 0;
      for (int i = 0; i < group_class_count(length, dilation); ++i) {
        const auto same = group_class(length, dilation, i);
        if (same.first != groups || same.count < 1) wrong = "group_class";
        for (int j = 0; j < same.count; ++j, ++groups) {
          if (group_length(length, dilation, groups) != same.length) wrong = "group_class length";
        }
      }
      if (groups != dilation) wrong = "group_class count";
    }
  }
  CHECK(wrong.empty());
}

TEST_CASE("unions of neighbours and their longest") {
  std::string wrong;
  for (const int kernel_size : {3, 5, 7, 11}) {
    for (int length = kernel_size; length <= 5 * kernel_size; ++length) {
      for (const bool inverse : {false, true}) {
        for (const int span : {4, 8, 12, 32}) {
          int largest = 0;
          for (int first = 0; first < length; first += span) {
            const int last = std::min(first + span, length) - 1;
            const auto expected = counted_neighbours(first, last, length, kernel_size, inverse);
            const auto range = neighbours_of(first, last, length, kernel_size, inverse);
            if (range.begin != expected.begin || range.end != expected.end) wrong = "range";
            largest = std::max(largest, range.end - range.begin);
          }
          if (largest != largest_extent(length, kernel_size, span, inverse)) wrong = "extent";
        }
      }
    }
  }
  CHECK(wrong.empty());
  // Long axes, where most pieces are skipped.
  for (const int length : {300, 301, 302, 303, 1280}) {
    for (const bool inverse : {false, true}) {
      for (const int span : {4, 8, 32}) {
        int largest = 0;
        for (int first = 0; first < length; first += span) {
          const int last = std::min(first + span, length) - 1;
          const auto range = neighbours_of(first, last, length, 7, inverse);
          largest = std::max(largest, range.end - range.begin);
        }
        CHECK(largest == largest_extent(length, 7, span, inverse));
      }
    }
  }
}

TEST_CASE("pieces of work hold every token of every image once") {
  std::string wrong;
  for (const auto& shape : random_shapes(60)) {
    for (const TilePass pass : kPasses) {
      auto plan = make_tile_plan(shape, pass);
      REQUIRE(plan.patches[0] > 0);
      plan.slices = 1 + plan.slices % 7;
      std::map<std::array<int64_t, 3>, int> times;
      for (int64_t slot = 0; slot < tile_slots(shape, plan); ++slot) {
        const auto work = tile_work(shape, plan, slot);
        if (work.items < 1 || work.first_item >= work.items) wrong = "a piece without work";
        for (auto item = work.first_item; item < work.items; item += work.item_step) {
          const auto place = tile_item(work, item);
          for (int warp = 0; warp < plan.patches[0] * plan.patches[1]; ++warp) {
            const auto patch = patch_of(shape, plan, work, warp);
            if (patch.empty()) continue;
            for (int row = 0; row < kPatchTokens; ++row) {
              int position[2] = {};
              if (!row_position(patch, row, position)) continue;
              ++times[{place.batch,
                       place.group[0] + shape.dilation[0] * position[0],
                       place.group[1] + shape.dilation[1] * position[1]}];
            }
          }
        }
      }
      const auto tokens = static_cast<size_t>(shape.batch * shape.height * shape.width);
      if (times.size() != tokens) wrong = "tokens";
      for (const auto& [token, count] : times) {
        if (count != 1 || token[1] >= shape.height || token[2] >= shape.width) wrong = "count";
      }
    }
  }
  CHECK(wrong.empty());
}

TEST_CASE("a patch's table has every pair of neighbours once, with its bias") {
  std::string wrong;
  for (const auto& shape : random_shapes(40)) {
    for (const TilePass pass : kPasses) {
      const auto plan = make_tile_plan(shape, pass);
      const auto layout = tile_layout(shape, plan, pass);
      if (layout.bytes > kMaxSharedBytes || layout.bins > layout.bytes) wrong = "layout";
      for (const int offset :
           {layout.second_rows, layout.bias, layout.columns, layout.statistics, layout.bins}) {
        if (offset % 16 != 0) wrong = "alignment";
      }
      for (int64_t slot = 0; slot < tile_slots(shape, plan); ++slot) {
        const auto work = tile_work(shape, plan, slot);
        const auto tile = tile_of(shape, plan, work);
        if (tile.neighbour_count() > plan.halo_tokens) wrong = "halo";
        const int length[2] = {work.groups[0].length, work.groups[1].length};
        for (int warp = 0; warp < plan.patches[0] * plan.patches[1]; ++warp) {
          const auto patch = patch_of(shape, plan, work, warp);
          if (patch.empty()) continue;
          if (patch.steps() > plan.steps) wrong = "steps";
          int pairs = 0;
          for (int row = 0; row < kPatchTokens; ++row) {
            for (int column = 0; column < patch.steps() * kStepNeighbours; ++column) {
              int own[2] = {};
              int other[2] = {};
              const bool present = row_position(patch, row, own);
              column_position(patch, column, other);
              const int in_halo = halo_index(tile, other);
              if (in_halo < 0 || in_halo >= tile.neighbour_count()) wrong = "halo_index";
              const int index = patch_bias_index(shape, plan, work, patch, row, column);
              if (index < 0) continue;
              ++pairs;
              const auto& query = plan.inverse ? other : own;
              const auto& key = plan.inverse ? own : other;
              const int y = key[0] - query[0] + shape.kernel_size[0] - 1;
              const int x = key[1] - query[1] + shape.kernel_size[1] - 1;
              const bool near = sees(query[0], key[0], length[0], shape.kernel_size[0]) &&
                                sees(query[1], key[1], length[1], shape.kernel_size[1]);
              if (!present || !near || index != y * (2 * shape.kernel_size[1] - 1) + x) {
                wrong = "bias";
              }
            }
          }
          int expected = 0;  // pairs of the patch's tokens, by counting
          for (int row = 0; row < kPatchTokens; ++row) {
            int own[2] = {};
            if (!row_position(patch, row, own)) continue;
            int across[2] = {};
            for (const int axis : {0, 1}) {
              for (int other = 0; other < length[axis]; ++other) {
                across[axis] += plan.inverse
                                    ? sees(other, own[axis], length[axis], shape.kernel_size[axis])
                                    : sees(own[axis], other, length[axis], shape.kernel_size[axis]);
              }
            }
            expected += across[0] * across[1];
          }
          if (pairs != expected) wrong = "pairs";
        }
      }
    }
  }
  CHECK(wrong.empty());
}

TEST_CASE("lanes hold every element of a step once") {
  std::set<std::pair<int, int>> elements;
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 8; ++i) elements.insert({fragment_row(lane, i), fragment_column(lane, i)});
  }
  CHECK(elements.size() == 256);
  CHECK(*elements.rbegin() == std::make_pair(15, 15));
}

TEST_CASE("which kernels fit, and which is chosen") {
  const auto half = Na2dElement::float16;
  const auto stage1 = make_shape(128, 56, 56, {7, 7}, {1, 1}, 2);
  const auto dilated = make_shape(128, 56, 56, {7, 7}, {8, 8}, 2);
  const auto uneven = make_shape(1, 57, 59, {7, 7}, {8, 8}, 2);
  CHECK(kernel_fits(Na2dCudaKernel::gathered_tile, stage1, half, true));
  CHECK_FALSE(kernel_fits(Na2dCudaKernel::dense_group, stage1, half, true));
  CHECK(kernel_fits(Na2dCudaKernel::dense_group, dilated, half, true));
  CHECK_FALSE(kernel_fits(Na2dCudaKernel::dense_group, uneven, half, true));
  CHECK(kernel_fits(Na2dCudaKernel::gathered_tile, uneven, half, true));
  CHECK_FALSE(kernel_fits(Na2dCudaKernel::gathered_tile, stage1, half, false));
  CHECK_FALSE(kernel_fits(Na2dCudaKernel::gathered_tile, stage1, Na2dElement::float32, true));
  const auto wide = make_shape(1, 30, 30, {13, 13}, {1, 1});
  CHECK_FALSE(kernel_fits(Na2dCudaKernel::gathered_tile, wide, half, true));
  CHECK(kernel_fits(Na2dCudaKernel::general, wide, Na2dElement::float64, false));
  const auto huge = make_shape(1, 101, 101, {101, 101}, {1, 1});
  CHECK_FALSE(kernel_fits(Na2dCudaKernel::general, huge, Na2dElement::float32, false));

  // No kernel that has never run on a GPU is the default.
  CHECK(choose_na2d_kernel(dilated, half, 90) == Na2dCudaKernel::general);
  // A group of 7 x 7 is one tile of four patches; its 49 keys take 4 steps.
  const auto plan = make_tile_plan(dilated, TilePass::forward);
  CHECK(plan.patches[0] * plan.patches[1] == 4);
  CHECK(plan.steps == 4);
  CHECK(make_tile_plan(stage1, TilePass::forward).steps == 7);
  // delta for each query and head, and some rows of 169 sums for each head.
  const auto sums = backward_workspace_bytes(Na2dCudaKernel::gathered_tile, stage1, half, true) / 4;
  const int64_t statistics = 128 * 56 * 56 * 2;
  CHECK((sums - statistics) % (2 * 169) == 0);
  CHECK((sums - statistics) / (2 * 169) == bias_slices(Na2dCudaKernel::gathered_tile, stage1));
}
