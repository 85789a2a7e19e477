#include "vizoo/ops/fourier_positions.h"

#include <ATen/ATen.h>

#include "test/support/catch.h"

namespace {

using vizoo::ops::fourier_features;
using vizoo::ops::fourier_features_of_grid;

std::string message(const std::function<void()>& body) {
  try {
    body();
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    return text.substr(0, text.find('\n'));
  }
  return "";
}

}  // namespace

TEST_CASE("a grid has the Fourier features of its points", "[fourier]") {
  for (const bool concat_pos : {false, true}) {
    for (const bool sine_only : {false, true}) {
      const auto grid = fourier_features_of_grid(
          at::zeros({2, 3, 4, 5, 7}), {6, 9, 224}, 8, concat_pos, sine_only);
      const auto points =
          at::stack(
              at::meshgrid({at::linspace(-1, 1, 3), at::linspace(-1, 1, 4), at::linspace(-1, 1, 5)},
                           "ij"),
              -1)
              .flatten(0, -2);  // [60, 3]
      const auto expected = fourier_features(points, {6, 9, 224}, 8, concat_pos, sine_only);
      CHECK(grid.sizes() == at::IntArrayRef({60, (concat_pos ? 3 : 0) + 24 * (sine_only ? 1 : 2)}));
      CHECK(at::equal(grid, expected));
    }
  }
}

TEST_CASE("Fourier features of a grid are of its dtype and device", "[fourier]") {
  const auto half = fourier_features_of_grid(at::zeros({1, 3, 1}, at::kHalf), {4}, 2, true, false);
  CHECK(half.scalar_type() == at::kHalf);
  const auto meta = at::zeros({1, 3, 5, 1}, at::TensorOptions().device(at::kMeta));
  const auto shape = fourier_features_of_grid(meta, {4, 4}, 2, true, false);
  CHECK(shape.is_meta());
  CHECK(shape.sizes() == at::IntArrayRef({15, 10}));
}

TEST_CASE("Fourier features want sizes that fit", "[fourier]") {
  CHECK(message([] {
          fourier_features_of_grid(at::zeros({1, 3, 1}), {4, 4}, 2, true, false);
        }) ==
        "[fourier_features_of_grid] feature_map: expected a tensor [B, sizes..., C] with 2 sizes, "
        "got [1, 3, 1].");
  CHECK(message([] {
          fourier_features_of_grid(at::zeros({1, 3, 1}), {4}, 0, true, false);
        }) == "[fourier_features_of_grid] num_bands: expected an integer of at least 1, got 0.");
  CHECK(message([] {
          fourier_features(at::zeros({3, 1}), {4, 4}, 2, true, false);
        }) == "[fourier_features] positions: expected a tensor [N, 2], got [3, 1].");
}
