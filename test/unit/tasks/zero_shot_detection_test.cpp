#include "vizoo/tasks/zero_shot_detection.h"

#include <limits>

#include "test/support/catch.h"
#include "vizoo/core/error.h"

namespace vizoo {
namespace {

Owlv2ForObjectDetection small_detector() {
  Owlv2Config config;
  config.text_config.vocab_size = 20;
  config.text_config.hidden_size = 8;
  config.text_config.intermediate_size = 12;
  config.text_config.num_hidden_layers = 2;
  config.text_config.num_attention_heads = 2;
  config.text_config.max_position_embeddings = 6;
  config.vision_config.hidden_size = 12;
  config.vision_config.intermediate_size = 16;
  config.vision_config.num_hidden_layers = 2;
  config.vision_config.num_attention_heads = 3;
  config.vision_config.image_size = 16;
  config.vision_config.patch_size = 4;
  config.projection_dim = 8;
  torch::manual_seed(3);
  Owlv2ForObjectDetection model(config);
  model->eval();
  return model;
}

TEST_CASE("queries of texts give what forward gives with them in every image") {
  const torch::NoGradGuard no_grad;
  auto model = small_detector();
  // The last row is padding: its column is masked.
  const auto ids = torch::tensor({{18, 3, 19, 0}, {18, 5, 6, 19}, {0, 0, 0, 0}}, torch::kInt64);
  const auto mask = torch::tensor({{1, 1, 1, 0}, {1, 1, 1, 1}, {1, 0, 0, 0}}, torch::kInt64);
  const auto pixels = torch::randn({2, 3, 16, 16});
  const auto queries = text_queries(*model, ids, mask);
  const auto output = detect_queries(*model, queries, pixels);
  const auto expected = model->forward(ids.repeat({2, 1}), pixels, mask.repeat({2, 1}));
  CHECK(output.logits.sizes() == torch::IntArrayRef({2, 16, 3}));
  CHECK(torch::allclose(output.logits, expected.logits, 1e-5, 1e-6));
  CHECK(torch::allclose(output.pred_boxes, expected.pred_boxes, 1e-5, 1e-6));
  CHECK(output.logits.select(2, 2).eq(-1e6).all().item<bool>());
}

TEST_CASE("the query of an image gives what image_guided_detection gives") {
  const torch::NoGradGuard no_grad;
  auto model = small_detector();
  const auto pixels = torch::randn({3, 3, 16, 16});
  const auto query = torch::randn({1, 3, 16, 16});
  const auto output = detect_queries(*model, image_query(*model, query), pixels);
  const auto expected = model->image_guided_detection(pixels, query);
  CHECK(output.logits.sizes() == torch::IntArrayRef({3, 16, 1}));
  CHECK(torch::allclose(output.logits, expected.logits, 1e-5, 1e-6));
  CHECK(torch::allclose(output.pred_boxes, expected.target_pred_boxes, 1e-5, 1e-6));
}

TEST_CASE("a query image without a box that passes is an error") {
  const torch::NoGradGuard no_grad;
  auto model = small_detector();
  // NaN overlaps nothing: no box is as good as 0.8 of the best.
  model->box_head->dense2->bias.fill_(std::numeric_limits<float>::quiet_NaN());
  CHECK_THROWS_AS(image_query(*model, torch::randn({1, 3, 16, 16})), ImageError);
}

}  // namespace
}  // namespace vizoo
