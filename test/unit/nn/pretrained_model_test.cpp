#include "vizoo/nn/pretrained_model.h"

#include "test/support/catch.h"
#include "test/support/small_convnext.h"
#include "vizoo/core/error.h"

using vizoo::ConvNextForImageClassification;
using vizoo::ConvNextForImageClassificationImpl;
using vizoo::ForwardOptions;
using vizoo::test::small_convnext_config;

TEST_CASE("outputs go by name and as a tuple in Transformers' order", "[nn]") {
  ConvNextForImageClassification model(small_convnext_config());
  model->eval();
  const auto pixels = torch::randn({1, 3, 32, 32});
  const auto options =
      ForwardOptions().output_hidden_states(true).labels(torch::tensor({int64_t{1}}));
  const auto output = model->forward(pixels, options);
  const auto named = vizoo::named_tensors(output);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : named) names.push_back(name);
  CHECK(names == std::vector<std::string>{"loss",
                                          "logits",
                                          "hidden_states.0",
                                          "hidden_states.1",
                                          "hidden_states.2",
                                          "hidden_states.3",
                                          "hidden_states.4"});
  const auto tuple = vizoo::to_tuple(output);
  REQUIRE(tuple.size() == 3);
  CHECK(tuple[1][0].is_same(output.logits));
  CHECK(tuple[2].size() == 5);
  CHECK(vizoo::to_tuple(model->forward(pixels)).size() == 1);
}

TEST_CASE("arguments go by name, unknown ones are refused", "[nn]") {
  ConvNextForImageClassification model(small_convnext_config());
  const auto pixels = torch::randn({1, 3, 32, 32});
  CHECK(model->forward_named({{"pixel_values", pixels}}, {}).front().first == "logits");
  CHECK_THROWS_WITH(model->forward_named({{"pixel_value", pixels}}, {}),
                    "[model] ConvNextForImageClassification.forward: expected the arguments "
                    "pixel_values, labels, got \"pixel_value\".");
  CHECK_THROWS_WITH(model->forward_named({}, {}),
                    "[model] pixel_values: expected a tensor [B, num_channels, H, W], got none.");
}

TEST_CASE("config flags are the default of the options", "[nn]") {
  auto config = small_convnext_config();
  config.output_hidden_states = true;
  ConvNextForImageClassification model(config);
  const auto pixels = torch::randn({1, 3, 32, 32});
  CHECK(model->forward(pixels).hidden_states.size() == 5);
  CHECK(model->forward(pixels, ForwardOptions().output_hidden_states(false)).hidden_states.empty());
}

TEST_CASE("a clone has the same values and shares nothing", "[nn]") {
  ConvNextForImageClassification model(small_convnext_config());
  vizoo::test::randomize(model, 3);
  model->to(torch::kFloat64);
  model->eval();
  const auto copy = std::dynamic_pointer_cast<ConvNextForImageClassificationImpl>(model->clone());
  REQUIRE(copy);
  const auto pixels = torch::randn({1, 3, 32, 32}, torch::kFloat64);
  CHECK_FALSE(copy->is_training());
  CHECK(torch::equal(copy->forward(pixels).logits, model->forward(pixels).logits));
  const torch::NoGradGuard no_grad;
  model->classifier->weight.zero_();
  CHECK_FALSE(torch::equal(copy->forward(pixels).logits, model->forward(pixels).logits));
}

TEST_CASE("one seed gives the weights that Transformers draws", "[nn]") {
  // Python: torch.manual_seed(5); ConvNextForImageClassification(ConvNextConfig(hidden_sizes=
  // [8, 16, 24, 32], depths=[1, 1, 2, 1], layer_scale_init_value=0.1, num_labels=5))
  torch::manual_seed(5);
  ConvNextForImageClassification model(small_convnext_config());
  const auto first = model->convnext->embeddings->patch_embeddings->weight.flatten();
  const auto head = model->classifier->weight.flatten();
  CHECK(first[0].item<double>() == Approx(-0.0221715439).epsilon(1e-6));
  CHECK(head[0].item<double>() == Approx(-0.0488258675).epsilon(1e-6));
  CHECK(head[159].item<double>() == Approx(-0.0206252765).epsilon(1e-6));
  CHECK(model->classifier->bias.abs().sum().item<double>() == 0.0);
  CHECK(torch::rand({1}).item<double>() == Approx(0.864131451).epsilon(1e-6));
}
