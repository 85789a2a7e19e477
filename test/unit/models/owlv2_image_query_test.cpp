// Image-guided detection.
#include <limits>

#include "test/support/catch.h"
#include "test/support/small_owlv2.h"
#include "vizoo/core/error.h"
#include "vizoo/nn/box_ops.h"

using namespace vizoo;
using vizoo::test::largest_difference;
using vizoo::test::random_owlv2;
using vizoo::test::small_owlv2_config;
using vizoo::test::small_owlv2_pixels;

namespace {

Owlv2ForObjectDetection image_guided_detector() {
  return random_owlv2<Owlv2ForObjectDetection>(small_owlv2_config(), 2);
}

// Makes the box head predict `value` whatever it sees.
void set_boxes(Owlv2ForObjectDetection& model, double value) {
  const torch::NoGradGuard no_grad;
  model->box_head->dense2->weight.zero_();
  model->box_head->dense2->bias.fill_(value);
}

}  // namespace

TEST_CASE("a query image is its most atypical box among those that cover it", "[owlv2]") {
  const torch::NoGradGuard no_grad;
  auto model = image_guided_detector();
  const auto map = model->image_embedder(small_owlv2_pixels(2)).image_embeds;
  const auto features = map.flatten(1, 2);
  const auto query = model->embed_image_query(features, map);
  REQUIRE(query.query_embeds.sizes() == at::IntArrayRef{2, 1, 8});
  REQUIRE(query.box_indices.sizes() == at::IntArrayRef{2, 1});
  const auto embeds = model->class_head->dense0->forward(features);  // not of length 1
  for (int64_t image = 0; image < 2; ++image) {
    const auto corners = nn::center_to_corners(query.pred_boxes[image]);
    const auto overlap = nn::box_iou(torch::tensor({{0.0F, 0.0F, 1.0F, 1.0F}}), corners)[0];
    const auto mean = embeds[image].mean(0);
    int64_t best = -1;
    double least = std::numeric_limits<double>::infinity();
    for (int64_t patch = 0; patch < 16; ++patch) {
      if (overlap[patch].item<double>() < 0.8 * overlap.max().item<double>()) continue;
      const double likeness = embeds[image][patch].dot(mean).item<double>();
      if (likeness < least) {
        least = likeness;
        best = patch;
      }
    }
    CHECK(query.box_indices[image][0].item<int64_t>() == best);
    CHECK(torch::equal(query.query_embeds[image][0], embeds[image][best]));
  }
}

TEST_CASE("boxes without area are compared by generalized IoU", "[owlv2]") {
  const torch::NoGradGuard no_grad;
  auto model = image_guided_detector();
  set_boxes(model, -200.0);  // points at the origin: IoU 0, generalized IoU 0
  const auto map = model->image_embedder(small_owlv2_pixels(1)).image_embeds;
  const auto query = model->embed_image_query(map.flatten(1, 2), map);
  CHECK(query.pred_boxes.abs().max().item<double>() == 0.0);
  REQUIRE(query.query_embeds.defined());  // all of them pass
  const auto embeds = model->class_head->dense0->forward(map.flatten(1, 2))[0];
  CHECK(query.box_indices.item<int64_t>() ==
        embeds.matmul(embeds.mean(0)).argmin().item<int64_t>());
}

TEST_CASE("a query image without any box above the rule is left out", "[owlv2]") {
  const torch::NoGradGuard no_grad;
  auto model = image_guided_detector();
  auto queries = small_owlv2_pixels(2);
  const auto targets = small_owlv2_pixels(2, 8);
  // No comparison with NaN holds, so nothing passes.
  queries[0] = std::numeric_limits<float>::quiet_NaN();
  const auto one = model->image_guided_detection(targets, queries);
  const auto alone = model->image_guided_detection(targets, queries.slice(0, 1));
  CHECK(largest_difference(one.logits, alone.logits) < 1e-5);  // the other one serves all targets
  CHECK(one.query_pred_boxes.sizes() == at::IntArrayRef{2, 16, 4});

  queries[1] = std::numeric_limits<float>::quiet_NaN();
  const auto none = model->image_guided_detection(targets, queries);
  CHECK(none.logits.sizes() == at::IntArrayRef{2, 16, 12});
  CHECK(none.logits.count_nonzero().item<int64_t>() == 0);
  CHECK(none.logits.scalar_type() == torch::kFloat);
  CHECK(torch::equal(none.class_embeds,
                     model->class_head->dense0->forward(none.image_embeds.flatten(1, 2))));
}

TEST_CASE("queries and targets are as many, or one of either", "[owlv2]") {
  const torch::NoGradGuard no_grad;
  auto model = image_guided_detector();
  const auto pixels = small_owlv2_pixels(3);
  const auto run = [&](int64_t targets, int64_t queries) {
    return model->image_guided_detection(pixels.slice(0, 0, targets), pixels.slice(0, 0, queries));
  };
  CHECK(run(3, 3).logits.sizes() == at::IntArrayRef{3, 16, 1});
  CHECK(run(3, 1).logits.sizes() == at::IntArrayRef{3, 16, 1});
  CHECK(run(1, 2).logits.sizes() == at::IntArrayRef{2, 16, 1});
  CHECK_THROWS_WITH(run(3, 2),
                    "[model] query_pixel_values: expected one query image with a box for each of "
                    "the 3 target images, or one for all, got 2 of 2 images.");
  CHECK_THROWS_WITH(
      model->image_guided_detection(pixels, torch::zeros({1, 3, 9, 9})),
      "[model] query_pixel_values: expected images of /image_size, 12 x 12, got Float "
      "[1, 3, 9, 9]. Set interpolate_pos_encoding for other sizes.");
  CHECK_THROWS_WITH(model->image_guided_detection(pixels, {}),
                    "[model] query_pixel_values: expected a tensor [B, num_channels, H, W], got "
                    "none.");
}

TEST_CASE("image-guided detection ignores the call's and the composite's flags", "[owlv2]") {
  const torch::NoGradGuard no_grad;
  auto config = small_owlv2_config();
  config.output_attentions = true;
  config.vision_config.output_hidden_states = true;
  auto model = random_owlv2<Owlv2ForObjectDetection>(config, 2);
  const auto pixels = small_owlv2_pixels(1);
  const auto output =
      model->image_guided_detection(pixels, pixels, Owlv2Options().output_attentions(true));
  CHECK(output.vision_model_output.attentions.empty());
  CHECK(output.vision_model_output.hidden_states.size() == 3);
}

TEST_CASE("the tuple of image-guided detection has an order of its own", "[owlv2]") {
  const torch::NoGradGuard no_grad;
  auto model = image_guided_detector();
  const auto output =
      model->image_guided_detection(small_owlv2_pixels(1), small_owlv2_pixels(1, 8));
  const auto tuple = to_tuple(output);
  REQUIRE(tuple.size() == 7);
  CHECK(tuple[0][0].is_same(output.image_embeds));
  CHECK(tuple[1][0].is_same(output.query_image_embeds));
  CHECK(tuple[2][0].is_same(output.target_pred_boxes));
  CHECK(tuple[3][0].is_same(output.query_pred_boxes));
  CHECK(tuple[4][0].is_same(output.logits));
  CHECK(tuple[5][0].is_same(output.class_embeds));
  CHECK(tuple[6][0].is_same(output.vision_model_output.last_hidden_state));
  const auto named = named_tensors(output);
  CHECK(named[0].first == "logits");
  CHECK(named[1].first == "image_embeds");
  CHECK(named[6].first == "vision_model_output.last_hidden_state");
}

TEST_CASE("gradients of image-guided logits reach the query image", "[owlv2]") {
  auto model = image_guided_detector();
  auto query = small_owlv2_pixels(1).requires_grad_();
  model->image_guided_detection(small_owlv2_pixels(1, 8), query).logits.sum().backward();
  CHECK(query.grad().abs().max().item<double>() > 0.0);
}
