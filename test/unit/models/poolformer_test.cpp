#include "vizoo/models/poolformer.h"

#include <torch/autograd.h>

#include "test/support/catch.h"
#include "vizoo/core/error.h"

using vizoo::ForwardOptions;
using vizoo::PoolFormerConfig;
using vizoo::PoolFormerForImageClassification;
using vizoo::PoolFormerModel;

namespace {

PoolFormerConfig small_poolformer_config() {
  PoolFormerConfig config;
  config.hidden_sizes = {4, 6, 8, 10};
  config.depths = {1, 1, 1, 1};
  return config;
}

int64_t poolformer_parameter_count(PoolFormerConfig config) {
  const vizoo::nn::NoInitGuard no_init;
  config.set_num_labels(1000);
  PoolFormerForImageClassification model(std::move(config));
  int64_t count = 0;
  for (const auto& parameter : model->parameters()) count += parameter.numel();
  return count;
}

std::string poolformer_error(PoolFormerConfig config) {
  try {
    PoolFormerForImageClassification model(std::move(config));
  } catch (const vizoo::ConfigError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("parameter counts are those of the published PoolFormers", "[poolformer]") {
  PoolFormerConfig config;
  CHECK(poolformer_parameter_count(config) == 11915176);
  config.depths = {4, 4, 12, 4};
  CHECK(poolformer_parameter_count(config) == 21388968);
  config.depths = {6, 6, 18, 6};
  CHECK(poolformer_parameter_count(config) == 30862760);
  config.hidden_sizes = {96, 192, 384, 768};
  CHECK(poolformer_parameter_count(config) == 56172520);
  config.depths = {8, 8, 24, 8};
  CHECK(poolformer_parameter_count(config) == 73473448);
}

TEST_CASE("PoolFormer's stages round as convolutions do; there is no pooler", "[poolformer]") {
  const torch::NoGradGuard no_grad;
  PoolFormerModel model(small_poolformer_config());
  const auto output =
      model->forward(torch::randn({1, 3, 225, 190}), ForwardOptions().output_hidden_states(true));
  REQUIRE(output.hidden_states.size() == 4);
  CHECK(output.hidden_states[0].sizes() == at::IntArrayRef{1, 4, 56, 47});
  CHECK(output.hidden_states[1].sizes() == at::IntArrayRef{1, 6, 28, 24});
  CHECK(output.hidden_states[2].sizes() == at::IntArrayRef{1, 8, 14, 12});
  CHECK(output.last_hidden_state.sizes() == at::IntArrayRef{1, 10, 7, 6});
  CHECK_FALSE(output.pooler_output.defined());
  const auto tuple = to_tuple(output);
  REQUIRE(tuple.size() == 3);  // as in Python: the missing pooler keeps its place
  CHECK_FALSE(tuple[1][0].defined());
}

TEST_CASE("PoolFormer's gradients do not depend on the memory format", "[poolformer]") {
  auto config = small_poolformer_config();
  config.num_channels = 2;
  PoolFormerForImageClassification model(config);
  model->to(torch::kDouble);
  std::vector<torch::Tensor> first;
  const auto pixels = torch::randn({2, 2, 40, 36}, torch::kDouble);
  for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    const auto x = pixels.contiguous(format).detach().requires_grad_();
    auto leaves = model->parameters();
    leaves.push_back(x);
    const auto loss = model->forward(x).logits.square().sum();
    const auto gradients = torch::autograd::grad({loss}, leaves);
    if (first.empty()) first = gradients;
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      CHECK(torch::allclose(gradients[i], first[i], 1e-9, 1e-12));
    }
  }
}

TEST_CASE("PoolFormer says the least size that it takes", "[poolformer]") {
  PoolFormerConfig config = small_poolformer_config();
  CHECK(config.least_image_size() == 3);
  PoolFormerModel model(config);
  CHECK(model->forward(torch::zeros({1, 3, 3, 3})).last_hidden_state.sizes() ==
        at::IntArrayRef{1, 10, 1, 1});
  CHECK_THROWS_WITH(model->forward(torch::zeros({1, 3, 2, 3})),
                    "[model] pixel_values: expected a height and width of at least 3, got Float "
                    "[1, 3, 2, 3].");
  config.padding = {0, 0, 0, 0};
  CHECK(config.least_image_size() == 4 * ((2 * ((3 - 1) * 1 + 1) + 1 - 1) * 2 + 3 - 1) + 7);
}

TEST_CASE("PoolFormer refuses configs that make no model", "[poolformer]") {
  auto config = small_poolformer_config();
  config.pool_size = 4;
  CHECK(poolformer_error(config) == "[config] /pool_size: expected an odd integer, got 4.");
  config = small_poolformer_config();
  config.strides = {4, 2};
  CHECK(poolformer_error(config) ==
        "[config] /strides: expected a value for each of the 4 stages, got 2 values.");
  config = small_poolformer_config();
  config.padding = {8, 1, 1, 1};
  CHECK(poolformer_error(config) == "[config] /padding: expected an integer from 0 to 7, got 8.");
  config = small_poolformer_config();
  config.mlp_ratio = -0.1;
  CHECK(poolformer_error(config) ==
        "[config] /mlp_ratio: expected a number from 0 to 64, got -0.100000.");
  config = small_poolformer_config();
  config.hidden_sizes.push_back(12);
  CHECK(poolformer_error(config) ==
        "[config] /hidden_sizes: expected the last of /num_encoder_blocks 4 stages to come last, "
        "got 5 values.");
}
