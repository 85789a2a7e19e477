#include "vizoo/hub/registry.h"

#include <set>

#include "test/support/catch.h"
#include "vizoo/core/error.h"
#include "vizoo/models/dinat.h"
#include "vizoo/models/nat.h"

using vizoo::Json;
using vizoo::registry;
using vizoo::Task;

namespace {

std::string every_class() {
  std::string names;
  for (const auto& entry : registry()) names += (names.empty() ? "" : ", ") + entry.class_name;
  return names;
}

}  // namespace

TEST_CASE("every class is there once and builds from its defaults", "[hub]") {
  std::set<std::string> names;
  for (const auto& entry : registry()) {
    CAPTURE(entry.class_name);
    CHECK(names.insert(entry.class_name).second);
    const vizoo::nn::NoInitGuard no_init;
    // The Perceiver's default of 8 attention heads does not divide the channels of every class's
    // inputs; upstream refuses that too.
    auto config = Json::object();
    if (entry.model_type == "perceiver") config["num_cross_attention_heads"] = 1;
    auto model = entry.make(config, "defaults");
    CHECK(model->class_name() == entry.class_name);
    CHECK(model->parameters().size() > 10);
    // What is written reads back as the same config.
    const auto json = entry.config_json(*model);
    CHECK(entry.config_json(*entry.make(json, "round trip")) == json);
    CHECK(vizoo::find_model(entry.class_name).model_type == entry.model_type);
  }
}

TEST_CASE("classes are found by name, task and architecture", "[hub]") {
  const Json config = {{"model_type", "convnext"},
                       {"architectures", {"ConvNextForImageClassification"}}};
  CHECK(vizoo::find_architecture(config, "c").class_name == "ConvNextForImageClassification");
  CHECK(vizoo::find_model(config, Task::backbone, "c").class_name == "ConvNextBackbone");
  CHECK_THROWS_WITH(
      vizoo::find_model("ResNetModel"),
      "[registry] class: expected one of " + every_class() + ", got \"ResNetModel\".");
  CHECK_THROWS_WITH(vizoo::find_architecture(Json::object(), "c"),
                    "[config] c: /architectures: expected one of " + every_class() +
                        ", got nothing. Name the class to build to override the file.");
}

TEST_CASE("constructor arguments reach the classes that have them", "[hub]") {
  const vizoo::nn::NoInitGuard no_init;
  const auto build = [](const char* class_name, const Json& arguments) {
    return vizoo::find_model(class_name).make_with_arguments(Json::object(), "c", arguments);
  };
  const auto model = build("NatModel", {{"add_pooling_layer", false}});
  CHECK_FALSE(dynamic_cast<vizoo::NatModelImpl&>(*model).arguments.add_pooling_layer());
  const auto with_pooling = build("DinatModel", Json::object());
  CHECK(dynamic_cast<vizoo::DinatModelImpl&>(*with_pooling).arguments.add_pooling_layer());
  const auto message = [&](const char* class_name, const Json& arguments) {
    try {
      build(class_name, arguments);
    } catch (const vizoo::UsageError& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  CHECK(message("NatModel", {{"pool", 1}}) ==
        "[usage] constructor arguments of NatModel: expected add_pooling_layer, got \"pool\".");
  CHECK(message("NatModel", {{"add_pooling_layer", 1}}) ==
        "[usage] model_args: /add_pooling_layer: expected true or false, got 1.");
  CHECK(message("NatModel", Json::array()) ==
        "[usage] constructor arguments of NatModel: expected a JSON object, got an array of 0 "
        "values.");
  CHECK(message("NatBackbone", {{"add_pooling_layer", true}}) ==
        "[usage] constructor arguments of NatBackbone: expected none, got \"add_pooling_layer\".");
}
