#include "vizoo/models/nat.h"

#include <set>

#include "test/support/catch.h"
#include "test/support/largest_difference.h"
#include "test/support/small_neighborhood.h"
#include "vizoo/core/error.h"

using vizoo::ForwardOptions;
using vizoo::NatBackbone;
using vizoo::NatConfig;
using vizoo::NatForImageClassification;
using vizoo::NatModel;
using vizoo::NeighborhoodModelArguments;
using vizoo::test::config_error;
using vizoo::test::largest_difference;
using vizoo::test::parameter_count;
using vizoo::test::randomize_neighborhood;
using vizoo::test::small_nat_config;

namespace {

ForwardOptions everything() {
  return ForwardOptions().output_hidden_states(true).output_attentions(true);
}

}  // namespace

TEST_CASE("parameter counts are those of the published NAT models", "[nat]") {
  NatConfig mini;
  CHECK(parameter_count<NatForImageClassification>(mini) == 19984174);
  auto tiny = mini;
  tiny.depths = {3, 4, 18, 5};
  CHECK(parameter_count<NatForImageClassification>(tiny) == 27901582);
  auto small = tiny;
  small.embed_dim = 96;
  small.num_heads = {3, 6, 12, 24};
  small.mlp_ratio = 2.0;
  small.layer_scale_init_value = 1e-5;
  CHECK(parameter_count<NatForImageClassification>(small) == 50743297);
  auto base = small;
  base.embed_dim = 128;
  base.num_heads = {4, 8, 16, 32};
  CHECK(parameter_count<NatForImageClassification>(base) == 89769652);
}

TEST_CASE("one seed gives the weights of NAT that Transformers draws", "[nat]") {
  // Python: torch.manual_seed(5); NatForImageClassification(NatConfig(embed_dim=8, depths=[1, 2],
  // num_heads=[1, 2], kernel_size=3, mlp_ratio=2.0, layer_scale_init_value=0.1, num_labels=5))
  torch::manual_seed(5);
  NatForImageClassification model(small_nat_config());
  const auto parameters = model->named_parameters();
  const auto value = [&](const std::string& name, int64_t index) {
    return parameters[name].flatten()[index].item<double>();
  };
  CHECK(value("nat.embeddings.patch_embeddings.projection.0.weight", 0) ==
        Approx(0.00611063512).epsilon(1e-6));
  CHECK(value("nat.encoder.levels.1.layers.1.output.dense.weight", -1) ==
        Approx(-0.000890133786).epsilon(1e-6));
  CHECK(value("classifier.weight", 0) == Approx(-0.02309062518).epsilon(1e-6));
  CHECK(value("classifier.weight", -1) == Approx(-0.02335847169).epsilon(1e-6));
  CHECK(torch::rand({1}).item<double>() == Approx(0.5847147107).epsilon(1e-6));
  const auto layer = std::string("nat.encoder.levels.0.layers.0.");
  CHECK(parameters[layer + "attention.self.rpb"].eq(0).all().item<bool>());
  CHECK(parameters[layer + "layer_scale_parameters"].eq(0.1F).all().item<bool>());
  CHECK(parameters[layer + "attention.self.key.bias"].eq(0).all().item<bool>());
}

TEST_CASE("the keys of NAT are Transformers'", "[nat]") {
  auto config = small_nat_config();
  config.depths = {1, 1};
  std::set<std::string> keys;
  for (const auto& item : NatBackbone(config)->named_parameters()) keys.insert(item.key());
  std::set<std::string> expected;
  const auto add = [&](const std::string& name, bool with_bias = true) {
    expected.insert(name + ".weight");
    if (with_bias) expected.insert(name + ".bias");
  };
  add("embeddings.patch_embeddings.projection.0");
  add("embeddings.patch_embeddings.projection.1");
  add("embeddings.norm");
  for (const char* level : {"encoder.levels.0.", "encoder.levels.1."}) {
    const auto layer = level + std::string("layers.0.");
    expected.insert(layer + "layer_scale_parameters");
    expected.insert(layer + "attention.self.rpb");
    for (const char* name : {"layernorm_before",
                             "layernorm_after",
                             "attention.self.query",
                             "attention.self.key",
                             "attention.self.value",
                             "attention.output.dense",
                             "intermediate.dense",
                             "output.dense"}) {
      add(layer + name);
    }
  }
  add("encoder.levels.0.downsample.reduction", /*with_bias=*/false);
  add("encoder.levels.0.downsample.norm");
  add("hidden_states_norms.stage2");
  CHECK(keys == expected);

  config.qkv_bias = false;
  config.layer_scale_init_value = -1.0;
  const auto fewer = NatModel(config)->named_parameters();
  CHECK(fewer.contains("layernorm.weight"));
  CHECK_FALSE(fewer.contains("encoder.levels.0.layers.0.attention.self.query.bias"));
  CHECK(fewer.contains("encoder.levels.0.layers.0.attention.output.dense.bias"));
  CHECK_FALSE(fewer.contains("encoder.levels.0.layers.0.layer_scale_parameters"));
}

TEST_CASE("shapes round up, states come after down-sampling, maps on the padded grid", "[nat]") {
  NatConfig config;
  config.embed_dim = 16;
  config.depths = {1, 1, 1, 1};
  config.num_heads = {2, 4, 8, 16};
  NatModel model(config);
  model->eval();
  const torch::NoGradGuard no_grad;
  const auto output = model->forward(torch::randn({1, 3, 225, 190}), everything());
  CHECK(output.last_hidden_state.sizes() == at::IntArrayRef{1, 8, 6, 128});
  CHECK(output.pooler_output.sizes() == at::IntArrayRef{1, 128});
  REQUIRE(output.hidden_states.size() == 5);
  CHECK(output.hidden_states[0].sizes() == at::IntArrayRef{1, 57, 48, 16});
  CHECK(output.hidden_states[1].sizes() == at::IntArrayRef{1, 29, 24, 32});
  CHECK(output.hidden_states[3].sizes() == at::IntArrayRef{1, 8, 6, 128});
  CHECK(output.hidden_states[4].sizes() == at::IntArrayRef{1, 8, 6, 128});
  REQUIRE(output.reshaped_hidden_states.size() == 5);
  CHECK(torch::equal(output.reshaped_hidden_states[1],
                     output.hidden_states[1].permute({0, 3, 1, 2})));
  REQUIRE(output.attentions.size() == 4);
  CHECK(output.attentions[0].sizes() == at::IntArrayRef{1, 2, 57, 48, 49});
  CHECK(output.attentions[3].sizes() == at::IntArrayRef{1, 16, 8, 7, 49});
  CHECK(largest_difference(output.attentions[3].sum(-1), torch::ones({1, 16, 8, 7})) < 1e-5);
}

TEST_CASE("maps do not change the other outputs of NAT", "[nat]") {
  NatForImageClassification model(small_nat_config());
  randomize_neighborhood(model, 3);
  model->eval();
  const torch::NoGradGuard no_grad;
  // Of a grid of 2 x 9 tokens the height is padded, the width is not.
  const auto pixels = torch::randn({2, 3, 7, 33});
  const auto plain = model->forward(pixels);
  const auto full = model->forward(pixels, everything());
  CHECK(plain.attentions.empty());
  CHECK(plain.hidden_states.empty());
  REQUIRE(full.attentions.size() == 2);
  CHECK(full.attentions[0].sizes() == at::IntArrayRef{2, 1, 3, 9, 9});
  CHECK(largest_difference(plain.logits, full.logits) < 1e-5);
  auto config = small_nat_config();
  config.output_attentions = true;
  CHECK(NatModel(config)->forward(pixels).attentions.size() == 2);
  CHECK(NatModel(config)
            ->forward(pixels, ForwardOptions().output_attentions(false))
            .attentions.empty());
}

TEST_CASE("padding takes part in the attention of NAT", "[nat]") {
  // One token in a window of nine: the other eight are tokens of zeros, whose values are the bias.
  auto config = small_nat_config();
  config.depths = {1};
  config.num_heads = {1};
  NatModel model(config);
  model->eval();
  const torch::NoGradGuard no_grad;
  const auto map =
      model->forward(torch::randn({1, 3, 1, 2}), everything()).attentions[0];  // zero bias
  CHECK(map.sizes() == at::IntArrayRef{1, 1, 3, 3, 9});
  // A padded query is zero: it attends alike to all nine.
  CHECK(largest_difference(map[0][0][2][2], torch::full({9}, 1.0 / 9.0)) < 1e-6);
  CHECK(largest_difference(map.sum(-1), torch::ones({1, 1, 3, 3})) < 1e-6);
  CHECK(map[0][0][0][0].min().item<double>() > 0.0);
}

TEST_CASE("a batch gives what its images give alone with NAT", "[nat]") {
  NatForImageClassification model(small_nat_config());
  randomize_neighborhood(model, 11);
  model->eval();
  const torch::NoGradGuard no_grad;
  const auto pixels = torch::randn({5, 3, 45, 67});
  const auto together = model->forward(pixels).logits;
  for (int64_t i = 0; i < 5; ++i) {
    CHECK(largest_difference(together[i], model->forward(pixels.narrow(0, i, 1)).logits[0]) < 1e-5);
  }
  // Memory format of the input is no part of its meaning.
  const auto last = model->forward(pixels.contiguous(at::MemoryFormat::ChannelsLast)).logits;
  CHECK(torch::equal(last, together));
  CHECK(model->forward(torch::zeros({0, 3, 32, 32})).logits.sizes() == at::IntArrayRef{0, 5});
}

TEST_CASE("NAT without pooling has no pooler_output", "[nat]") {
  const auto arguments = NeighborhoodModelArguments().add_pooling_layer(false);
  NatModel model(small_nat_config(), arguments);
  model->eval();
  const auto output = model->forward(torch::randn({1, 3, 9, 9}), everything());
  CHECK_FALSE(output.pooler_output.defined());
  // The tuple keeps its place and has no reshaped states.
  const auto tuple = vizoo::to_tuple(output);
  REQUIRE(tuple.size() == 4);
  CHECK_FALSE(tuple[1][0].defined());
  CHECK(tuple[2].size() == 3);
  CHECK(tuple[3].size() == 2);
  const auto copy = std::dynamic_pointer_cast<vizoo::NatModelImpl>(model->clone());
  CHECK_FALSE(copy->arguments.add_pooling_layer());
  CHECK(NatModel(small_nat_config())->arguments.add_pooling_layer());
}

TEST_CASE("zero labels leave the pooled features of NAT", "[nat]") {
  auto config = small_nat_config();
  config.set_num_labels(0);
  NatForImageClassification model(config);
  CHECK(model->forward(torch::randn({1, 3, 8, 8})).logits.sizes() == at::IntArrayRef{1, 16});
}

TEST_CASE("the NAT backbone returns states before down-sampling", "[nat]") {
  auto config = small_nat_config();
  config.out_indices = {0, -2, -1};
  NatBackbone model(config);
  model->eval();
  CHECK(model->channels() == std::vector<int64_t>{8, 8, 16});
  const auto output = model->forward(torch::randn({1, 3, 32, 24}), everything());
  REQUIRE(output.feature_maps.size() == 3);
  CHECK(output.feature_maps[0].sizes() == at::IntArrayRef{1, 8, 8, 6});
  CHECK(output.feature_maps[1].sizes() == at::IntArrayRef{1, 8, 8, 6});
  CHECK(output.feature_maps[2].sizes() == at::IntArrayRef{1, 16, 4, 3});
  CHECK(output.feature_maps[2].is_contiguous());
  REQUIRE(output.hidden_states.size() == 3);
  CHECK(output.hidden_states[1].sizes() == at::IntArrayRef{1, 8, 6, 8});
  CHECK(output.attentions.size() == 2);
  config.out_indices.reset();
  config.out_features = std::vector<std::string>{};
  CHECK(NatBackbone(config)->forward(torch::randn({1, 3, 8, 8})).feature_maps.empty());
}

TEST_CASE("dropout draws in training only and repeats with the seed", "[nat]") {
  auto config = small_nat_config();
  config.hidden_dropout_prob = 0.3;
  config.attention_probs_dropout_prob = 0.3;
  config.drop_path_rate = 0.5;
  NatModel model(config);
  randomize_neighborhood(model, 5);
  const torch::NoGradGuard no_grad;
  const auto pixels = torch::randn({3, 3, 16, 16});
  const auto run = [&](uint64_t seed) {
    torch::manual_seed(seed);
    return model->forward(pixels, everything());
  };
  model->train();
  CHECK(torch::equal(run(1).last_hidden_state, run(1).last_hidden_state));
  CHECK_FALSE(torch::equal(run(1).last_hidden_state, run(2).last_hidden_state));
  CHECK(run(1).attentions[0].eq(0).any().item<bool>());  // returned after dropout
  model->eval();
  CHECK(torch::equal(run(1).last_hidden_state, run(2).last_hidden_state));
  CHECK_FALSE(run(1).attentions[0].eq(0).any().item<bool>());
}

TEST_CASE("inputs that NAT cannot take are named", "[nat]") {
  NatModel model(small_nat_config());
  CHECK_THROWS_WITH(model->forward(torch::zeros({1, 1, 64, 64})),
                    "[model] pixel_values: expected 3 channels, as /num_channels says, got Float "
                    "[1, 1, 64, 64].");
  CHECK_THROWS_WITH(model->forward(torch::zeros({1, 3, 0, 64})),
                    "[model] pixel_values: expected a height and width of at least 1, got Float "
                    "[1, 3, 0, 64].");
  CHECK_THROWS_WITH(model->forward(torch::Tensor()),
                    "[model] pixel_values: expected a tensor [B, num_channels, H, W], got none.");
  CHECK_NOTHROW(model->forward(torch::zeros({1, 3, 1, 1})));
}

TEST_CASE("configs that no NAT can have are named", "[nat]") {
  const auto message = [](auto change) {
    return config_error<NatModel>(small_nat_config(), change);
  };
  CHECK(message([](auto& c) { c.patch_size = 2; }) ==
        "[config] /patch_size: expected an integer from 4 to 4, got 2.");
  CHECK(message([](auto& c) { c.embed_dim = 1; }) ==
        "[config] /embed_dim: expected an integer from 2 to 65536, got 1.");
  CHECK(message([](auto& c) {
          c.embed_dim = 65536;
          c.kernel_size = 3;
        }) ==
        "[config] /embed_dim: expected at most 65536 channels in the last of the 2 stages, got "
        "131072.");
  CHECK(message([](auto& c) { c.num_heads = {1}; }) ==
        "[config] /num_heads: expected a value for each of the 2 stages, got 1 values.");
  CHECK(message([](auto& c) {
          c.num_heads = {1, 3};
        }) == "[config] /num_heads/1: expected a divisor of the stage's 16 channels, got 3.");
  CHECK(message([](auto& c) {
          c.num_heads = {0, 1};
        }) == "[config] /num_heads: expected an integer from 1 to 8, got 0.");
  CHECK(message([](auto& c) { c.kernel_size = 4; }) ==
        "[config] /kernel_size: expected an odd integer, got 4.");
  CHECK(message([](auto& c) { c.kernel_size = 1; }) ==
        "[config] /kernel_size: expected an integer from 3 to 127, got 1.");
  CHECK(message([](auto& c) {
          c.embed_dim = 32768;
          c.kernel_size = 127;
        }) ==
        "[config] /kernel_size: expected a window that fits into memory, got 127 x 127 tokens of "
        "65536 channels.");
  CHECK(message([](auto& c) { c.mlp_ratio = 0.1; }) ==
        "[config] /mlp_ratio: expected a number up to 64 that leaves at least one channel, got "
        "0.100000.");
  CHECK(message([](auto& c) { c.hidden_dropout_prob = 1.5; }) ==
        "[config] /hidden_dropout_prob: expected a number in [0, 1], got 1.500000.");
  CHECK(message([](auto& c) { c.attention_probs_dropout_prob = -0.5; }) ==
        "[config] /attention_probs_dropout_prob: expected a number in [0, 1], got -0.500000.");
  CHECK(message([](auto& c) { c.drop_path_rate = 1.0; }) ==
        "[config] /drop_path_rate: expected a number in [0, 1), got 1.000000.");
  CHECK(message([](auto& c) { c.depths = {}; }) ==
        "[config] /depths: expected an integer from 1 to 16, got 0.");
  CHECK(message([](auto& c) { c.depths[0] = 2000000000; }) ==
        "[config] /depths: expected an integer from 0 to 256, got 2000000000.");
}
