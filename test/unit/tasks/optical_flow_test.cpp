#include "vizoo/tasks/optical_flow.h"

#include "test/support/catch.h"
#include "vizoo/core/error.h"

namespace vizoo {
namespace {

using Starts = std::vector<int64_t>;

PerceiverForOpticalFlow small_flow_model(int64_t height, int64_t width) {
  PerceiverConfig config;
  config.num_latents = 4;
  config.d_latents = 8;
  config.d_model = 322;
  config.num_self_attends_per_block = 1;
  config.num_self_attention_heads = 2;
  config.num_cross_attention_heads = 1;
  config.train_size = {height, width};
  torch::manual_seed(11);
  PerceiverForOpticalFlow model(config);
  const torch::NoGradGuard no_grad;
  for (auto& parameter : model->parameters()) parameter.normal_(0.0, 0.1);
  model->eval();
  return model;
}

torch::Tensor random_frame(int64_t height, int64_t width) {
  return torch::randint(0, 256, {height, width, 3}, torch::kByte);
}

TEST_CASE("tiles cover a frame, none of them overruns it and none is there twice") {
  CHECK(tile_starts(436, 368, 20) == Starts{0, 68});
  CHECK(tile_starts(1024, 496, 20) == Starts{0, 476, 528});
  CHECK(tile_starts(368, 368, 20) == Starts{0});
  CHECK(tile_starts(369, 368, 20) == Starts{0, 1});
  CHECK(tile_starts(952, 496, 20) == Starts{0, 456});
  CHECK(tile_starts(1920, 496, 20) == Starts{0, 476, 952, 1424});  // upstream overruns here
  for (int64_t size = 30; size < 300; ++size) {
    const auto starts = tile_starts(size, 30, 7);
    CHECK(starts.front() == 0);
    CHECK(starts.back() == size - 30);
    for (std::size_t i = 1; i < starts.size(); ++i) {
      CHECK(starts[i] > starts[i - 1]);
      CHECK(starts[i] <= starts[i - 1] + 30 - 7);
    }
  }
  CHECK_THROWS_AS(tile_starts(10, 11, 0), ShapeError);
  CHECK_THROWS_AS(tile_starts(10, 10, 10), UsageError);
  CHECK_THROWS_AS(tile_starts(10, 10, -1), UsageError);
}

TEST_CASE("a pixel's patch holds its neighbourhood, row by row, with colours last") {
  const auto frames = torch::stack({random_frame(4, 5), random_frame(4, 5)});
  const auto patches = flow_patches(frames);
  REQUIRE(patches.sizes() == torch::IntArrayRef({1, 2, 27, 4, 5}));
  const auto value = [&](int64_t frame, int64_t y, int64_t x, int64_t color) {
    if (y < 0 || y > 3 || x < 0 || x > 4) return 0.0F;
    return static_cast<float>(frames[frame][y][x][color].item<int64_t>() / 255.0 * 2.0 - 1.0);
  };
  bool equal = true;
  for (int64_t channel = 0; channel < 27; ++channel) {
    for (int64_t i = 0; i < 40; ++i) {
      const auto frame = i / 20;
      const auto y = i % 20 / 5;
      const auto x = i % 5;
      equal = equal && patches[0][frame][channel][y][x].item<float>() ==
                           value(frame, y + channel / 9 - 1, x + channel / 3 % 3 - 1, channel % 3);
    }
  }
  CHECK(equal);
  CHECK_THROWS_AS(flow_patches(frames.to(torch::kFloat32)), ShapeError);
  CHECK_THROWS_AS(flow_patches(frames[0]), ShapeError);
  CHECK_THROWS_AS(flow_patches({}), ShapeError);
}

TEST_CASE("weights of a tile are the distance to the next border") {
  const auto expected =
      torch::tensor({{1, 1, 1, 1, 1}, {1, 2, 2, 2, 1}, {1, 1, 1, 1, 1}}, torch::kFloat64);
  CHECK(torch::equal(tile_weights(3, 5), expected));
  CHECK(torch::equal(tile_weights(1, 2), torch::ones({1, 2}, torch::kFloat64)));
}

TEST_CASE("a frame of one tile is the model's output in pixels") {
  const torch::NoGradGuard no_grad;
  const auto model = small_flow_model(8, 12);
  const auto first = random_frame(8, 12);
  const auto second = random_frame(8, 12);
  const auto flow = optical_flow(*model, first, second);
  const auto logits = model->forward(flow_patches(torch::stack({first, second}))).logits[0];
  REQUIRE(flow.sizes() == torch::IntArrayRef({8, 12, 2}));
  CHECK(flow.scalar_type() == torch::kFloat32);
  CHECK(logits.abs().max().item<float>() > 1e-4F);
  CHECK(torch::allclose(flow, logits * 20, 1e-6, 1e-7));
}

TEST_CASE("tiles are blended by their weights, whatever runs together") {
  const torch::NoGradGuard no_grad;
  const auto model = small_flow_model(8, 12);
  const auto first = random_frame(13, 24);
  const auto second = random_frame(13, 24);
  auto flow = torch::zeros({13, 24, 2}, torch::kFloat64);
  auto total = torch::zeros({13, 24, 1}, torch::kFloat64);
  const auto weights = tile_weights(8, 12).unsqueeze(-1);
  int64_t tiles = 0;
  for (const int64_t top : {0, 4, 5}) {  // overlap: half a tile
    for (const int64_t left : {0, 6, 12}) {
      using namespace torch::indexing;
      const auto rows = Slice(top, top + 8);
      const auto columns = Slice(left, left + 12);
      const auto patches =
          flow_patches(torch::stack({first.index({rows, columns}), second.index({rows, columns})}));
      const auto tile = model->forward(patches).logits[0].to(torch::kFloat64) * 20;
      flow.index({rows, columns}) += tile * weights;
      total.index({rows, columns}) += weights;
      ++tiles;
    }
  }
  const auto expected = (flow / total).to(torch::kFloat32);
  CHECK(flow_tile_count(*model, 13, 24) == tiles);
  int64_t calls = 0;
  CHECK(torch::allclose(
      optical_flow(*model, first, second, OpticalFlowOptions().on_tile([&] { ++calls; })),
      expected,
      1e-5,
      1e-6));
  CHECK(calls == tiles);
  CHECK(torch::allclose(
      optical_flow(*model, first, second, OpticalFlowOptions().batch(4)), expected, 1e-4, 1e-5));
}

TEST_CASE("frames that do not fit are errors") {
  const auto model = small_flow_model(8, 12);
  const auto message = [&](const torch::Tensor& first, const torch::Tensor& second) {
    try {
      optical_flow(*model, first, second);
    } catch (const ShapeError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(message(random_frame(8, 12), random_frame(8, 13)) ==
        "[flow] second frame: expected 8 x 12 pixels as the first, got 8 x 13.");
  CHECK(message(random_frame(7, 40), random_frame(7, 40)) ==
        "[flow] frames: expected at least 8 x 12 pixels, one tile, got 7 x 40. Enlarge or pad both "
        "frames.");
  CHECK(message(random_frame(8, 12), random_frame(8, 12).to(torch::kInt)) != "");
  CHECK(message(random_frame(8, 12)[0], random_frame(8, 12)) != "");
  CHECK(message({}, random_frame(8, 12)) != "");
  CHECK_THROWS_AS(
      optical_flow(*model, random_frame(8, 12), random_frame(8, 12), OpticalFlowOptions().batch(0)),
      UsageError);
}

}  // namespace
}  // namespace vizoo
