#include "vizoo/models/convnext.h"

#include "test/support/catch.h"
#include "test/support/small_convnext.h"
#include "vizoo/core/error.h"

using vizoo::ConvNextBackbone;
using vizoo::ConvNextConfig;
using vizoo::ConvNextForImageClassification;
using vizoo::ConvNextModel;
using vizoo::ForwardOptions;
using vizoo::test::small_convnext_config;

TEST_CASE("parameter counts are those of the published models", "[convnext]") {
  const auto count = [](ConvNextConfig config) {
    const vizoo::nn::NoInitGuard no_init;
    ConvNextForImageClassification model(std::move(config));
    int64_t parameters = 0;
    for (const auto& parameter : model->parameters()) parameters += parameter.numel();
    return parameters;
  };
  ConvNextConfig tiny;
  tiny.set_num_labels(1000);
  CHECK(count(tiny) == 28589128);
  auto base = tiny;
  base.depths = {3, 3, 27, 3};
  CHECK(count(base) == 50223688);
  base.hidden_sizes = {128, 256, 512, 1024};
  CHECK(count(base) == 88591464);
  auto xlarge = base;
  xlarge.hidden_sizes = {256, 512, 1024, 2048};
  xlarge.set_num_labels(21841);
  CHECK(count(xlarge) == 392900177);
}

TEST_CASE("shapes floor, stem and stages are all returned", "[convnext]") {
  ConvNextModel model(small_convnext_config());
  model->eval();
  const auto output =
      model->forward(torch::randn({2, 3, 225, 190}), ForwardOptions().output_hidden_states(true));
  CHECK(output.last_hidden_state.sizes() == at::IntArrayRef{2, 32, 7, 5});
  CHECK(output.pooler_output.sizes() == at::IntArrayRef{2, 32});
  REQUIRE(output.hidden_states.size() == 5);
  CHECK(output.hidden_states[0].sizes() == at::IntArrayRef{2, 8, 56, 47});
  CHECK(output.hidden_states[1].sizes() == at::IntArrayRef{2, 8, 56, 47});
}

TEST_CASE("a batch gives what its images give alone", "[convnext]") {
  ConvNextForImageClassification model(small_convnext_config());
  vizoo::test::randomize(model, 11);
  model->eval();
  const torch::NoGradGuard no_grad;
  const auto pixels = torch::randn({5, 3, 45, 67});
  const auto together = model->forward(pixels).logits;
  for (int64_t i = 0; i < 5; ++i) {
    const auto alone = model->forward(pixels.narrow(0, i, 1)).logits[0];
    CHECK((together[i] - alone).abs().max().item<double>() < 1e-5);
  }
  // Memory format of the input is no part of its meaning.
  const auto last = model->forward(pixels.contiguous(at::MemoryFormat::ChannelsLast)).logits;
  CHECK(torch::equal(last, together));
}

TEST_CASE("layer scale is there for positive values only", "[convnext]") {
  for (const double value : {0.0, -1.0}) {
    auto config = small_convnext_config();
    config.layer_scale_init_value = value;
    ConvNextModel model(config);
    CHECK_FALSE(
        model->named_parameters().contains("encoder.stages.0.layers.0.layer_scale_parameter"));
  }
  ConvNextModel model(small_convnext_config());
  CHECK(model->named_parameters()
            .find("encoder.stages.0.layers.0.layer_scale_parameter")
            ->eq(0.1F)
            .all()
            .item<bool>());
}

TEST_CASE("zero labels leave the pooled features", "[convnext]") {
  auto config = small_convnext_config();
  config.set_num_labels(0);
  ConvNextForImageClassification model(config);
  CHECK(model->forward(torch::randn({1, 3, 32, 32})).logits.sizes() == at::IntArrayRef{1, 32});
}

TEST_CASE("the backbone returns the stages that were asked for", "[convnext]") {
  auto config = small_convnext_config();
  config.out_indices = {0, -2};
  ConvNextBackbone model(config);
  CHECK(model->channels() == std::vector<int64_t>{8, 24});
  const auto output =
      model->forward(torch::randn({1, 3, 64, 64}), ForwardOptions().output_hidden_states(true));
  REQUIRE(output.feature_maps.size() == 2);
  CHECK(output.feature_maps[1].sizes() == at::IntArrayRef{1, 24, 4, 4});
  CHECK(output.hidden_states.size() == 5);
  config.out_indices.reset();
  config.out_features = std::vector<std::string>{};
  CHECK(ConvNextBackbone(config)->forward(torch::randn({1, 3, 64, 64})).feature_maps.empty());
}

TEST_CASE("inputs that the model cannot take are named", "[convnext]") {
  ConvNextModel model(small_convnext_config());
  CHECK_THROWS_WITH(model->forward(torch::zeros({1, 1, 64, 64})),
                    "[model] pixel_values: expected 3 channels, as /num_channels says, got Float "
                    "[1, 1, 64, 64].");
  CHECK_THROWS_WITH(model->forward(torch::zeros({1, 3, 31, 64})),
                    "[model] pixel_values: expected a height and width of at least 32, got Float "
                    "[1, 3, 31, 64].");
  CHECK_THROWS_WITH(model->forward(torch::zeros({3, 64, 64})),
                    "[model] pixel_values: expected a floating-point tensor [B, num_channels, H, "
                    "W], got Float [3, 64, 64].");
  CHECK_THROWS_WITH(model->forward(torch::zeros({1, 3, 64, 64}, torch::kByte)),
                    "[model] pixel_values: expected a floating-point tensor [B, num_channels, H, "
                    "W], got Byte [1, 3, 64, 64].");
  CHECK_NOTHROW(model->forward(torch::zeros({1, 3, 32, 32})));
  CHECK(model->forward(torch::zeros({0, 3, 32, 32})).pooler_output.sizes() ==
        at::IntArrayRef{0, 32});
}

TEST_CASE("configs that no model can have are named", "[convnext]") {
  const auto message = [](auto change) {
    auto config = small_convnext_config();
    change(config);
    try {
      ConvNextModel model(config);
    } catch (const vizoo::ConfigError& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  CHECK(message([](auto& c) { c.num_stages = 5; }) ==
        "[config] /hidden_sizes: expected a value for each of the 5 stages, got 4 values.");
  CHECK(message([](auto& c) {
          c.depths = {1, 1};
        }) == "[config] /depths: expected a value for each of the 4 stages, got 2 values.");
  CHECK(message([](auto& c) { c.hidden_sizes[1] = 0; }) ==
        "[config] /hidden_sizes: expected an integer from 1 to 65536, got 0.");
  CHECK(message([](auto& c) { c.depths[1] = 2000000000; }) ==
        "[config] /depths: expected an integer from 0 to 256, got 2000000000.");
  CHECK(message([](auto& c) { c.patch_size = 0; }) ==
        "[config] /patch_size: expected an integer from 1 to 65536, got 0.");
  CHECK(message([](auto& c) { c.drop_path_rate = 1.0; }) ==
        "[config] /drop_path_rate: expected a number in [0, 1), got 1.000000.");
  CHECK(message([](auto& c) { c.num_stages = 1 << 30; }) ==
        "[config] /num_stages: expected an integer from 1 to 16, got 1073741824.");
}
