#include "vizoo/ops/image_ops.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <string>

#include "test/support/catch.h"
#include "test/support/op_error.h"

using at::Tensor;
using torch::autograd::grad;
using vizoo::ops::average_pool2d;
using vizoo::ops::grid_distance_bias;
using vizoo::ops::interpolate_position_embeddings;
using vizoo::ops::unflatten_batch_like;
using vizoo::ops::unflatten_patches;
using vizoo::test::op_error;

namespace {

double largest(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

// The mean over what of the window lies inside, pixel by pixel.
Tensor pool_by_hand(const Tensor& x, int64_t kernel_size) {
  auto y = at::empty_like(x);
  const int64_t reach = kernel_size / 2;
  for (int64_t i = 0; i < x.size(2); ++i) {
    for (int64_t j = 0; j < x.size(3); ++j) {
      const auto window = x.slice(2, std::max<int64_t>(i - reach, 0), i + reach + 1)
                              .slice(3, std::max<int64_t>(j - reach, 0), j + reach + 1);
      y.select(2, i).select(2, j).copy_(window.mean({2, 3}));
    }
  }
  return y;
}

}  // namespace

TEST_CASE("average pooling counts the pixels that are there", "[image_ops]") {
  for (const int64_t kernel_size : {1, 3, 5, 9}) {
    for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
      const auto x = at::randn({2, 3, 6, 7}, at::kDouble).contiguous(format);
      CHECK(largest(average_pool2d(x, kernel_size), pool_by_hand(x, kernel_size)) < 1e-14);
    }
  }
}

TEST_CASE("the gradient of average pooling is right in both memory formats", "[image_ops]") {
  // Pooling is linear: <pool(x), c> = <x, pool'(c)> for all x, and pool' does not depend on x.
  for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    for (const int64_t batch : {1, 2}) {
      const auto x = at::randn({batch, 3, 5, 6}, at::kDouble).contiguous(format).requires_grad_();
      const auto cotangent = at::randn({batch, 3, 5, 6}, at::kDouble);
      const auto gradient = grad({average_pool2d(x, 3)}, {x}, {cotangent})[0];
      const auto other = at::randn_like(x);
      const double left = (pool_by_hand(other, 3) * cotangent).sum().item<double>();
      CHECK(std::abs(left - (other * gradient).sum().item<double>()) < 1e-12);
    }
  }
}

TEST_CASE("position embeddings of the table's own size are returned as they are", "[image_ops]") {
  const auto table = at::randn({1, 1 + 16, 6});
  for (const bool offset : {true, false}) {
    // 59 pixels are four patches of 14 as well.
    for (const int64_t size : {56, 59}) {
      const auto same =
          interpolate_position_embeddings(table, at::zeros({2, 3, size, size}), 14, offset);
      CHECK(same.const_data_ptr() == table.const_data_ptr());
      CHECK(at::equal(same, table));
    }
  }
}

TEST_CASE("position embeddings are interpolated in a type, by offset or by size", "[image_ops]") {
  const auto table = at::randn({1, 1 + 16, 6}, at::kDouble);
  const auto image = at::zeros({1, 3, 30, 71});  // 2 x 5 patches of 14
  const auto map = table.slice(1, 1).to(at::kFloat).reshape({1, 4, 4, 6}).permute({0, 3, 1, 2});
  const auto expect = [&](const Tensor& resized) {
    return at::cat({table.slice(1, 0, 1), resized.flatten(2).transpose(1, 2).to(at::kDouble)}, 1);
  };
  CHECK(at::equal(interpolate_position_embeddings(table, image, 14, true),
                  expect(at::upsample_bicubic2d(map, {2, 5}, false, 2.1 / 4, 5.1 / 4))));
  CHECK(at::equal(interpolate_position_embeddings(table, image, 14, false),
                  expect(at::upsample_bicubic2d(map, {2, 5}, false))));
  CHECK(at::equal(interpolate_position_embeddings(table, image, 14, false, true),
                  expect(at::_upsample_bicubic2d_aa(map, {2, 5}, false))));
  const auto in_double = table.slice(1, 1).reshape({1, 4, 4, 6}).permute({0, 3, 1, 2});
  CHECK(at::equal(interpolate_position_embeddings(table, image, 14, false, false, false),
                  expect(at::upsample_bicubic2d(in_double, {2, 5}, false))));
  // As many patches as the table has, but not a square image.
  const auto wide = interpolate_position_embeddings(table, at::zeros({1, 3, 28, 112}), 14, true);
  CHECK(wide.sizes() == at::IntArrayRef{1, 17, 6});
  CHECK_FALSE(at::equal(wide, table));
}

TEST_CASE("the class token's gradient does not pass through the interpolation", "[image_ops]") {
  const auto table = at::randn({1, 1 + 9, 4}).requires_grad_();
  const auto out = interpolate_position_embeddings(table, at::zeros({1, 3, 10, 6}), 2, true);
  const auto gradient = grad({out.select(1, 0).sum()}, {table})[0];
  CHECK(at::equal(gradient.select(1, 0), at::ones({1, 4})));
  CHECK(gradient.slice(1, 1).count_nonzero().item<int64_t>() == 0);
}

TEST_CASE("the bias of a grid is that of the distance along each axis", "[image_ops]") {
  for (const int64_t resolution : {1, 2, 3, 6}) {
    for (const int64_t stride : {1, 2}) {
      const auto biases = at::randn({3, resolution * resolution});
      const auto map = grid_distance_bias(biases, resolution, stride);
      const int64_t side = (resolution - 1) / stride + 1;
      REQUIRE(map.sizes() == at::IntArrayRef{3, side * side, resolution * resolution});
      for (int64_t query = 0; query < side * side; ++query) {
        for (int64_t key = 0; key < resolution * resolution; ++key) {
          const int64_t rows = std::abs(query / side * stride - key / resolution);
          const int64_t columns = std::abs(query % side * stride - key % resolution);
          const auto expected = biases.select(1, rows * resolution + columns);
          CHECK(at::equal(map.select(1, query).select(1, key), expected));
        }
      }
    }
  }
}

TEST_CASE("image ops say what is wrong", "[image_ops]") {
  CHECK(op_error([] {
          average_pool2d(at::zeros({2, 3}), 3);
        }) ==
        "[average_pool2d] input: expected a floating-point tensor [B, C, H, W], got Float [2, 3].");
  CHECK(op_error([] {
          average_pool2d(at::zeros({1, 1, 2, 2}), 2);
        }) == "[average_pool2d] kernel_size: expected an odd integer of at least 1, got 2.");
  const auto image = at::zeros({1, 3, 28, 28});
  CHECK(op_error([&] {
          interpolate_position_embeddings(at::zeros({1, 4, 2}), image, 14, true);
        }) ==
        "[interpolate_position_embeddings] position_embeddings: expected a square map of patches, "
        "got 3 of them.");
  CHECK(op_error([&] {
          interpolate_position_embeddings(at::zeros({2, 4, 2}), image, 14, true);
        }) ==
        "[interpolate_position_embeddings] position_embeddings: expected a tensor [1, 1 + N, C], "
        "got [2, 4, 2].");
  CHECK(op_error([&] {
          interpolate_position_embeddings(at::zeros({1, 5, 2}), image, 29, true);
        }) ==
        "[interpolate_position_embeddings] pixel_values: expected a height and width of at least "
        "29, got [1, 3, 28, 28].");
  CHECK(op_error([] {
          grid_distance_bias(at::zeros({2, 8}), 3, 1);
        }) == "[grid_distance_bias] attention_biases: expected a tensor [heads, 9], got [2, 8].");
  CHECK(op_error([] {
          grid_distance_bias(at::zeros({2, 9}), 3, 0);
        }) == "[grid_distance_bias] stride: expected an integer of at least 1, got 0.");
}

TEST_CASE("rows and patches get the shape of what they belong to", "[image_ops]") {
  const auto rows = at::arange(12).view({6, 2});
  const auto grouped = unflatten_batch_like(rows, at::zeros({3, 7, 1}));
  CHECK(at::equal(grouped, rows.view({3, 2, 2})));
  CHECK(grouped.data_ptr() == rows.data_ptr());
  const auto patches = at::arange(24).view({2, 6, 2});
  const auto map = unflatten_patches(patches, at::zeros({2, 3, 11, 15}), 5);  // 2 rows of 3
  CHECK(at::equal(map, patches.view({2, 2, 3, 2})));
  CHECK(map.data_ptr() == patches.data_ptr());

  CHECK(op_error([&] {
          unflatten_batch_like(rows, at::zeros({4, 1}));
        }) == "[unflatten_batch_like] input: expected a multiple of 4 rows, got [6, 2].");
  CHECK(op_error([&] {
          unflatten_batch_like(rows, at::zeros({0, 1}));
        }) == "[unflatten_batch_like] reference: expected at least one row, got [0, 1].");
  CHECK(op_error([&] {
          unflatten_patches(patches, at::zeros({2, 3, 11, 16}), 4);
        }) == "[unflatten_patches] patches: expected a tensor [B, 8, C], got [2, 6, 2].");
  CHECK(op_error([&] {
          unflatten_patches(patches, at::zeros({3, 11, 16}), 4);
        }) == "[unflatten_patches] pixel_values: expected a tensor [B, C, H, W], got [3, 11, 16].");
  CHECK(op_error([&] {
          unflatten_patches(patches, at::zeros({2, 3, 11, 16}), 0);
        }) == "[unflatten_patches] patch_size: expected an integer of at least 1, got 0.");
}
