// The other methods of a class in its exported file, and free numbers of output points.
#include <limits>

#include "test/support/catch.h"
#include "test/support/temporary_folder.h"
#include "test/unit/export/export_cases.h"
#include "vizoo/core/error.h"
#include "vizoo/export/scripted_models.h"

namespace vizoo {
namespace {

using test::message;
using test::perceiver_heads;
using test::stored_case;

double largest_difference(const NamedTensors& ours, const NamedTensors& theirs) {
  REQUIRE(ours.size() == theirs.size());
  double largest = 0.0;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    CHECK(ours[i].first == theirs[i].first);
    REQUIRE(ours[i].second.sizes() == theirs[i].second.sizes());
    largest = std::max(largest, (ours[i].second - theirs[i].second).abs().max().item<double>());
  }
  return largest;
}

TEST_CASE("a file has the other methods of its class", "[export]") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "model.pt";
  const std::pair<const char*, const char*> methods[] = {
      {"owlv2/model_text_features", "get_text_features"},
      {"owlv2/model_image_features", "get_image_features"},
      {"owlv2/detector_image_embedder", "image_embedder"},
      {"owlv2/detector_image_guided", "image_guided_detection"}};
  for (const auto format : {ExportFormat::tuple, ExportFormat::dict}) {
    for (const auto& [name, method] : methods) {
      CAPTURE(name);
      auto one = stored_case(name);
      save_torchscript(export_torchscript(*one.model, {}, ExportOptions().format(format)), path);
      const auto loaded = load_torchscript(path, ScriptOptions().trust_code(true));
      CHECK(loaded.description.method_names().size() == one.model->method_names().size());
      CHECK(check_export(loaded, *one.model) <= 1e-3);  // throws by its own rule
      if (method == std::string("get_text_features")) {
        one.arguments["attention_mask"] = torch::ones_like(one.arguments.at("input_ids"));
      }
      one.model->eval();
      const torch::NoGradGuard no_grad;
      const auto expected = one.model->call_named(method, one.arguments, {});
      CHECK(largest_difference(run_torchscript(loaded, one.arguments, method), expected) <= 1e-5);
      const auto scripted = scripted_model(loaded);
      CHECK(largest_difference(scripted->call_named(method, one.arguments, {}), expected) <= 1e-5);
      CHECK(scripted->method_names() == loaded.description.method_names());
    }
  }
}

TEST_CASE("a query image without a box that passes gives NaN in a file", "[export]") {
  auto one = stored_case("owlv2/detector_image_guided");
  const auto exported = export_torchscript(*one.model);
  one.model->eval();
  const torch::NoGradGuard no_grad;
  auto& queries = one.arguments.at("query_pixel_values");
  queries[0] = std::numeric_limits<float>::quiet_NaN();
  const auto logits =
      run_torchscript(exported, one.arguments, "image_guided_detection").front().second;
  CHECK(logits[0].isnan().all().item<bool>());
  // The other query belongs to the other image.
  auto second = one.arguments;
  for (auto& [name, tensor] : second) tensor = tensor.slice(0, 1);
  const auto expected = one.model->call_named("image_guided_detection", second, {}).front().second;
  CHECK((logits.slice(0, 1) - expected).abs().max().item<double>() <= 1e-5);
}

TEST_CASE("flags and sizes of the example hold for all methods that take them", "[export]") {
  auto one = stored_case("owlv2/detector");
  one.arguments["pixel_values"] = torch::randn({2, 3, 14, 21});
  one.arguments["interpolate_pos_encoding"] = torch::tensor(true);
  const auto exported = export_torchscript(*one.model, one.arguments);
  CHECK(check_export(exported, *one.model, one.arguments) <= 1e-3);
  const auto& guided = exported.description.signature("image_guided_detection");
  CHECK(guided.flags == std::map<std::string, bool>{{"interpolate_pos_encoding", true}});
  REQUIRE(guided.inputs.size() == 2);
  const std::vector<ExportDimension> expected_shape{
      "queries", int64_t{3}, "query_height", "query_width"};
  CHECK((guided.inputs[1].shape == expected_shape));
  one.model->eval();
  const torch::NoGradGuard no_grad;
  const NamedArguments given{{"pixel_values", torch::randn({3, 3, 21, 14})},
                             {"query_pixel_values", torch::randn({1, 3, 14, 28})},
                             {"interpolate_pos_encoding", torch::tensor(true)}};
  CHECK(largest_difference(run_torchscript(exported, given, "image_guided_detection"),
                           one.model->call_named("image_guided_detection", given, {})) <= 1e-5);
}

TEST_CASE("a method that a file lacks is named beside those that it has", "[export]") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "model.pt";
  const auto one = stored_case("owlv2/detector_image_embedder");
  // A file of one method, as older files are.
  save_torchscript(export_torchscript(*one.model, {}, ExportOptions().method("image_embedder")),
                   path);
  const auto loaded = load_torchscript(path, ScriptOptions().trust_code(true));
  CHECK(loaded.description.methods.empty());
  const auto expected =
      "[export] Owlv2ForObjectDetection: expected one of the file's methods "
      "forward, got \"image_guided_detection\". vizoo export writes those that "
      "the class has.";
  CHECK(message([&] { run_torchscript(loaded, one.arguments, "image_guided_detection"); }) ==
        expected);
  CHECK(message([&] {
          scripted_model(loaded)->call_named("image_guided_detection", one.arguments, {});
        }) == expected);
  auto json = to_json(loaded.description);
  json.erase("methods");
  CHECK(export_description_from_json(json, "x").methods.empty());
  // One that says more than it has.
  auto liar = loaded;
  liar.description.methods["image_guided_detection"] = liar.description;
  CHECK(message([&] { run_torchscript(liar, one.arguments, "image_guided_detection"); }) ==
        "[export] exported model: expected the method image_guided_detection, got none.");
}

TEST_CASE("a multimodal Perceiver decodes any number of points from its file", "[export]") {
  for (const auto& one : perceiver_heads()) {
    if (one.model->class_name() != "PerceiverForMultimodalAutoencoding") continue;
    const auto exported = export_torchscript(*one.model, one.arguments);
    one.model->eval();
    const torch::NoGradGuard no_grad;
    // Of 15 patches of sound and 768 pixels.
    const std::pair<int64_t, int64_t> counts[] = {{1, 1}, {15, 1}, {4, 700}, {2, 768}};
    for (const auto& [audio, image] : counts) {
      CAPTURE(audio, image);
      auto arguments = one.arguments;
      arguments["subsampled_output_points.audio"] = torch::randperm(15).slice(0, 0, audio);
      arguments["subsampled_output_points.image"] = torch::randperm(768).slice(0, 0, image);
      CHECK(largest_difference(run_torchscript(exported, arguments),
                               one.model->forward_named(arguments, {})) <= 1e-5);
    }
    return;
  }
  FAIL("no multimodal Perceiver");
}

}  // namespace
}  // namespace vizoo
