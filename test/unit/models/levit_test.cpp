#include "vizoo/models/levit.h"

#include "test/support/catch.h"
#include "vizoo/core/error.h"
#include "vizoo/hub/registry.h"

using vizoo::ForwardOptions;
using vizoo::LevitConfig;
using vizoo::LevitForImageClassification;
using vizoo::LevitForImageClassificationWithTeacher;
using vizoo::LevitModel;

namespace {

LevitConfig small_levit_config() {
  LevitConfig config;
  config.image_size = 64;
  config.hidden_sizes = {16, 24, 32};
  config.num_attention_heads = {1, 2, 3};
  config.depths = {1, 1, 2};
  config.key_dim = {8, 8, 8};
  return config;
}

// Everything away from its initial value.
void randomize_normally(torch::nn::Module& module) {
  const torch::NoGradGuard no_grad;
  for (auto& parameter : module.parameters()) parameter.normal_(0.0, 0.3);
}

int64_t levit_parameter_count(LevitConfig config) {
  const vizoo::nn::NoInitGuard no_init;
  config.set_num_labels(1000);
  LevitForImageClassificationWithTeacher model(std::move(config));
  int64_t count = 0;
  for (const auto& parameter : model->parameters()) count += parameter.numel();
  return count;
}

std::string levit_error(LevitConfig config) {
  try {
    LevitForImageClassification model(std::move(config));
  } catch (const vizoo::ConfigError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("parameter counts are those of the published LeViTs", "[levit]") {
  LevitConfig config;
  CHECK(levit_parameter_count(config) == 9213936);  // 128
  config.num_attention_heads = {4, 6, 8};
  config.depths = {2, 3, 4};
  CHECK(levit_parameter_count(config) == 7777058);  // 128S
  config.depths = {4, 4, 4};
  config.key_dim = {32, 32, 32};
  config.hidden_sizes = {256, 384, 512};
  CHECK(levit_parameter_count(config) == 18893876);  // 256
  config.hidden_sizes = {384, 512, 768};
  config.num_attention_heads = {6, 9, 12};
  CHECK(levit_parameter_count(config) == 39128836);  // 384
  config.hidden_sizes = {192, 288, 384};
  config.num_attention_heads = {3, 5, 6};
  CHECK(levit_parameter_count(config) == 10947069);  // 192
}

TEST_CASE("LeViT's stages, tokens and heads", "[levit]") {
  const torch::NoGradGuard no_grad;
  LevitForImageClassificationWithTeacher model(small_levit_config());
  randomize_normally(*model);
  model->eval();
  const auto output =
      model->forward(torch::randn({2, 3, 64, 64}), ForwardOptions().output_hidden_states(true));
  REQUIRE(output.hidden_states.size() == 4);
  CHECK(output.hidden_states[0].sizes() == at::IntArrayRef{2, 16, 16});
  CHECK(output.hidden_states[1].sizes() == at::IntArrayRef{2, 4, 24});
  CHECK(output.hidden_states[2].sizes() == at::IntArrayRef{2, 1, 32});
  CHECK(output.hidden_states[3].sizes() == at::IntArrayRef{2, 1, 32});
  CHECK(torch::equal(output.logits, (output.cls_logits + output.distillation_logits) / 2));
  const auto tuple = to_tuple(output);
  REQUIRE(tuple.size() == 4);
  CHECK(torch::equal(tuple[1][0], output.cls_logits));
  CHECK_THROWS_WITH(
      model->forward(torch::zeros({1, 3, 64, 64}), ForwardOptions().labels(torch::zeros({1}))),
      "[model] LevitForImageClassificationWithTeacher.forward: expected the arguments "
      "pixel_values, got \"labels\".");
}

TEST_CASE("LeViT's kept bias maps follow the biases", "[levit]") {
  const torch::NoGradGuard no_grad;
  LevitModel model(small_levit_config());
  randomize_normally(*model);
  model->eval();
  const auto pixels = torch::randn({1, 3, 64, 64});
  const auto run = [&] { return model->forward(pixels).last_hidden_state; };
  // What a model that has never run computes.
  const auto fresh = [&] {
    const auto copy = std::dynamic_pointer_cast<vizoo::LevitModelImpl>(model->clone());
    return copy->forward(pixels).last_hidden_state;
  };
  const auto first = run();
  CHECK(torch::equal(run(), first));

  auto biases = model->named_parameters()["encoder.stages.0.layers.0.module.attention_biases"];
  biases.add_(torch::randn_like(biases));
  const auto second = run();
  CHECK_FALSE(torch::equal(second, first));
  CHECK(torch::equal(second, fresh()));

  biases.set_data(torch::randn_like(biases));
  const auto third = run();
  CHECK_FALSE(torch::equal(third, second));
  CHECK(torch::equal(third, fresh()));

  model->to(torch::kDouble);
  CHECK(model->forward(pixels.to(torch::kDouble)).last_hidden_state.scalar_type() ==
        torch::kDouble);

  // A call in inference mode leaves nothing behind that a call with gradients cannot use.
  {
    const c10::InferenceMode inference;
    model->forward(pixels.to(torch::kDouble));
  }
  const torch::AutoGradMode with_gradient(true);
  biases.requires_grad_(false);
  const auto x = pixels.to(torch::kDouble).requires_grad_();
  model->forward(x).last_hidden_state.sum().backward();
  CHECK(x.grad().defined());
}

TEST_CASE("LeViT takes images of its own size only", "[levit]") {
  LevitModel model(small_levit_config());
  model->eval();
  CHECK_THROWS_WITH(model->forward(torch::zeros({1, 3, 80, 64})),
                    "[model] pixel_values: expected images of 64 x 64 pixels, that is 4 x 4 "
                    "tokens, got 80 x 64 pixels, that is 5 x 4 tokens.");
  CHECK_THROWS_WITH(model->forward(torch::zeros({1, 3, 1, 1})),
                    "[model] pixel_values: expected images of 64 x 64 pixels, that is 4 x 4 "
                    "tokens, got 1 x 1 pixels, that is 1 x 1 tokens.");
}

TEST_CASE("down_ops are derived, whatever a file says", "[levit]") {
  const auto json = vizoo::parse_json(
      R"({"model_type": "levit", "down_ops": [["Subsample", 1, 2, 3, 4, 5], [""]],
          "hidden_sizes": [16, 24, 32], "key_dim": [8, 8, 8], "image_size": 32})",
      "test");
  const auto& entry = vizoo::find_model("LevitModel");
  const auto model = entry.make(json, "test");
  CHECK(entry.config_json(*model)["down_ops"].dump() ==
        R"([["Subsample",8,2,4,2,2],["Subsample",8,3,4,2,2],[""]])");
}

TEST_CASE("the index that old LeViT files hold is known, and nothing else is", "[levit]") {
  LevitForImageClassification model(small_levit_config());
  CHECK(model->is_ignored_key("levit.encoder.stages.0.layers.0.module.attention_bias_idxs"));
  CHECK_FALSE(model->is_ignored_key("levit.encoder.stages.0.layers.0.module.attention_biases"));
  CHECK_FALSE(model->is_ignored_key("attention_bias_idxs"));
}

TEST_CASE("LeViT refuses configs that make no model", "[levit]") {
  auto config = small_levit_config();
  config.depths = {1, 1, 1, 1};
  CHECK(levit_error(config) == "[config] /depths: expected an integer from 1 to 3, got 4.");
  config = small_levit_config();
  config.hidden_sizes = {16, 4, 32};
  CHECK(levit_error(config) == "[config] /key_dim/0: expected an integer from 1 to 4, got 8.");
  config = small_levit_config();
  config.hidden_sizes = {16};
  CHECK(levit_error(config) ==
        "[config] /hidden_sizes: expected a value for each of the 3 stages, got 1 values.");
  config = small_levit_config();
  config.image_size = 4096;
  CHECK(levit_error(config) ==
        "[config] /image_size: expected attention maps of at most 268435456 elements, got 3 heads "
        "on 256 x 256 tokens.");
  config = small_levit_config();
  config.depths = {1};
  CHECK(levit_error(config) ==
        "[config] /hidden_sizes: expected the channels of the 1 stages and their down-samplings to "
        "come last, got 3 values.");
}
