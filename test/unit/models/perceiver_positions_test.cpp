#include "vizoo/models/perceiver/perceiver_positions.h"

#include <cmath>

#include "test/support/catch.h"
#include "test/support/small_perceiver.h"

using namespace vizoo;
using vizoo::test::error_of;
using vizoo::test::largest_difference;

namespace {

constexpr double kPi = 3.141592653589793;

PerceiverFourierOptions fourier(int64_t bands, std::vector<int64_t> resolution) {
  PerceiverFourierOptions options;
  options.num_bands = bands;
  options.max_resolution = std::move(resolution);
  return options;
}

}  // namespace

TEST_CASE("Fourier features are ordered by kind, dimension, frequency", "[perceiver]") {
  const std::vector<int64_t> grid = {3, 4};
  const std::vector<int64_t> resolution = {6, 10};
  const int64_t bands = 3;
  for (const bool concat_pos : {false, true}) {
    for (const bool sine_only : {false, true}) {
      auto options = fourier(bands, resolution);
      options.concat_pos = concat_pos;
      options.sine_only = sine_only;
      const PerceiverFourierPositionEncoding encoding(options);
      const auto features = encoding->forward(torch::zeros({1, grid[0], grid[1], 1}));
      REQUIRE(features.sizes() == at::IntArrayRef({12, encoding->output_size()}));
      for (int64_t row = 0; row < grid[0]; ++row) {
        for (int64_t column = 0; column < grid[1]; ++column) {
          const double position[] = {-1.0 + 2.0 * static_cast<double>(row) / 2.0,
                                     -1.0 + 2.0 * static_cast<double>(column) / 3.0};
          std::vector<double> expected;
          if (concat_pos) expected.assign(position, position + 2);
          for (const int kind : {0, 1}) {
            if (kind == 1 && sine_only) continue;
            for (std::size_t d = 0; d < 2; ++d) {
              for (int64_t k = 0; k < bands; ++k) {
                const double last = static_cast<double>(resolution[d]) / 2.0;
                const double frequency = 1.0 + (last - 1.0) * static_cast<double>(k) / (bands - 1);
                const double angle = kPi * position[d] * frequency;
                expected.push_back(kind == 0 ? std::sin(angle) : std::cos(angle));
              }
            }
          }
          const auto got = features[row * grid[1] + column];
          CHECK(largest_difference(got, torch::tensor(expected, torch::kDouble)) < 1e-5);
        }
      }
    }
  }
}

TEST_CASE("published Fourier encodings have the known sizes", "[perceiver]") {
  const auto size = [](int64_t bands, std::vector<int64_t> resolution) {
    return PerceiverFourierPositionEncoding(fourier(bands, std::move(resolution)))->output_size();
  };
  CHECK(size(64, {224, 224}) == 258);
  CHECK(size(32, {16, 224, 224}) == 195);
  CHECK(size(192, {30720}) == 385);
}

TEST_CASE("Fourier features of a grid and of the same points agree bit by bit", "[perceiver]") {
  const PerceiverFourierPositionEncoding encoding(fourier(192, {30720}));
  const auto like = torch::zeros({1});
  const auto grid = encoding->forward(torch::zeros({1, 1920, 1}));
  const auto points = encoding->encode(torch::linspace(-1, 1, 1920).unsqueeze(1), like);
  CHECK(torch::equal(grid, points));
  CHECK(encoding->forward(torch::zeros({1, 5, 1}, torch::kDouble)).scalar_type() == torch::kDouble);
  CHECK(error_of([&] {
          encoding->forward(torch::zeros({1, 5, 5, 1}));
        }) ==
        "[model] Fourier position encoding: expected 1 dimensions, as max_resolution has, got 2.");
}

TEST_CASE("a trainable encoding is expanded, or resized for other maps", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  PerceiverTrainableOptions options;
  options.index_dims = int64_t{16};
  options.num_channels = 3;
  const PerceiverTrainablePositionEncoding encoding(options);
  CHECK(encoding->num_dimensions() == 1);
  CHECK(encoding->forward(torch::zeros({5, 2, 2})).sizes() == at::IntArrayRef({5, 16, 3}));
  CHECK(torch::equal(encoding->interpolate(torch::zeros({1, 9, 4, 4})),
                     encoding->position_embeddings));
  // [16, 3] -> [1, 3, 4, 4] -> [1, 3, 5, 7] -> [35, 3]
  const auto map = encoding->position_embeddings.t().view({1, 3, 4, 4});
  const auto resized = at::upsample_bicubic2d(map, {5, 7}, /*align_corners=*/false);
  const auto got = encoding->interpolate(torch::zeros({1, 9, 5, 7}));
  CHECK(largest_difference(got, resized.flatten(2)[0].t()) < 1e-6);

  options.index_dims = std::vector<int64_t>{2, 3, 4};
  const PerceiverTrainablePositionEncoding video(options);
  CHECK(video->num_dimensions() == 3);
  CHECK(video->position_embeddings.size(0) == 24);
  CHECK(error_of([&] {
          video->interpolate(torch::zeros({1, 9, 5, 7}));
        }) ==
        "[model] interpolate_pos_encoding: expected a square number of trainable positions, got "
        "24.");
  options.index_dims = int64_t{0};
  CHECK(error_of([&] { PerceiverTrainablePositionEncoding bad(options); }) ==
        "[usage] PerceiverTrainablePositionEncoding: index_dims: expected integers from 1 to "
        "268435456, got 0.");
}

TEST_CASE("positions want the arguments of their type", "[perceiver]") {
  PerceiverPositionOptions options;
  CHECK(error_of([&] { PerceiverPositions("X", options, 4); }) ==
        "[usage] X: expected the argument fourier_position_encoding_kwargs, got nothing.");
  options.fourier_position_encoding_kwargs = fourier(2, {4});
  options.project_pos_dim = 6;
  CHECK(error_of([&] { PerceiverPositions("X", options, 4); }) ==
        "[usage] X: out_channels: expected 5, as many as the position encoding has, got 4. "
        "project_pos_dim projects from out_channels.");
  const PerceiverPositions positions("X", options, 5);
  CHECK(positions.num_channels() == 6);
  CHECK(positions.on_grid(torch::zeros({2, 7, 1})).sizes() == at::IntArrayRef({2, 7, 6}));
  options.position_encoding_type = PerceiverPositionEncodingType::trainable;
  CHECK(error_of([&] { PerceiverPositions("X", options, 5); }) ==
        "[usage] X: expected the argument trainable_position_encoding_kwargs, got nothing.");
}
