// The detector on texts, and what its heads share with image-guided detection.
#include "test/support/catch.h"
#include "test/support/error_message.h"
#include "test/support/small_owlv2.h"
#include "vizoo/core/error.h"

using namespace vizoo;
using vizoo::test::error_message;
using vizoo::test::largest_difference;
using vizoo::test::random_owlv2;
using vizoo::test::small_owlv2_config;
using vizoo::test::small_owlv2_pixels;
using vizoo::test::small_owlv2_texts;

namespace {

Owlv2ForObjectDetection detector() {
  return random_owlv2<Owlv2ForObjectDetection>(small_owlv2_config(), 2);
}

}  // namespace

TEST_CASE("a patch's box is biased to its bottom right corner and its size", "[owlv2]") {
  const auto base = owlv2_box_bias(torch::zeros({1, 60, 60, 4}));
  REQUIRE(base.sizes() == at::IntArrayRef{3600, 4});
  CHECK(base[0][0].item<double>() == Approx(-4.07166).margin(1e-5));
  CHECK(base[1][0].item<double>() == Approx(-3.36440).margin(1e-5));
  CHECK(base[2][0].item<double>() == Approx(-2.94255).margin(1e-5));
  CHECK(base[59][0].item<double>() == Approx(9.21027).margin(1e-5));  // 9.21044 but for rounding
  CHECK(base[1][1].item<double>() == Approx(-4.07166).margin(1e-5));  // of the first row
  CHECK(base[61][1].item<double>() == Approx(-3.36440).margin(1e-5));
  CHECK(base[777][2].item<double>() == Approx(-4.07166).margin(1e-5));
  CHECK(base[777][3].item<double>() == Approx(-4.07166).margin(1e-5));
  const auto large = owlv2_box_bias(torch::zeros({1, 72, 72, 4}, torch::kDouble));
  CHECK(large.scalar_type() == torch::kFloat);
  CHECK(large[0][0].item<double>() == Approx(-4.25561).margin(1e-5));
  CHECK(large[1][0].item<double>() == Approx(-3.55186).margin(1e-5));
}

TEST_CASE("the box bias of a rectangular grid knows rows and columns", "[owlv2]") {
  const auto bias = owlv2_box_bias(torch::zeros({2, 2, 5, 3}));
  REQUIRE(bias.sizes() == at::IntArrayRef{10, 4});
  const auto logit = [](double value) { return std::log(value + 1e-4) - std::log1p(1e-4 - value); };
  CHECK(bias[1][0].item<double>() == Approx(logit(2.0 / 5)).margin(1e-5));
  CHECK(bias[1][1].item<double>() == Approx(logit(1.0 / 2)).margin(1e-5));
  CHECK(bias[9][1].item<double>() == Approx(logit(1.0)).margin(1e-3));
  CHECK(bias[4][2].item<double>() == Approx(logit(1.0 / 5)).margin(1e-5));
  CHECK(bias[4][3].item<double>() == Approx(logit(1.0 / 2)).margin(1e-5));
}

TEST_CASE("every output of the detector has Transformers' shape", "[owlv2]") {
  const torch::NoGradGuard no_grad;
  auto model = detector();
  const auto ids = torch::cat({small_owlv2_texts(), small_owlv2_texts()});
  const auto output = model->forward(ids, small_owlv2_pixels(2));
  CHECK(output.logits.sizes() == at::IntArrayRef{2, 16, 3});
  CHECK(output.objectness_logits.sizes() == at::IntArrayRef{2, 16});
  CHECK(output.pred_boxes.sizes() == at::IntArrayRef{2, 16, 4});
  CHECK(output.text_embeds.sizes() == at::IntArrayRef{2, 3, 8});
  CHECK(output.image_embeds.sizes() == at::IntArrayRef{2, 4, 4, 12});
  CHECK(output.class_embeds.sizes() == at::IntArrayRef{2, 16, 8});
  CHECK(output.text_model_output.last_hidden_state.sizes() == at::IntArrayRef{6, 6, 8});
  CHECK(output.vision_model_output.pooler_output.sizes() == at::IntArrayRef{2, 12});
  const auto boxes = output.pred_boxes;
  CHECK((boxes.gt(0).logical_and(boxes.lt(1))).all().item<bool>());
  // [B, Q, L] says the same.
  const auto nested =
      model->forward(ids.view({2, 3, 6}), small_owlv2_pixels(2), ids.view({2, 3, 6}).gt(0));
  CHECK(largest_difference(nested.logits, output.logits) < 1e-5);
}

TEST_CASE("logits are scaled and shifted cosines of twice normalised texts", "[owlv2]") {
  const torch::NoGradGuard no_grad;
  auto model = detector();
  const auto output = model->forward(small_owlv2_texts(), small_owlv2_pixels(1));
  const auto features = output.image_embeds.flatten(1, 2);
  const auto& head = model->class_head;
  const auto raw = head->dense0->forward(features);
  const auto image = raw / (raw.norm(2, -1, true) + 1e-6);
  const auto once = owlv2_normalize(model->owlv2->get_text_features(small_owlv2_texts()));
  const auto twice = once / (once.norm(2, -1, true) + 1e-6);
  CHECK(largest_difference(output.text_embeds[0], once) < 1e-6);
  CHECK(largest_difference(output.class_embeds, image) < 1e-6);
  const auto scale = torch::elu(head->logit_scale->forward(features)) + 1;
  const auto logits = (image.matmul(twice.t()) + head->logit_shift->forward(features)) * scale;
  CHECK(largest_difference(output.logits, logits) < 1e-5);
}

TEST_CASE("a text that begins with id 0 is padding, an empty text is not", "[owlv2]") {
  const torch::NoGradGuard no_grad;
  auto model = detector();
  auto ids = small_owlv2_texts();
  ids[2] = 0;
  const auto logits = model->forward(ids, small_owlv2_pixels(1)).logits;
  CHECK(logits.select(-1, 2).eq(-1e6).all().item<bool>());
  CHECK(logits.select(-1, 1).abs().lt(100).all().item<bool>());  // 18, 19, 0, ...: the text " "
}

TEST_CASE("logits of texts are float32 in every type, those of images are not", "[owlv2]") {
  const torch::NoGradGuard no_grad;
  for (const auto type : {torch::kBFloat16, torch::kFloat16, torch::kFloat64}) {
    auto model = detector();
    model->to(type);
    const auto pixels = small_owlv2_pixels(1);  // cast by the tower
    const auto output = model->forward(small_owlv2_texts(), pixels);
    CHECK(output.logits.scalar_type() == torch::kFloat);
    CHECK(output.pred_boxes.scalar_type() == type);
    CHECK(output.objectness_logits.scalar_type() == type);
    CHECK(model->image_guided_detection(pixels, pixels).logits.scalar_type() == type);
  }
}

TEST_CASE("objectness trains its own head only", "[owlv2]") {
  auto model = detector();
  model->train();
  model->forward(small_owlv2_texts(), small_owlv2_pixels(1)).objectness_logits.sum().backward();
  for (const auto& parameter : model->named_parameters()) {
    CAPTURE(parameter.key());
    const bool own = parameter.key().rfind("objectness_head.", 0) == 0;
    CHECK(parameter.value().grad().defined() == own);
  }
}

TEST_CASE("boxes and logits reach both towers, the visual projection is not used", "[owlv2]") {
  auto model = detector();
  model->train();
  const auto output = model->forward(small_owlv2_texts(), small_owlv2_pixels(1));
  (output.logits.sum() + output.pred_boxes.sum()).backward();
  const auto parameters = model->named_parameters();
  CHECK(parameters["owlv2.text_model.embeddings.token_embedding.weight"].grad().defined());
  CHECK(parameters["owlv2.vision_model.embeddings.patch_embedding.weight"].grad().defined());
  CHECK(parameters["owlv2.text_projection.weight"].grad().defined());
  CHECK_FALSE(parameters["owlv2.visual_projection.weight"].grad().defined());
  CHECK_FALSE(parameters["owlv2.logit_scale"].grad().defined());
}

TEST_CASE("texts that do not belong to the images are refused", "[owlv2]") {
  auto model = detector();
  const auto texts = small_owlv2_texts();
  CHECK(error_message([&] { model->forward(texts, small_owlv2_pixels(2)); }) ==
        "[model] input_ids: expected the same number of texts for each of the 2 images, got Long "
        "[3, 6].");
  CHECK(error_message([&] { model->forward(texts, small_owlv2_pixels(4)); }).find("4 images") !=
        std::string::npos);
  CHECK(error_message([&] { model->forward({}, small_owlv2_pixels(1)); }).find("input_ids") !=
        std::string::npos);
  CHECK(error_message([&] { model->forward(texts, {}); }) ==
        "[model] pixel_values: expected a tensor [B, num_channels, H, W], got none.");
  auto config = small_owlv2_config();
  config.projection_dim = 5;
  auto other = random_owlv2<Owlv2ForObjectDetection>(config, 2);
  CHECK(error_message([&] { other->forward(texts, small_owlv2_pixels(1)); }) ==
        "[config] /projection_dim: expected /text_config/hidden_size 8 to detect what texts "
        "describe, got 5.");
  const torch::NoGradGuard no_grad;
  const auto pixels = small_owlv2_pixels(1);
  CHECK(other->image_guided_detection(pixels, pixels).logits.size(-1) == 1);  // needs no texts
}

TEST_CASE("with interpolated positions the feature map is a rectangle", "[owlv2]") {
  const torch::NoGradGuard no_grad;
  auto model = detector();
  torch::manual_seed(4);
  const auto pixels = torch::randn({1, 3, 10, 21});
  const auto output = model->forward(
      small_owlv2_texts(), pixels, {}, Owlv2Options().interpolate_pos_encoding(true));
  CHECK(output.image_embeds.sizes() == at::IntArrayRef{1, 3, 7, 12});
  CHECK(output.logits.sizes() == at::IntArrayRef{1, 21, 3});
  const auto features = output.image_embeds.flatten(1, 2);
  CHECK(largest_difference(output.pred_boxes,
                           torch::sigmoid(model->box_head->forward(features) +
                                          owlv2_box_bias(torch::zeros({1, 3, 7, 1})))) < 1e-6);
}
