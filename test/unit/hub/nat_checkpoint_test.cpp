// NAT and DiNAT on disk: what their config.json derives, and checkpoints of one class in another.
#include <fstream>

#include "test/support/catch.h"
#include "test/support/small_neighborhood.h"
#include "test/support/temporary_folder.h"
#include "vizoo/core/error.h"
#include "vizoo/hub/auto_model.h"
#include "vizoo/hub/save_pretrained.h"

using namespace vizoo;
using vizoo::test::randomize_neighborhood;
using vizoo::test::small_dinat_config;
using vizoo::test::small_nat_config;
using vizoo::test::TemporaryFolder;

namespace {

torch::Tensor neighborhood_pixels() {
  torch::manual_seed(99);
  return torch::randn({2, 3, 21, 30});
}

}  // namespace

TEST_CASE("what a NAT config derives is never taken from the file", "[hub]") {
  // Published DiNAT files say hidden_size 512 for every size.
  const auto entry = find_model("DinatModel");
  const nn::NoInitGuard no_init;
  const auto model = entry.make({{"embed_dim", 96},
                                 {"num_heads", {3, 6, 12, 24}},
                                 {"hidden_size", 512},
                                 {"num_layers", 1},
                                 {"stage_names", {"stem"}}},
                                "c");
  const auto json = entry.config_json(*model);
  CHECK(json["hidden_size"] == 768);
  CHECK(json["num_layers"] == 4);
  CHECK(json["stage_names"] == Json({"stem", "stage1", "stage2", "stage3", "stage4"}));
  CHECK(json["dilations"] == Json::parse("[[1,8,1],[1,4,1,4],[1,2,1,2,1,2],[1,1,1,1,1]]"));
}

TEST_CASE("NAT's head, base model and backbone load each other's weights", "[hub]") {
  const TemporaryFolder folder;
  NatForImageClassification head(small_nat_config());
  randomize_neighborhood(head, 1);
  head->eval();
  save_pretrained(head, folder.path());
  LoadReport report;
  const auto options = LoadOptions().report(&report);

  auto again = AutoModelForImageClassification::from_pretrained(folder.path(), options);
  CHECK(report.missing.empty());
  CHECK(torch::equal(again->forward(neighborhood_pixels()).logits,
                     head->forward(neighborhood_pixels()).logits));

  auto base = from_pretrained<NatModel>(folder.path(), options);
  CHECK(report.missing.empty());
  CHECK(report.unexpected == std::vector<std::string>{"classifier.bias", "classifier.weight"});
  CHECK(torch::equal(base->forward(neighborhood_pixels()).pooler_output,
                     head->nat->forward(neighborhood_pixels()).pooler_output));
  auto unpooled = from_pretrained<NatModel>(
      folder.path(), LoadOptions().model_args(R"({"add_pooling_layer": false})"));
  CHECK_FALSE(unpooled->forward(neighborhood_pixels()).pooler_output.defined());
  CHECK_THROWS_WITH(from_pretrained<NatModel>(folder.path(), LoadOptions().model_args("{")),
                    Catch::Matchers::StartsWith("[usage] model_args"));

  auto backbone = AutoBackbone::from_pretrained(folder.path(), options);
  CHECK(report.missing == std::vector<std::string>{"hidden_states_norms.stage2.bias",
                                                   "hidden_states_norms.stage2.weight"});
  const auto states =
      head->nat->forward(neighborhood_pixels(), ForwardOptions().output_hidden_states(true));
  const auto maps =
      backbone->forward(neighborhood_pixels(), ForwardOptions().output_hidden_states(true));
  CHECK(torch::equal(maps.hidden_states[2], states.hidden_states[2]));
}

TEST_CASE("a missing bias of DiNAT starts at zero", "[hub]") {
  const TemporaryFolder folder;
  DinatModel model(small_dinat_config());
  randomize_neighborhood(model, 2);
  save_pretrained(model, folder.path());
  // A larger kernel has a larger bias; all else fits.
  LoadReport report;
  auto loaded = from_pretrained<DinatModel>(folder.path(),
                                            LoadOptions()
                                                .overrides({{"kernel_size", "5"}})
                                                .ignore_mismatched_sizes(true)
                                                .report(&report));
  CHECK(report.mismatched.size() == 3);
  const auto parameters = loaded->named_parameters();
  const auto& rpb = parameters["encoder.levels.1.layers.1.attention.self.rpb"];
  CHECK(rpb.sizes() == at::IntArrayRef{2, 9, 9});
  CHECK(rpb.eq(0).all().item<bool>());
  const auto& key = parameters["encoder.levels.1.layers.1.attention.self.key.bias"];
  CHECK_FALSE(key.eq(0).any().item<bool>());
  CHECK(loaded->forward(neighborhood_pixels()).pooler_output.isfinite().all().item<bool>());
}

TEST_CASE("a hostile config of NAT costs no memory", "[hub]") {
  const TemporaryFolder folder;
  save_pretrained(NatModel(small_nat_config()), folder.path());
  const auto options = LoadOptions()
                           .overrides({{"embed_dim", "16384"},
                                       {"num_heads", "[16384, 32768]"},
                                       {"depths", "[100, 100]"},
                                       {"kernel_size", "31"}})
                           .ignore_mismatched_sizes(true);
  try {
    from_pretrained<NatModel>(folder.path(), options);
    FAIL("it loads");
  } catch (const CheckpointError& error) {
    CHECK(std::string(error.what()).find("config.json may belong to another checkpoint") !=
          std::string::npos);
  }
}
