#include "vizoo/hub/legacy.h"

#include "test/support/catch.h"
#include "vizoo/core/error.h"

using vizoo::Json;
using vizoo::override_config;
using vizoo::upgrade_config;

TEST_CASE("older and newer spellings become today's", "[hub]") {
  auto config = Json::parse(R"({"id2label": null, "hidden_sizes": null, "num_labels": 3,
                                "dtype": "float16", "kept": null})");
  upgrade_config(config, "config.json");
  CHECK(config == Json::parse(R"({
      "id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"},
      "label2id": {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2},
      "torch_dtype": "float16", "kept": null})"));

  auto mapped = Json::parse(R"({"id2label": {"0": "cat"}, "num_labels": 9})");
  upgrade_config(mapped, "config.json");
  CHECK(mapped == Json::parse(R"({"id2label": {"0": "cat"}})"));

  auto bad = Json::parse(R"({"num_labels": "9"})");
  CHECK_THROWS_WITH(upgrade_config(bad, "config.json"),
                    "[config] config.json: /num_labels: expected an integer, got \"9\".");
  auto huge = Json::parse(R"({"num_labels": 1000000000000})");
  CHECK_THROWS_WITH(upgrade_config(huge, "config.json"),
                    "[config] /num_labels: expected a count from 0 to 50000, got 1000000000000.");
}

TEST_CASE("overrides act as keyword arguments of from_pretrained do", "[hub]") {
  auto config = Json::parse(R"({"id2label": {"0": "a", "7": "b"}, "out_features": ["stem"],
                                "out_indices": [0]})");
  override_config(config, "num_labels", 2);
  CHECK(config["id2label"]["7"] == "b");  // the number is the same, the map stays
  override_config(config, "num_labels", 1);
  CHECK(config["id2label"] == Json::parse(R"({"0": "LABEL_0"})"));
  override_config(config, "out_indices", Json::array({1}));
  CHECK_FALSE(config.contains("out_features"));
  override_config(config, "out_features", Json::array({"stage1"}));
  CHECK_FALSE(config.contains("out_indices"));
  override_config(config, "hidden_act", "relu");
  CHECK(config["hidden_act"] == "relu");
}

TEST_CASE("second names of NAT's and DiNAT's attributes mean something as overrides", "[hub]") {
  for (const char* model_type : {"nat", "dinat"}) {
    Json config = {{"model_type", model_type},
                   {"num_heads", {1, 2}},
                   {"num_attention_heads", {4, 8}},
                   {"num_hidden_layers", 7}};
    upgrade_config(config, "config.json");  // in a file the constructor's argument wins
    CHECK(config == Json({{"model_type", model_type}, {"num_heads", {1, 2}}}));
    override_config(config, "num_attention_heads", Json::array({2, 4}));
    override_config(config, "num_hidden_layers", 9);
    CHECK(config == Json({{"model_type", model_type}, {"num_heads", {2, 4}}, {"num_layers", 9}}));
  }
  Json other = {{"model_type", "convnext"}, {"num_attention_heads", 3}};
  upgrade_config(other, "config.json");
  CHECK(other["num_attention_heads"] == 3);
}
