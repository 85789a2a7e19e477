// Every class of the registry, exported, loaded and run at other sizes.
#include "vizoo/export/torchscript.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "test/support/catch.h"
#include "test/support/temporary_folder.h"
#include "test/unit/export/export_cases.h"
#include "vizoo/core/error.h"
#include "vizoo/hub/registry.h"
#include "vizoo/io/file.h"

namespace vizoo {
namespace {

namespace fs = std::filesystem;
using test::exportable_cases;
using test::load_case;
using test::message;
using test::perceiver_heads;
using test::stored_case;
using Case = test::ExportCase;

std::vector<Case> all_cases() {
  auto cases = perceiver_heads();
  for (const auto& folder : exportable_cases()) {
    cases.push_back(load_case(folder, read_json_file(folder / "case.json")));
  }
  return cases;
}

TEST_CASE("every class is exported, and the file agrees at other sizes", "[export]") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "model.pt";
  std::set<std::string> seen;
  for (const auto& one : all_cases()) {
    CAPTURE(one.folder.string());
    seen.insert(one.model->class_name());
    const auto exported = export_torchscript(*one.model, one.arguments, one.options);
    save_torchscript(exported, path);
    const auto loaded = load_torchscript(path, ScriptOptions().trust_code(true));
    CHECK(check_export(loaded, *one.model, one.arguments) <= 1e-3);  // throws by its own rule
    CHECK(loaded.description.class_name == one.model->class_name());

    // Names and values of the parameters.
    std::set<std::string> names;
    for (const auto& parameter : loaded.module.named_parameters()) names.insert(parameter.name);
    std::set<std::string> expected;
    for (const auto& parameter : one.model->named_parameters()) expected.insert(parameter.key());
    CHECK(names == expected);
  }
  for (const auto& entry : registry()) {
    CAPTURE(entry.class_name);
    CHECK(seen.count(entry.class_name) == 1);
  }
}

TEST_CASE("an exported model learns as the model does", "[export]") {
  for (const auto& one : all_cases()) {
    CAPTURE(one.folder.string());
    const auto exported = export_torchscript(*one.model, one.arguments, one.options);
    // One scalar of all that the output is.
    const auto scalar = [](const NamedTensors& outputs) {
      torch::Tensor sum = torch::zeros({});
      for (const auto& [name, tensor] : outputs) {
        if (!tensor.requires_grad()) continue;
        const auto weights = torch::linspace(-1, 1, tensor.numel()).view(tensor.sizes());
        sum = sum + (tensor.to(torch::kFloat32) * weights).sum();
      }
      return sum;
    };
    const auto gradients = [&](const std::function<NamedTensors()>& forward) {
      for (auto& parameter : one.model->parameters()) parameter.mutable_grad().reset();
      torch::manual_seed(4);
      scalar(forward()).backward();
      std::map<std::string, torch::Tensor> found;
      for (const auto& parameter : one.model->named_parameters()) {
        const auto& gradient = parameter.value().grad();
        if (gradient.defined()) found[parameter.key()] = gradient.clone();
      }
      return found;
    };
    one.model->eval();
    auto arguments = one.arguments;
    const auto theirs = gradients([&] { return one.model->forward_named(arguments, {}); });
    // Parameters are shared: the file's gradients arrive at the model's.
    // TorchScript optimises what it has run: only the third time is as it stays.
    for (int i = 0; i < 2; ++i) run_torchscript(exported, arguments);
    const auto ours = gradients([&] { return run_torchscript(exported, arguments); });
    double scale = 0.0;
    for (const auto& [name, gradient] : theirs) {
      scale = std::max(scale, gradient.abs().max().item<double>());
    }
    REQUIRE(scale > 0.0);
    for (const auto& [name, gradient] : theirs) {
      CAPTURE(name);
      if (gradient.abs().max().item<double>() == 0.0 && ours.count(name) == 0) continue;
      REQUIRE(ours.count(name) == 1);
      CHECK((ours.at(name) - gradient).abs().max().item<double>() <= 2e-5 * scale);
    }
  }
}

Case convnext() {
  for (const auto& source : exportable_cases()) {
    const auto stored = read_json_file(source / "case.json");
    if (stored["class"] == "ConvNextForImageClassification") return load_case(source, stored);
  }
  FAIL("no stored case of ConvNextForImageClassification");
  return {};
}

TEST_CASE("outputs are chosen, and come as a tuple or a dict", "[export]") {
  auto one = convnext();
  one.arguments.erase("labels");
  const auto expected =
      one.model->forward_named(one.arguments, ForwardOptions().output_hidden_states(true));
  for (const auto format : {ExportFormat::tuple, ExportFormat::dict}) {
    const auto exported =
        export_torchscript(*one.model,
                           one.arguments,
                           ExportOptions().outputs({"hidden_states", "logits"}).format(format));
    const auto outputs = run_torchscript(exported, one.arguments);
    REQUIRE(outputs.size() == expected.size());
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      CHECK(outputs[i].first == expected[i].first);
      CHECK(torch::allclose(outputs[i].second, expected[i].second, 1e-5, 1e-6));
    }
    auto module = exported.module;
    const auto result = module.forward({one.arguments.at("pixel_values")});
    CHECK((format == ExportFormat::tuple ? result.isTuple() : result.isGenericDict()));
  }
  CHECK(message([&] {
          export_torchscript(*one.model, one.arguments, ExportOptions().outputs({"logit"}));
        }) == "[export] outputs: expected some of logits, got \"logit\".");
  CHECK(message([&] {
          export_torchscript(*one.model, one.arguments, ExportOptions().method("get_features"));
        }).find("expected one of the methods forward") != std::string::npos);
  CHECK(message([&] {
          export_torchscript(*one.model, {{"pixels", torch::zeros({1})}});
        }) ==
        "[export] ConvNextForImageClassification: expected the arguments pixel_values, labels, got "
        "\"pixels\".");
}

TEST_CASE("a size that an exported model cannot vary is refused", "[export]") {
  const auto config = Json::parse(R"({"image_size": 64, "hidden_sizes": [16, 24, 32],
      "num_attention_heads": [2, 3, 4], "key_dim": [8, 8, 8], "depths": [1, 1, 1]})");
  const auto model = find_model("LevitForImageClassification").make(config, "config");
  const auto exported = export_torchscript(*model);
  const auto run = [&](at::IntArrayRef shape) {
    return message([&] { run_torchscript(exported, {{"pixel_values", torch::zeros(shape)}}); });
  };
  CHECK(run({3, 3, 64, 64}).empty());
  CHECK(run({1, 3, 96, 96}) ==
        "[model] pixel_values: expected [batch, 3, 64, 64], got [1, 3, 96, 96].");
  CHECK(run({3, 64, 64}) == "[model] pixel_values: expected [batch, 3, 64, 64], got [3, 64, 64].");
  CHECK(message([&] { run_torchscript(exported, {}); }) ==
        "[export] arguments: expected pixel_values, got \"\".");
  CHECK(message([&] {
          export_torchscript(*model, {{"pixel_values", torch::zeros({1, 3, 32, 32})}});
        }) == "[export] pixel_values: expected [batch, 3, 64, 64], got Float [1, 3, 32, 32].");
}

TEST_CASE("a model that pads small images does so in its file, whatever it was traced with",
          "[export]") {
  const auto config = Json::parse(R"({"embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4],
      "kernel_size": 3, "dilations": [[1, 4], [1, 2]], "num_labels": 5})");
  torch::manual_seed(5);
  const auto model = find_model("DinatForImageClassification").make(config, "config");
  const auto image = [](int64_t height, int64_t width) {
    return NamedArguments{{"pixel_values", torch::randn({2, 3, height, width})}};
  };
  // Windows of 12 x 12 on maps of a quarter of the image: below 48 pixels they are padded.
  for (const auto& traced : {image(64, 64), image(16, 20)}) {
    const auto exported = export_torchscript(*model, traced);
    model->eval();
    const torch::NoGradGuard no_grad;
    for (const auto& given : {image(8, 8), image(20, 61), image(64, 48), image(100, 17)}) {
      const auto expected = model->forward_named(given, {}).front().second;
      const auto found = run_torchscript(exported, given).front().second;
      CHECK((found - expected).abs().max().item<double>() <= 1e-5);
    }
  }
}

TEST_CASE("a class without usual inputs asks for them", "[export]") {
  const auto model = find_model("PerceiverModel")
                         .make(Json::parse(R"({"d_model": 8,
      "num_latents": 2, "d_latents": 8, "num_self_attends_per_block": 1,
      "num_self_attention_heads": 1, "num_cross_attention_heads": 1})"),
                               "config");
  CHECK(message([&] { export_torchscript(*model); }) ==
        "[export] PerceiverModel: expected example inputs, got none. What it takes depends on how "
        "it was put together.");
}

TEST_CASE("training goes on where it was after an export", "[export]") {
  const auto one = convnext();
  one.model->train();
  export_torchscript(*one.model, one.arguments);
  CHECK(one.model->is_training());
}

TEST_CASE("files that are no exported models are refused", "[export]") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "model.pt";
  auto one = convnext();
  one.arguments.erase("labels");
  const auto exported = export_torchscript(*one.model, one.arguments);
  save_torchscript(exported, path);
  const auto load = [&](const fs::path& file) {
    return message([&] { load_torchscript(file, ScriptOptions().trust_code(true)); });
  };
  CHECK(load(path).empty());
  CHECK(message([&] { load_torchscript(path); }) ==
        "[export] " + path.string() +
            ": expected trust_code (--trust-code), got none. A TorchScript file is code that runs "
            "when it is loaded.");
  const auto whole = read_file(path, 1U << 30U);
  const auto damaged = folder.path() / "damaged.pt";
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{10}, whole.size() / 3, whole.size() - 1}) {
    write_file_atomically(damaged, whole.substr(0, size));
    CAPTURE(size);
    CHECK(load(damaged).find("damaged.pt") != std::string::npos);
  }
  write_file_atomically(damaged, "not an archive at all, but long enough to be one of them");
  CHECK(load(damaged).find("damaged.pt") != std::string::npos);
  // TorchScript of somebody else's.
  torch::jit::Module other("Other");
  other.define("def forward(self, x: Tensor) -> Tensor:\n    return x + 1\n");
  other.save(damaged.string());
  CHECK(load(damaged) == "[export] " + damaged.string() +
                             ": expected a TorchScript file that vizoo export made, got another "
                             "archive. Other TorchScript files are run with LibTorch itself.");
  // What was there stays if the new file cannot be written.
  CHECK(message([&] { save_torchscript(exported, folder.path() / "none" / "model.pt"); }) != "");
  CHECK(read_file(path, 1U << 30U) == whole);
}

TEST_CASE("an op that is not there is named with its library", "[export]") {
  ExportDescription description;
  description.vizoo_version = "9.9";
  description.ops = {"vizoo::na2d", "vizoo::na5d"};
  CHECK(message([&] { check_export_ops(description, "model.pt"); })
            .find("[export] model.pt: expected the op vizoo::na5d of libvizoo_ops.so 9.9, got "
                  "vizoo ") == 0);
}

TEST_CASE("a description is read back as it was written", "[export]") {
  const auto one = stored_case("owlv2/detector");
  const auto description = export_torchscript(*one.model, one.arguments).description;
  CHECK(description.methods.size() == 2);
  const auto json = to_json(description);
  CHECK(to_json(export_description_from_json(json, "x")) == json);
  for (const char* key : {"class_name", "ops", "inputs", "format", "output_format", "outputs"}) {
    auto broken = json;
    broken[key] = 7.5;
    CAPTURE(key);
    CHECK_THROWS_AS(export_description_from_json(broken, "x"), CheckpointError);
    broken.erase(key);
    CHECK_THROWS_AS(export_description_from_json(broken, "x"), CheckpointError);
  }
  for (const auto& methods : {Json(7.5), Json{{"m", 1}}, Json{{"m", Json::object()}}}) {
    auto broken = json;
    broken["methods"] = methods;
    CAPTURE(methods.dump());
    CHECK_THROWS_AS(export_description_from_json(broken, "x"), CheckpointError);
  }
}

}  // namespace
}  // namespace vizoo
