// The towers and the contrastive model.
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

const auto kEverything = Owlv2Options().output_hidden_states(true).output_attentions(true);

Owlv2TextModel text_model() {
  return random_owlv2<Owlv2TextModel>(small_owlv2_config().text_config, 1);
}
Owlv2VisionModel vision_model() {
  return random_owlv2<Owlv2VisionModel>(small_owlv2_config().vision_config, 1);
}
Owlv2Model contrastive_model() { return random_owlv2<Owlv2Model>(small_owlv2_config(), 1); }

}  // namespace

TEST_CASE("a text's embedding is its row at the first largest id", "[owlv2]") {
  const torch::NoGradGuard no_grad;
  auto model = text_model();
  // The end twice; no end at all.
  const auto ids = torch::tensor({{18, 19, 3, 19}, {2, 7, 7, 1}});
  const auto output = model->forward(ids);
  CHECK(torch::equal(output.pooler_output[0], output.last_hidden_state[0][1]));
  CHECK(torch::equal(output.pooler_output[1], output.last_hidden_state[1][1]));
}

TEST_CASE("attention of texts is causal and padding changes padded rows only", "[owlv2]") {
  const torch::NoGradGuard no_grad;
  auto model = text_model();
  const auto ids = small_owlv2_texts();
  const auto mask = ids.gt(0).to(torch::kLong);
  const auto plain = model->forward(ids, {}, kEverything);
  const auto masked = model->forward(ids, mask, kEverything);
  CHECK(largest_difference(plain.pooler_output, masked.pooler_output) < 1e-6);
  const auto rows = mask.unsqueeze(-1);
  CHECK(largest_difference(plain.last_hidden_state * rows, masked.last_hidden_state * rows) < 1e-6);
  CHECK(largest_difference(plain.last_hidden_state, masked.last_hidden_state) > 1e-3);
  CHECK(plain.attentions[1].triu(1).abs().max().item<double>() == 0.0);
  CHECK(masked.attentions[0][0].slice(-1, 4).slice(-2, 0, 4).abs().max().item<double>() == 0.0);
  // A text that is masked altogether attends evenly to what is not behind.
  const auto nothing = model->forward(ids, torch::zeros_like(ids), kEverything);
  CHECK(nothing.attentions[0][0][0][2][1].item<double>() == Approx(1.0 / 3));
  CHECK(nothing.attentions[0][0][0][2][3].item<double>() == 0.0);
}

TEST_CASE("a text that is masked altogether is the same in float16, and learns", "[owlv2]") {
  auto model = text_model();
  const auto ids = small_owlv2_texts();
  const auto mask = torch::zeros_like(ids);
  const auto output = model->forward(ids, mask);
  output.last_hidden_state.select(-1, 0).sum().backward();
  const auto gradient = [](const Owlv2TextModel& of) {
    return of->text_model->encoder->layers->at<Owlv2EncoderLayerImpl>(0)
        .self_attn->v_proj->weight.grad();
  };
  auto precise = text_model();
  precise->to(torch::kFloat64);
  precise->forward(ids, mask).last_hidden_state.select(-1, 0).sum().backward();
  CHECK(largest_difference(gradient(model), gradient(precise)) <
        1e-4 * gradient(precise).abs().max().item<double>());
  auto half = text_model();
  half->to(torch::kFloat16);
  CHECK(largest_difference(half->forward(ids, mask).last_hidden_state, output.last_hidden_state) <
        1e-2);
}

TEST_CASE("hidden states of texts come before the final norm", "[owlv2]") {
  const torch::NoGradGuard no_grad;
  auto model = text_model();
  const auto output = model->forward(small_owlv2_texts(), {}, kEverything);
  REQUIRE(output.hidden_states.size() == 3);
  REQUIRE(output.attentions.size() == 2);
  CHECK(output.attentions[0].sizes() == at::IntArrayRef{3, 2, 6, 6});
  const auto& norm = model->text_model->final_layer_norm;
  CHECK(torch::equal(norm->forward(output.hidden_states[2]), output.last_hidden_state));
  CHECK(largest_difference(output.hidden_states[2], output.last_hidden_state) > 0.1);
  CHECK(model->forward(small_owlv2_texts()).attentions.empty());
}

TEST_CASE("texts may come as [B, Q, L]", "[owlv2]") {
  const torch::NoGradGuard no_grad;
  auto model = text_model();
  const auto ids = small_owlv2_texts();
  CHECK(torch::equal(model->forward(ids.unsqueeze(0)).pooler_output,
                     model->forward(ids).pooler_output));
  CHECK(torch::equal(model->forward(ids.to(torch::kInt)).pooler_output,
                     model->forward(ids).pooler_output));
}

TEST_CASE("texts that the tower cannot read are refused", "[owlv2]") {
  auto model = text_model();
  const auto message = [&](const torch::Tensor& ids, const torch::Tensor& mask = {}) {
    return error_message([&] { model->forward(ids, mask); });
  };
  const std::string expected =
      "[model] input_ids: expected an Int or Long tensor [texts, length] of length 1 to 6 with at "
      "least one text, got ";
  const auto longs = torch::kLong;
  CHECK(message({}) == expected + "none.");
  CHECK(message(torch::zeros({2, 7}, longs)) ==
        expected + "Long [2, 7]. Truncate texts that are too long.");
  CHECK(message(torch::zeros({6}, longs)).find("got Long [6]") != std::string::npos);
  CHECK(message(torch::zeros({0, 6}, longs)).find("got Long [0, 6]") != std::string::npos);
  CHECK(message(torch::zeros({2, 0}, longs)).find("got Long [2, 0]") != std::string::npos);
  CHECK(message(torch::zeros({2, 6})).find("got Float [2, 6]") != std::string::npos);
  CHECK(message(torch::tensor({{1, 20}})) ==
        "[model] input_ids: expected ids from 0 to 19, got ids from 1 to 20. The tokenizer may "
        "belong to another model.");
  CHECK(message(torch::tensor({{-1, 2}})).find("got ids from -1 to 2") != std::string::npos);
  CHECK(message(torch::zeros({2, 3}, longs), torch::zeros({2, 4}, longs)) ==
        "[model] attention_mask: expected the shape of input_ids, got Long [2, 4].");
}

TEST_CASE("the vision tower norms what goes in and the class token that comes out", "[owlv2]") {
  const torch::NoGradGuard no_grad;
  auto model = vision_model();
  const auto output = model->forward(small_owlv2_pixels(2), kEverything);
  const auto& tower = model->vision_model;
  REQUIRE(output.hidden_states.size() == 3);
  CHECK(output.last_hidden_state.sizes() == at::IntArrayRef{2, 17, 12});
  CHECK(torch::equal(output.hidden_states[2], output.last_hidden_state));
  CHECK(torch::equal(
      output.hidden_states[0],
      tower->pre_layernorm->forward(tower->embeddings->forward(small_owlv2_pixels(2), false))));
  CHECK(torch::equal(output.pooler_output,
                     tower->post_layernorm->forward(output.last_hidden_state.select(1, 0))));
  REQUIRE(output.attentions.size() == 2);
  CHECK(output.attentions[0].sizes() == at::IntArrayRef{2, 3, 17, 17});
  const auto fused = model->forward(small_owlv2_pixels(2));
  CHECK(largest_difference(fused.last_hidden_state, output.last_hidden_state) < 1e-5);
}

TEST_CASE("images must have as many patches as there are positions, unless asked", "[owlv2]") {
  const torch::NoGradGuard no_grad;
  auto model = vision_model();
  const auto run = [&](int64_t height, int64_t width, bool interpolate = false) {
    return model
        ->forward(torch::ones({1, 3, height, width}),
                  Owlv2Options().interpolate_pos_encoding(interpolate))
        .last_hidden_state.size(1);
  };
  CHECK(run(14, 13) == 17);  // what exceeds whole patches is not seen
  CHECK(run(6, 24) == 17);   // 2 x 8 patches count as 4 x 4
  CHECK(error_message([&] { run(15, 12); }) ==
        "[model] pixel_values: expected images of /image_size, 12 x 12, got Float [1, 3, 15, 12]. "
        "Set interpolate_pos_encoding for other sizes.");
  CHECK(run(15, 12, true) == 21);
  CHECK(run(3, 30, true) == 11);
  CHECK(error_message([&] { run(2, 30, true); }).find("a height and width of at least 3") !=
        std::string::npos);
  CHECK(error_message([&] {
          model->forward(torch::ones({0, 3, 12, 12}));
        }) == "[model] pixel_values: expected at least one image, got Float [0, 3, 12, 12].");
  CHECK(error_message([&] {
          model->forward(torch::ones({1, 1, 12, 12}));
        }).find("3 channels") != std::string::npos);
  // At the table's own size nothing is interpolated.
  const auto pixels = small_owlv2_pixels(1);
  CHECK(torch::equal(
      model->forward(pixels).last_hidden_state,
      model->forward(pixels, Owlv2Options().interpolate_pos_encoding(true)).last_hidden_state));
}

TEST_CASE("features are projected, embeddings have length one as well", "[owlv2]") {
  const torch::NoGradGuard no_grad;
  auto model = contrastive_model();
  const auto ids = small_owlv2_texts();
  const auto pixels = small_owlv2_pixels(2);
  const auto output = model->forward(ids, pixels);
  const auto text_features = model->get_text_features(ids);
  const auto image_features = model->get_image_features(pixels);
  CHECK(torch::equal(text_features,
                     model->text_projection->forward(output.text_model_output.pooler_output)));
  CHECK(largest_difference(text_features.norm(2, -1), torch::ones({3})) > 1e-2);
  CHECK(largest_difference(output.text_embeds, text_features / text_features.norm(2, -1, true)) <
        1e-6);
  CHECK(largest_difference(output.image_embeds, image_features / image_features.norm(2, -1, true)) <
        1e-6);
  CHECK(output.logits_per_text.sizes() == at::IntArrayRef{3, 2});
  CHECK(torch::equal(output.logits_per_image, output.logits_per_text.t()));
  CHECK(largest_difference(
            output.logits_per_text,
            output.text_embeds.matmul(output.image_embeds.t()) * model->logit_scale.exp()) < 1e-6);
  CHECK_FALSE(output.loss.defined());
  // No epsilon: a vector of zeros has no direction.
  CHECK(owlv2_normalize(torch::zeros({1, 4})).isnan().all().item<bool>());
}

TEST_CASE("the base image embeddings are tokens, beside text embeddings as projected", "[owlv2]") {
  const torch::NoGradGuard no_grad;
  auto model = contrastive_model();
  const auto ids = small_owlv2_texts();
  const auto pixels = small_owlv2_pixels(2);
  const auto base = model->forward(ids, pixels, {}, Owlv2Options().return_base_image_embeds(true));
  CHECK(base.image_embeds.sizes() == at::IntArrayRef{2, 17, 12});
  CHECK(torch::equal(
      base.image_embeds,
      model->vision_model->post_layernorm->forward(base.vision_model_output.last_hidden_state)));
  CHECK(torch::equal(base.text_embeds, model->get_text_features(ids)));
  CHECK(torch::equal(base.logits_per_image, model->forward(ids, pixels).logits_per_image));
}

TEST_CASE("the contrastive loss pairs text i with image i", "[owlv2]") {
  const auto similarity = torch::tensor({{2.0, 0.5}, {-1.0, 1.5}}, torch::kDouble);
  const auto rows = similarity.log_softmax(1).diagonal().mean();
  const auto columns = similarity.log_softmax(0).diagonal().mean();
  const auto loss = owlv2_loss(similarity);
  CHECK(loss.dim() == 0);
  CHECK(loss.item<double>() == Approx((-(rows + columns) / 2).item<double>()));
  auto model = contrastive_model();
  const auto with_loss = Owlv2Options().return_loss(true);
  const auto output = model->forward(small_owlv2_texts(), small_owlv2_pixels(3), {}, with_loss);
  CHECK(torch::equal(output.loss, owlv2_loss(output.logits_per_text)));
  CHECK(error_message(
            [&] { model->forward(small_owlv2_texts(), small_owlv2_pixels(2), {}, with_loss); }) ==
        "[loss] similarity: expected as many texts as images, [B, B], got Float [3, 2]. "
        "return_loss pairs text i with image i.");
}

TEST_CASE("the composite config decides about hidden states, the call wins", "[owlv2]") {
  const torch::NoGradGuard no_grad;
  auto config = small_owlv2_config();
  config.output_hidden_states = true;
  config.vision_config.output_attentions = true;  // of no effect in forward
  auto model = random_owlv2<Owlv2Model>(config, 1);
  const auto ids = small_owlv2_texts();
  const auto output = model->forward(ids, small_owlv2_pixels(1));
  CHECK(output.text_model_output.hidden_states.size() == 3);
  CHECK(output.vision_model_output.attentions.empty());
  const auto without =
      model->forward(ids, small_owlv2_pixels(1), {}, Owlv2Options().output_hidden_states(false));
  CHECK(without.text_model_output.hidden_states.empty());
}

TEST_CASE("attention maps are those before dropout", "[owlv2]") {
  auto config = small_owlv2_config().vision_config;
  config.attention_dropout = 0.5;
  auto model = random_owlv2<Owlv2VisionModel>(config, 1);
  model->train();
  const auto map = model->forward(small_owlv2_pixels(1), kEverything).attentions[0];
  CHECK(map.gt(0).all().item<bool>());
  CHECK(largest_difference(map.sum(-1), torch::ones({1, 3, 17})) < 1e-5);
}

TEST_CASE("an OWLv2 output is a tuple in upstream's order", "[owlv2]") {
  const torch::NoGradGuard no_grad;
  auto model = contrastive_model();
  const auto output = model->forward(
      small_owlv2_texts(), small_owlv2_pixels(3), {}, Owlv2Options().return_loss(true));
  const auto tuple = to_tuple(output);
  REQUIRE(tuple.size() == 7);
  CHECK(tuple[0][0].dim() == 0);
  CHECK(tuple[1][0].is_same(output.logits_per_image));
  CHECK(tuple[4][0].is_same(output.image_embeds));
  REQUIRE(tuple[6].size() == 2);
  CHECK(tuple[6][1].is_same(output.vision_model_output.pooler_output));
}

TEST_CASE("fresh OWLv2 weights are Transformers' for the same seed", "[owlv2]") {
  auto config = small_owlv2_config();
  config.vision_config.intermediate_size = 16;
  config.vision_config.patch_size = 4;
  torch::manual_seed(5);
  const Owlv2ForObjectDetection model(config);
  struct Row {
    const char* name;
    double first;
    double last;
  };
  // torch.manual_seed(5); Owlv2ForObjectDetection(config).state_dict(), 4.37.2.
  const Row rows[] = {
      {"owlv2.text_model.embeddings.token_embedding.weight", 0.012502392, -0.007313997},
      {"owlv2.text_model.encoder.layers.1.self_attn.q_proj.weight", 0.086654849, 0.040939309},
      {"owlv2.text_model.encoder.layers.1.mlp.fc2.weight", 0.017052382, 0.23968959},
      {"owlv2.vision_model.embeddings.class_embedding", -0.55370748, -0.28414199},
      {"owlv2.vision_model.embeddings.patch_embedding.weight", -0.024061451, -0.026741555},
      {"owlv2.vision_model.embeddings.position_embedding.weight", 0.03112236, 0.0060134754},
      {"owlv2.vision_model.encoder.layers.0.self_attn.out_proj.weight", 0.088199422, 0.075171158},
      {"owlv2.visual_projection.weight", 0.34552273, -0.17719732},
      {"owlv2.text_projection.weight", 0.018938551, -0.18742356},
      {"class_head.dense0.weight", -0.23271079, 0.065030679},
      {"class_head.logit_shift.bias", 0.077356711, 0.077356711},
      {"box_head.dense2.weight", 0.021316776, 0.17926249},
      {"objectness_head.dense0.bias", 0.2378511, 0.12621178},
      {"layer_norm.weight", 1, 1},
      {"owlv2.logit_scale", 2.6592, 2.6592},
  };
  const auto parameters = model->named_parameters();
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const auto values = parameters[row.name].detach().flatten();
    CHECK(values[0].item<double>() == Approx(row.first).epsilon(1e-6));
    CHECK(values[-1].item<double>() == Approx(row.last).epsilon(1e-6));
  }
}
