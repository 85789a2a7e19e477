#include "vizoo/training/parameter_groups.h"

#include <cmath>

#include "test/support/catch.h"
#include "test/support/error_message.h"
#include "test/support/small_convnext.h"
#include "test/support/small_neighborhood.h"
#include "test/support/small_owlv2.h"
#include "test/support/small_perceiver.h"
#include "vizoo/core/error.h"
#include "vizoo/models/dinov2.h"
#include "vizoo/models/levit.h"
#include "vizoo/models/perceiver/perceiver_language.h"
#include "vizoo/models/poolformer.h"

using vizoo::parameter_groups;
using vizoo::ParameterGroup;
using vizoo::ParameterGroupOptions;

namespace {

using vizoo::test::error_message;

// What an optimizer is told about one parameter.
struct Setting {
  double scale;
  double decay;
};

std::map<std::string, Setting> settings_of(const std::vector<ParameterGroup>& groups) {
  std::map<std::string, Setting> settings;
  for (const auto& group : groups) {
    REQUIRE(group.names.size() == group.parameters.size());
    for (const auto& name : group.names) {
      CHECK(settings.emplace(name, Setting{group.learning_rate_scale, group.weight_decay}).second);
    }
  }
  return settings;
}

vizoo::ConvNextForImageClassification convnext() {
  return vizoo::ConvNextForImageClassification(vizoo::test::small_convnext_config());
}

std::map<std::string, int64_t> distances(const torch::nn::Module& model) {
  std::vector<std::string> names;
  for (const auto& parameter : model.named_parameters()) names.push_back(parameter.key());
  return vizoo::distances_from_head(names);
}

// Checks the distance of every parameter whose name begins with a prefix, the longest one if there
// are several; all parameters must have one.
void check_distances(const torch::nn::Module& model,
                     const std::vector<std::pair<std::string, int64_t>>& expected) {
  std::vector<bool> used(expected.size(), false);
  for (const auto& [name, distance] : distances(model)) {
    std::size_t best = expected.size();
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const auto& prefix = expected[i].first;
      const bool longer = best == expected.size() || prefix.size() > expected[best].first.size();
      if (name.compare(0, prefix.size(), prefix) == 0 && longer) best = i;
    }
    INFO(name);
    REQUIRE(best < expected.size());
    CHECK(distance == expected[best].second);
    used[best] = true;
  }
  for (std::size_t i = 0; i < expected.size(); ++i) {
    INFO(expected[i].first);
    CHECK(used[i]);
  }
}

// The undecayed parameters of two and more dimensions.
std::set<std::string> undecayed_tables(const torch::nn::Module& model) {
  std::set<std::string> names;
  for (const auto& parameter : model.named_parameters()) {
    const bool decayed = vizoo::is_decayed(parameter.key(), parameter.value());
    if (parameter.value().dim() <= 1) {
      INFO(parameter.key());
      CHECK_FALSE(decayed);
    } else if (!decayed) {
      names.insert(parameter.key());
    }
  }
  return names;
}

vizoo::LevitConfig small_levit_config() {
  vizoo::LevitConfig config;
  config.image_size = 64;
  config.hidden_sizes = {8, 12, 16};
  config.num_attention_heads = {1, 1, 1};
  config.depths = {1, 1, 1};
  config.key_dim = {4, 4, 4};
  return config;
}

vizoo::Dinov2Config small_dinov2_config() {
  vizoo::Dinov2Config config;
  config.hidden_size = 8;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.image_size = 28;
  return config;
}

vizoo::PoolFormerConfig small_poolformer_config() {
  vizoo::PoolFormerConfig config;
  config.hidden_sizes = {4, 6, 8, 10};
  config.depths = {1, 2, 1, 1};
  return config;
}

}  // namespace

TEST_CASE("what weight decay leaves alone", "[training]") {
  using Names = std::set<std::string>;
  CHECK(undecayed_tables(*convnext()) == Names{});
  CHECK(undecayed_tables(*vizoo::PoolFormerForImageClassification(small_poolformer_config())) ==
        Names{});
  CHECK(undecayed_tables(*vizoo::LevitForImageClassification(small_levit_config())) ==
        Names{"levit.encoder.stages.0.layers.0.module.attention_biases",
              "levit.encoder.stages.0.layers.2.attention_biases",
              "levit.encoder.stages.1.layers.0.module.attention_biases",
              "levit.encoder.stages.1.layers.2.attention_biases",
              "levit.encoder.stages.2.layers.0.module.attention_biases"});
  CHECK(undecayed_tables(*vizoo::Dinov2ForImageClassification(small_dinov2_config())) ==
        Names{"dinov2.embeddings.cls_token",
              "dinov2.embeddings.mask_token",
              "dinov2.embeddings.position_embeddings"});
  const auto dinat = vizoo::test::small_dinat_config();
  CHECK(undecayed_tables(*vizoo::DinatForImageClassification(dinat)) ==
        Names{"dinat.encoder.levels.0.layers.0.attention.self.rpb",
              "dinat.encoder.levels.0.layers.0.layer_scale_parameters",
              "dinat.encoder.levels.1.layers.0.attention.self.rpb",
              "dinat.encoder.levels.1.layers.0.layer_scale_parameters",
              "dinat.encoder.levels.1.layers.1.attention.self.rpb",
              "dinat.encoder.levels.1.layers.1.layer_scale_parameters"});
  CHECK(undecayed_tables(*vizoo::Owlv2ForObjectDetection(vizoo::test::small_owlv2_config())) ==
        Names{"owlv2.text_model.embeddings.position_embedding.weight",
              "owlv2.vision_model.embeddings.position_embedding.weight"});
  CHECK(undecayed_tables(*vizoo::PerceiverForMaskedLM(vizoo::test::small_perceiver_config())) ==
        Names{"perceiver.decoder.output_position_encodings.position_embeddings",
              "perceiver.embeddings.latents",
              "perceiver.input_preprocessor.position_embeddings.weight"});
}

TEST_CASE("distances from the head", "[training]") {
  SECTION("ConvNeXT") {  // depths 1, 1, 2, 1
    const std::string stage = "convnext.encoder.stages.";
    check_distances(*convnext(),
                    {{"convnext.embeddings.", 6},
                     {stage + "0.", 5},
                     {stage + "1.downsampling_layer.", 4},
                     {stage + "1.layers.0.", 4},
                     {stage + "2.downsampling_layer.", 3},
                     {stage + "2.layers.0.", 3},
                     {stage + "2.layers.1.", 2},
                     {stage + "3.", 1},
                     {"convnext.layernorm.", 0},
                     {"classifier.", 0}});
  }
  SECTION("PoolFormer") {  // depths 1, 2, 1, 1
    const std::string encoder = "poolformer.encoder.";
    check_distances(*vizoo::PoolFormerForImageClassification(small_poolformer_config()),
                    {{encoder + "patch_embeddings.0.", 6},
                     {encoder + "block.0.0.", 5},
                     {encoder + "patch_embeddings.1.", 4},
                     {encoder + "block.1.0.", 4},
                     {encoder + "block.1.1.", 3},
                     {encoder + "patch_embeddings.2.", 2},
                     {encoder + "block.2.0.", 2},
                     {encoder + "patch_embeddings.3.", 1},
                     {encoder + "block.3.0.", 1},
                     {"norm.", 0},
                     {"classifier.", 0}});
  }
  SECTION("LeViT") {
    const std::string stage = "levit.encoder.stages.";
    check_distances(*vizoo::LevitForImageClassificationWithTeacher(small_levit_config()),
                    {{"levit.patch_embeddings.", 11},
                     {stage + "0.layers.0.", 10},
                     {stage + "0.layers.1.", 9},
                     {stage + "0.layers.2.", 8},
                     {stage + "0.layers.3.", 7},
                     {stage + "1.layers.0.", 6},
                     {stage + "1.layers.1.", 5},
                     {stage + "1.layers.2.", 4},
                     {stage + "1.layers.3.", 3},
                     {stage + "2.layers.0.", 2},
                     {stage + "2.layers.1.", 1},
                     {"classifier.", 0},
                     {"classifier_distill.", 0}});
  }
  SECTION("NAT and DiNAT") {  // depths 1, 2
    check_distances(*vizoo::DinatForImageClassification(vizoo::test::small_dinat_config()),
                    {{"dinat.embeddings.", 4},
                     {"dinat.encoder.levels.0.layers.0.", 3},
                     {"dinat.encoder.levels.0.downsample.", 2},
                     {"dinat.encoder.levels.1.layers.0.", 2},
                     {"dinat.encoder.levels.1.layers.1.", 1},
                     {"dinat.layernorm.", 0},
                     {"classifier.", 0}});
    check_distances(*vizoo::NatModel(vizoo::test::small_nat_config()),
                    {{"embeddings.", 4},
                     {"encoder.levels.0.layers.0.", 3},
                     {"encoder.levels.0.downsample.", 2},
                     {"encoder.levels.1.layers.0.", 2},
                     {"encoder.levels.1.layers.1.", 1},
                     {"layernorm.", 0}});
  }
  SECTION("DINOv2") {
    check_distances(*vizoo::Dinov2ForImageClassification(small_dinov2_config()),
                    {{"dinov2.embeddings.", 3},
                     {"dinov2.encoder.layer.0.", 2},
                     {"dinov2.encoder.layer.1.", 1},
                     {"dinov2.layernorm.", 0},
                     {"classifier.", 0}});
  }
  SECTION("OWLv2, whose towers differ in depth") {
    auto config = vizoo::test::small_owlv2_config();
    config.text_config.num_hidden_layers = 1;
    check_distances(*vizoo::Owlv2ForObjectDetection(config),
                    {{"owlv2.text_model.embeddings.", 2},
                     {"owlv2.text_model.encoder.layers.0.", 1},
                     {"owlv2.text_model.final_layer_norm.", 0},
                     {"owlv2.vision_model.embeddings.", 3},
                     {"owlv2.vision_model.pre_layernorm.", 3},
                     {"owlv2.vision_model.encoder.layers.0.", 2},
                     {"owlv2.vision_model.encoder.layers.1.", 1},
                     {"owlv2.vision_model.post_layernorm.", 0},
                     {"owlv2.logit_scale", 0},
                     {"owlv2.visual_projection.", 0},
                     {"owlv2.text_projection.", 0},
                     {"class_head.", 0},
                     {"box_head.", 0},
                     {"objectness_head.", 0},
                     {"layer_norm.", 0}});
  }
  SECTION("Perceiver") {
    check_distances(*vizoo::PerceiverForMaskedLM(vizoo::test::small_perceiver_config()),
                    {{"perceiver.input_preprocessor.", 4},
                     {"perceiver.embeddings.latents", 4},
                     {"perceiver.encoder.cross_attention.", 3},
                     {"perceiver.encoder.self_attends.0.", 2},
                     {"perceiver.encoder.self_attends.1.", 1},
                     {"perceiver.decoder.", 0},
                     {"embedding_decoder.", 0}});
  }
}

TEST_CASE("blocks are ordered by number, not by text", "[training]") {
  std::vector<std::string> names = {"m.embeddings.x"};
  for (int64_t layer = 0; layer < 12; ++layer) {
    names.push_back("m.encoder.layer." + std::to_string(layer) + ".x");
  }
  const auto distances = vizoo::distances_from_head(names);
  CHECK(distances.at("m.encoder.layer.11.x") == 1);
  CHECK(distances.at("m.encoder.layer.10.x") == 2);
  CHECK(distances.at("m.encoder.layer.2.x") == 10);
  CHECK(distances.at("m.encoder.layer.0.x") == 12);
  CHECK(distances.at("m.embeddings.x") == 13);
}

TEST_CASE("groups cover all parameters once, with decay by name and rate by depth", "[training]") {
  const auto model = convnext();
  const auto groups =
      parameter_groups(*model, ParameterGroupOptions().weight_decay(0.1).layer_decay(0.5));
  const auto settings = settings_of(groups);
  CHECK(settings.size() == model->named_parameters().size());
  CHECK(groups.size() == 14);  // 7 distances, each with and without decay
  const std::string block = "convnext.encoder.stages.0.layers.0.";
  CHECK(settings.at(block + "dwconv.weight").decay == 0.1);
  CHECK(settings.at(block + "dwconv.weight").scale == std::pow(0.5, 5));
  CHECK(settings.at(block + "dwconv.bias").decay == 0.0);
  CHECK(settings.at(block + "dwconv.bias").scale == std::pow(0.5, 5));
  CHECK(settings.at(block + "layer_scale_parameter").decay == 0.0);
  CHECK(settings.at("classifier.weight").scale == 1.0);

  const auto plain = parameter_groups(*model);
  REQUIRE(plain.size() == 2);
  CHECK(plain[0].learning_rate_scale == 1.0);
  CHECK(plain[1].learning_rate_scale == 1.0);
  CHECK(plain[0].weight_decay + plain[1].weight_decay == 0.05);
}

TEST_CASE("patterns freeze parameters", "[training]") {
  const auto model = convnext();
  const auto settings = settings_of(parameter_groups(
      *model,
      ParameterGroupOptions().frozen({"convnext.embeddings.*", "*.stages.?.layers.*.bias"})));
  int64_t frozen = 0;
  for (const auto& parameter : model->named_parameters()) {
    const auto& name = parameter.key();
    const bool stem = name.rfind("convnext.embeddings.", 0) == 0;
    const bool bias = name.find(".layers.") != std::string::npos &&
                      name.compare(name.size() - 5, 5, ".bias") == 0;
    INFO(name);
    CHECK(parameter.value().requires_grad() == !(stem || bias));
    CHECK(settings.count(name) == (stem || bias ? 0 : 1));
    frozen += stem || bias ? 1 : 0;
  }
  CHECK(frozen == 4 + 5 * 4);
  // What was turned off before stays off.
  CHECK(settings_of(parameter_groups(*model)).size() == settings.size());
}

TEST_CASE("factors by pattern multiply one another and that of the depth", "[training]") {
  const auto model = convnext();
  const auto settings = settings_of(parameter_groups(
      *model,
      ParameterGroupOptions().layer_decay(0.5).learning_rate_scales(
          {{"convnext.*", 0.25}, {"*.stages.0.*", 0.0}, {"convnext.layernorm.?*", 3.0}})));
  CHECK(settings.size() == model->named_parameters().size());
  CHECK(settings.at("classifier.weight").scale == 1.0);
  CHECK(settings.at("convnext.layernorm.bias").scale == 0.75);
  CHECK(settings.at("convnext.encoder.stages.0.layers.0.dwconv.weight").scale == 0.0);
  CHECK(settings.at("convnext.encoder.stages.1.layers.0.dwconv.weight").scale ==
        0.25 * settings_of(parameter_groups(*model, ParameterGroupOptions().layer_decay(0.5)))
                   .at("convnext.encoder.stages.1.layers.0.dwconv.weight")
                   .scale);
}

TEST_CASE("what is frozen is run in evaluation mode", "[training]") {
  auto model = vizoo::LevitForImageClassification(small_levit_config());
  const auto images = torch::randn({4, 3, 64, 64});
  vizoo::train_unfrozen(*model);
  for (const auto& module : model->modules()) CHECK(module->is_training());

  parameter_groups(*model, ParameterGroupOptions().linear_probe(true));
  std::map<std::string, torch::Tensor> before;
  for (const auto& buffer : model->named_buffers()) {
    before[buffer.key()] = buffer.value().detach().clone();
  }
  vizoo::train_unfrozen(*model);
  CHECK(model->is_training());
  model->forward(images).logits.sum().backward();
  int64_t changed = 0;
  for (const auto& buffer : model->named_buffers()) {
    const bool same = torch::equal(buffer.value(), before.at(buffer.key()));
    INFO(buffer.key());
    CHECK(same == (buffer.key().rfind("levit.", 0) == 0));
    changed += same ? 0 : 1;
  }
  CHECK(changed == 3);  // running mean, variance and count of the head's batch norm
}

TEST_CASE("a linear probe trains the head alone", "[training]") {
  const auto probe = [](const vizoo::PretrainedModelImpl& model) {
    std::set<std::string> names;
    for (const auto& [name, setting] :
         settings_of(parameter_groups(model, ParameterGroupOptions().linear_probe(true)))) {
      names.insert(name);
    }
    return names;
  };
  using Names = std::set<std::string>;
  CHECK(probe(*convnext()) == Names{"classifier.weight", "classifier.bias"});
  CHECK(probe(*vizoo::PoolFormerForImageClassification(small_poolformer_config())) ==
        Names{"classifier.weight", "classifier.bias", "norm.weight", "norm.bias"});
  for (const auto& name :
       probe(*vizoo::PerceiverForMaskedLM(vizoo::test::small_perceiver_config()))) {
    INFO(name);
    CHECK((name.rfind("perceiver.decoder.", 0) == 0 || name == "embedding_decoder.bias"));
  }
  CHECK(error_message([] {
          parameter_groups(*vizoo::ConvNextModel(vizoo::test::small_convnext_config()),
                           ParameterGroupOptions().linear_probe(true));
        }) == "[training] linear_probe: expected a model with a head, got ConvNextModel.");
}

TEST_CASE("groups refuse what makes no sense", "[training]") {
  const auto model = convnext();
  CHECK(error_message(
            [&] { parameter_groups(*model, ParameterGroupOptions().frozen({"backbone.*"})); }) ==
        "[training] frozen: expected patterns of parameter names of "
        "ConvNextForImageClassification, got \"backbone.*\". vizoo inspect lists the names.");
  CHECK(error_message([&] { parameter_groups(*model, ParameterGroupOptions().layer_decay(0)); }) ==
        "[training] layer_decay: expected a number above 0, at most 1, got 0.");
  CHECK(error_message([&] {
          parameter_groups(*model, ParameterGroupOptions().weight_decay(NAN));
        }) == "[training] weight_decay: expected a number of at least 0, got nan.");
  CHECK(error_message([&] {
          parameter_groups(*model, ParameterGroupOptions().learning_rate_scales({{"*", -1}}));
        }) == "[training] learning_rate_scales: expected numbers of at least 0, got -1.");
  CHECK(error_message([&] {
          parameter_groups(*model, ParameterGroupOptions().learning_rate_scales({{"owlv2.*", 1}}));
        }) ==
        "[training] learning_rate_scales: expected patterns of parameter names of "
        "ConvNextForImageClassification, got \"owlv2.*\". vizoo inspect lists the names.");
  for (const auto& parameter : model->parameters()) REQUIRE(parameter.requires_grad());
  CHECK(error_message([&] { parameter_groups(*model, ParameterGroupOptions().frozen({"*"})); }) ==
        "[training] parameters: expected at least one to train, got none of "
        "ConvNextForImageClassification.");
  for (const auto& parameter : model->parameters()) CHECK(parameter.requires_grad());
}
