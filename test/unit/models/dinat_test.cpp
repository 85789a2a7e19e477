#include "vizoo/models/dinat.h"

#include "test/support/catch.h"
#include "test/support/small_neighborhood.h"
#include "vizoo/core/error.h"

using vizoo::Dilations;
using vizoo::DinatBackbone;
using vizoo::DinatConfig;
using vizoo::DinatForImageClassification;
using vizoo::DinatModel;
using vizoo::ForwardOptions;
using vizoo::NatModel;
using vizoo::test::config_error;
using vizoo::test::parameter_count;
using vizoo::test::randomize_neighborhood;
using vizoo::test::small_dinat_config;
using vizoo::test::small_nat_config;

TEST_CASE("parameter counts are those of the published DiNAT models", "[dinat]") {
  DinatConfig mini;
  CHECK(parameter_count<DinatForImageClassification>(mini) == 19984174);
  auto tiny = mini;
  tiny.depths = {3, 4, 18, 5};
  tiny.dilations[2] = std::vector<int64_t>(18, 2);
  CHECK(parameter_count<DinatForImageClassification>(tiny) == 27901582);
  auto small = tiny;
  small.embed_dim = 96;
  small.num_heads = {3, 6, 12, 24};
  small.mlp_ratio = 2.0;
  CHECK(parameter_count<DinatForImageClassification>(small) == 50719681);  // no layer scale
  auto base = small;
  base.embed_dim = 128;
  base.num_heads = {4, 8, 16, 32};
  base.layer_scale_init_value = 1e-5;
  CHECK(parameter_count<DinatForImageClassification>(base) == 89769652);
  auto large = small;
  large.embed_dim = 192;
  large.num_heads = {6, 12, 24, 48};
  CHECK(parameter_count<DinatForImageClassification>(large) == 200943514);
  large.kernel_size = 11;
  CHECK(parameter_count<DinatForImageClassification>(large) == 201144250);
}

TEST_CASE("one seed gives the weights of DiNAT that Transformers draws", "[dinat]") {
  // Python: torch.manual_seed(6); DinatBackbone(DinatConfig(embed_dim=8, depths=[1, 2],
  // num_heads=[1, 2], kernel_size=3, mlp_ratio=2.0, layer_scale_init_value=0.1, num_labels=5,
  // dilations=[[2], [1, 3]], qkv_bias=False))
  auto config = small_dinat_config();
  config.qkv_bias = false;
  torch::manual_seed(6);
  DinatBackbone model(config);
  const auto parameters = model->named_parameters();
  const auto value = [&](const std::string& name, int64_t index) {
    return parameters[name].flatten()[index].item<double>();
  };
  CHECK(value("encoder.levels.0.downsample.reduction.weight", 0) ==
        Approx(-0.02044502273).epsilon(1e-6));
  CHECK(value("encoder.levels.1.layers.1.attention.self.value.weight", -1) ==
        Approx(0.01141772605).epsilon(1e-6));
  CHECK(torch::rand({1}).item<double>() == Approx(0.6755216718).epsilon(1e-6));
}

TEST_CASE("each layer has its own dilation and pads to its own window", "[dinat]") {
  auto config = small_dinat_config();
  config.dilations = {{4, 9, 9}, {1, 3}};  // more than the layers is allowed
  DinatModel model(config);
  model->eval();
  const auto options = ForwardOptions().output_hidden_states(true).output_attentions(true);
  const auto output = model->forward(torch::randn({1, 3, 26, 60}), options);
  // Windows of 12 on a grid of 7 x 15, and of 9 (the last layer) on one of 4 x 8.
  CHECK(output.attentions[0].sizes() == at::IntArrayRef{1, 1, 12, 15, 9});
  CHECK(output.attentions[1].sizes() == at::IntArrayRef{1, 2, 9, 9, 9});
  CHECK(output.hidden_states[0].sizes() == at::IntArrayRef{1, 7, 15, 8});
  CHECK(output.last_hidden_state.sizes() == at::IntArrayRef{1, 4, 8, 16});
}

TEST_CASE("DiNAT of dilation 1 is NAT, of dilation 2 it is not", "[dinat]") {
  auto config = small_dinat_config();
  const auto pixels = torch::randn({1, 3, 40, 40});
  const torch::NoGradGuard no_grad;
  NatModel nat(small_nat_config());
  randomize_neighborhood(nat, 4);
  nat->eval();
  const auto expected = nat->forward(pixels).pooler_output;
  const auto difference = [&](const Dilations& dilations) {
    config.dilations = dilations;
    DinatModel model(config);
    vizoo::copy_state(*nat, *model);
    return (model->forward(pixels).pooler_output - expected).abs().max().item<double>();
  };
  CHECK(difference({{1}, {1, 1}}) == 0.0);
  CHECK(difference({{2}, {1, 1}}) > 1e-3);
  CHECK(difference({{1}, {1, 2}}) > 1e-3);
}

TEST_CASE("dilations that do not fit DiNAT are named", "[dinat]") {
  const auto message = [](const Dilations& dilations) {
    return config_error<DinatModel>(small_dinat_config(),
                                    [&](auto& config) { config.dilations = dilations; });
  };
  CHECK(message({{1}}) ==
        "[config] /dilations: expected a value for each of the 2 stages, got 1 values.");
  CHECK(message({{1}, {1}}) ==
        "[config] /dilations/1: expected a dilation for each of the 2 layers of the stage, got 1 "
        "values.");
  CHECK(message({{1}, {1, 0}}) ==
        "[config] /dilations/1/1: expected an integer from 1 to 1024, got 0.");
  CHECK(message({{1 << 20}, {1, 1}}) ==
        "[config] /dilations/0/0: expected an integer from 1 to 1024, got 1048576.");
  CHECK(message({{1}, {1, 300}}) == "no error");
  const auto hostile = config_error<DinatModel>(small_dinat_config(), [](auto& config) {
    config.embed_dim = 64;
    config.kernel_size = 13;
    config.dilations = {{1}, {1, 1024}};
  });
  CHECK(
      hostile ==
      "[config] /dilations/1/1: expected a window that fits into memory, got 13312 x 13312 tokens "
      "of 128 channels.");
}
