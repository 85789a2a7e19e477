#include "vizoo/models/dinov2.h"

#include "test/support/catch.h"
#include "vizoo/core/error.h"
#include "vizoo/hub/registry.h"

using vizoo::Dinov2Arguments;
using vizoo::Dinov2Backbone;
using vizoo::Dinov2Config;
using vizoo::Dinov2ForImageClassification;
using vizoo::Dinov2Model;
using vizoo::Dinov2PosInterp;
using vizoo::ForwardOptions;

namespace {

Dinov2Config small_dinov2_config() {
  Dinov2Config config;
  config.hidden_size = 24;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 3;
  config.image_size = int64_t{56};
  config.patch_size = 14;
  return config;
}

template <class Model>
int64_t count_parameters(const Model& model) {
  int64_t count = 0;
  for (const auto& parameter : model->parameters()) count += parameter.numel();
  return count;
}

std::string dinov2_error(Dinov2Config config) {
  try {
    Dinov2Model model(std::move(config));
  } catch (const vizoo::ConfigError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("parameter counts are those of the published DINOv2s", "[dinov2]") {
  const vizoo::nn::NoInitGuard no_init;
  Dinov2Config config;
  config.image_size = int64_t{518};
  config.patch_size = 14;
  config.hidden_size = 384;
  config.num_attention_heads = 6;
  config.set_num_labels(1000);
  CHECK(count_parameters(Dinov2Model(config)) == 22056576);
  CHECK(count_parameters(Dinov2ForImageClassification(config)) == 22825576);
  config.hidden_size = 768;
  config.num_attention_heads = 12;
  CHECK(count_parameters(Dinov2Model(config)) == 86580480);
  config.hidden_size = 1536;
  config.num_attention_heads = 24;
  config.num_hidden_layers = 40;
  config.use_swiglu_ffn = true;
  CHECK(config.mlp_width() == 4096);
  CHECK(count_parameters(Dinov2Model(config)) == 1136480768);
}

TEST_CASE("DINOv2 floors images to whole patches", "[dinov2]") {
  const torch::NoGradGuard no_grad;
  Dinov2Backbone model(small_dinov2_config());
  const auto output =
      model->forward(torch::randn({1, 3, 225, 190}),
                     ForwardOptions().output_hidden_states(true).output_attentions(true));
  REQUIRE(output.feature_maps.size() == 1);
  CHECK(output.feature_maps[0].sizes() == at::IntArrayRef{1, 24, 16, 13});
  CHECK(output.hidden_states.size() == 3);
  REQUIRE(output.attentions.size() == 2);
  CHECK(output.attentions[0].sizes() == at::IntArrayRef{1, 3, 209, 209});
}

TEST_CASE("the two position interpolations differ away from the table's size", "[dinov2]") {
  const torch::NoGradGuard no_grad;
  torch::manual_seed(1);
  Dinov2Model offset(small_dinov2_config());
  torch::manual_seed(1);
  Dinov2Model size(small_dinov2_config(),
                   Dinov2Arguments().position_interpolation(Dinov2PosInterp::Size));
  offset->embeddings->position_embeddings.normal_();
  size->embeddings->position_embeddings.copy_(offset->embeddings->position_embeddings);
  const auto own = torch::randn({1, 3, 56, 56});
  CHECK(torch::equal(offset->forward(own).last_hidden_state, size->forward(own).last_hidden_state));
  const auto other = torch::randn({1, 3, 70, 70});
  const auto difference =
      offset->forward(other).last_hidden_state - size->forward(other).last_hidden_state;
  CHECK(difference.abs().max().item<double>() > 1e-3);
  // A copy keeps its choice.
  const auto copy = std::dynamic_pointer_cast<vizoo::Dinov2ModelImpl>(size->clone());
  CHECK(
      torch::equal(copy->forward(other).last_hidden_state, size->forward(other).last_hidden_state));
}

TEST_CASE("masked patches do not matter", "[dinov2]") {
  const torch::NoGradGuard no_grad;
  Dinov2Model model(small_dinov2_config());
  model->embeddings->mask_token.normal_();
  const auto mask = torch::zeros({1, 16}, torch::kBool);
  mask[0][5] = true;
  const auto options = ForwardOptions().bool_masked_pos(mask);
  const auto pixels = torch::randn({1, 3, 56, 56});
  auto changed = pixels.clone();
  changed.slice(2, 14, 28).slice(3, 14, 28).normal_();  // patch 5: row 1, column 1
  CHECK(torch::equal(model->forward(pixels, options).last_hidden_state,
                     model->forward(changed, options).last_hidden_state));
  CHECK_FALSE(torch::equal(model->forward(pixels).last_hidden_state,
                           model->forward(changed).last_hidden_state));
}

TEST_CASE("DINOv2 refuses masks that do not fit", "[dinov2]") {
  Dinov2Model model(small_dinov2_config());
  const auto pixels = torch::zeros({2, 3, 56, 56});
  CHECK_THROWS_WITH(
      model->forward(pixels, ForwardOptions().bool_masked_pos(torch::zeros({2, 17}, torch::kBool))),
      "[model] bool_masked_pos: expected a Bool tensor [2, 16], got Bool [2, 17].");
  CHECK_THROWS_WITH(model->forward(pixels, ForwardOptions().head_mask(torch::ones({4}))),
                    "[model] head_mask: expected a floating-point tensor [heads] or [layers, "
                    "heads] with 3 heads and 2 layers, got Float [4].");
  Dinov2Backbone backbone(small_dinov2_config());
  CHECK_THROWS_WITH(backbone->forward(pixels, ForwardOptions().head_mask(torch::ones({3}))),
                    "[model] Dinov2Backbone.forward: expected the arguments pixel_values, got "
                    "\"head_mask\".");
  CHECK_THROWS_WITH(model->forward(torch::zeros({1, 3, 13, 56})),
                    "[model] pixel_values: expected a height and width of at least 14, got Float "
                    "[1, 3, 13, 56].");
}

TEST_CASE("image_size is a number or a pair", "[dinov2]") {
  const auto& entry = vizoo::find_model("Dinov2Model");
  const auto build = [&](const std::string& size) {
    const auto json = vizoo::parse_json(R"({"hidden_size": 12, "num_hidden_layers": 1,
                                            "num_attention_heads": 2, "patch_size": 7,
                                            "image_size": )" +
                                            size + "}",
                                        "test");
    return entry.config_json(*entry.make(json, "test"))["image_size"].dump();
  };
  CHECK(build("28") == "28");
  CHECK(build("[28,28]") == "[28,28]");
  CHECK_THROWS_WITH(build("[28]"),
                    "[config] /image_size: expected a number or [height, width], got an array of "
                    "1.");
  CHECK_THROWS_WITH(build("\"28\""),
                    "[config] test: /image_size: expected an integer or an array, got \"28\".");
}

TEST_CASE("DINOv2 refuses configs that make no model", "[dinov2]") {
  auto config = small_dinov2_config();
  config.num_attention_heads = 5;
  CHECK(dinov2_error(config) ==
        "[config] /num_attention_heads: expected a divisor of /hidden_size 24, got 5.");
  config = small_dinov2_config();
  config.image_size = int64_t{13};
  CHECK(dinov2_error(config) ==
        "[config] /image_size: expected an integer from 14 to 65536, got 13.");
  config = small_dinov2_config();
  config.patch_size = 1;
  config.image_size = int64_t{65536};
  CHECK(dinov2_error(config) ==
        "[config] /image_size: expected at most 1048576 patches, got 4294967296.");
  config = small_dinov2_config();
  config.hidden_dropout_prob = 1.5;
  CHECK(dinov2_error(config) ==
        "[config] /hidden_dropout_prob: expected a number in [0, 1], got 1.500000.");
}
