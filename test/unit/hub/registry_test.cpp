#include "vizoo/hub/registry.h"

#include <set>

#include "test/support/catch.h"
#include "vizoo/core/error.h"

using vizoo::Json;
using vizoo::registry;
using vizoo::Task;

TEST_CASE("every class is there once and builds from its defaults", "[hub]") {
  std::set<std::string> names;
  for (const auto& entry : registry()) {
    CAPTURE(entry.class_name);
    CHECK(names.insert(entry.class_name).second);
    const vizoo::nn::NoInitGuard no_init;
    auto model = entry.make(Json::object(), "defaults");
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
  CHECK_THROWS_WITH(vizoo::find_model("ResNetModel"),
                    "[registry] class: expected one of ConvNextModel, "
                    "ConvNextForImageClassification, ConvNextBackbone, got \"ResNetModel\".");
  CHECK_THROWS_WITH(vizoo::find_architecture(Json::object(), "c"),
                    "[config] c: /architectures: expected one of ConvNextModel, "
                    "ConvNextForImageClassification, ConvNextBackbone, got nothing. Name the class "
                    "to build to override the file.");
}
