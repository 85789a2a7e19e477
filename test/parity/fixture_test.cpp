// Runs every stored case of every family (test/fixtures/README.md) and compares all tensors with
// what the reference gave; and checks key names and shapes of every published configuration.
#include <algorithm>
#include <filesystem>
#include <set>

#include "test/support/catch.h"
#include "test/support/tensor_file.h"
#include "vizoo/core/error.h"
#include "vizoo/hub/from_pretrained.h"
#include "vizoo/hub/legacy.h"
#include "vizoo/hub/named_forward.h"

namespace {

namespace fs = std::filesystem;
using vizoo::Json;

const fs::path kFixtures = "test/fixtures";

std::vector<fs::path> stored_cases() {
  std::vector<fs::path> folders;
  for (const auto& entry : fs::recursive_directory_iterator(kFixtures)) {
    if (entry.path().filename() == "case.json") folders.push_back(entry.path().parent_path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

vizoo::NamedForward request(const Json& options, bool with_gradients) {
  auto request = vizoo::NamedForward();
  request.output_hidden_states(options.value("output_hidden_states", false));
  request.output_attentions(options.value("output_attentions", false));
  request.train_mode(options.value("train_mode", false));
  request.method(options.value("method", "forward"));
  if (options.contains("seed")) request.seed(options["seed"].get<uint64_t>());
  if (with_gradients) request.gradients(options.value("gradients", ""));
  return request;
}

// Every expected tensor is there and close, and nothing else is.
void compare(const vizoo::NamedTensors& outputs,
             const vizoo::NamedArguments& expected,
             const Json& tolerance) {
  std::set<std::string> seen;
  for (const auto& [name, tensor] : outputs) {
    CAPTURE(name);
    seen.insert(name);
    const auto found = expected.find(name);
    // Neither gradients that are zero throughout nor those of labels are stored.
    if (found == expected.end()) {
      if (name == "grad_input.labels") continue;
      CHECK(name.rfind("grad", 0) == 0);
      CHECK(tensor.abs().max().item<double>() == 0.0);
      continue;
    }
    REQUIRE(tensor.sizes() == found->second.sizes());
    const auto error = (tensor.to(torch::kFloat64) - found->second.to(torch::kFloat64)).abs();
    const double bound = tolerance.at(name).get<double>();
    CHECK(error.max().item<double>() <= bound);
  }
  for (const auto& [name, tensor] : expected) {
    CAPTURE(name);
    CHECK(seen.count(name) == 1);
  }
}

void run_case(const fs::path& folder, at::ScalarType dtype, const char* suffix) {
  const auto stored = vizoo::read_json_file(folder / "case.json");
  const auto& entry = vizoo::find_model(stored["class"].get<std::string>());
  const auto model_args = stored["options"].value("model_args", Json::object());
  auto model = vizoo::load_pretrained(
      entry, folder, vizoo::LoadOptions().torch_dtype(dtype).model_args(model_args.dump()));
  auto arguments = vizoo::test::read_tensors(folder / stored["inputs"].get<std::string>());
  for (auto& [name, tensor] : arguments) {
    if (tensor.is_floating_point()) tensor = tensor.to(dtype);
  }
  const bool single = dtype == torch::kFloat32;
  const auto outputs =
      vizoo::run_named_forward(*model, std::move(arguments), request(stored["options"], single));
  const auto key = std::string("expected") + suffix;
  const auto expected = vizoo::test::read_tensors(folder / stored[key].get<std::string>());
  REQUIRE_FALSE(expected.empty());
  compare(outputs, expected, stored[std::string("tolerance") + suffix]);
}

}  // namespace

TEST_CASE("stored cases agree with Transformers", "[parity]") {
  const auto folders = stored_cases();
  REQUIRE(folders.size() >= 59);
  for (const auto& folder : folders) {
    DYNAMIC_SECTION(folder.string() << " float32") { run_case(folder, torch::kFloat32, ""); }
    DYNAMIC_SECTION(folder.string() << " float64") { run_case(folder, torch::kFloat64, "64"); }
  }
}

TEST_CASE("every class of the registry has a stored case or golden values", "[parity]") {
  std::set<std::string> covered;
  for (const auto& family : fs::directory_iterator(kFixtures)) {
    const auto path = family.path() / "golden.json";
    if (!fs::exists(path)) continue;
    const auto golden = vizoo::read_json_file(path);
    for (const auto& entry : golden["cases"]) covered.insert(entry["class"].get<std::string>());
  }
  for (const auto& folder : stored_cases()) {
    covered.insert(vizoo::read_json_file(folder / "case.json")["class"].get<std::string>());
  }
  for (const auto& entry : vizoo::registry()) {
    CAPTURE(entry.class_name);
    CHECK(covered.count(entry.class_name) == 1);
  }
}

TEST_CASE("published configurations have Transformers' keys and shapes", "[parity]") {
  std::size_t manifests = 0;
  for (const auto& file : fs::recursive_directory_iterator(kFixtures)) {
    if (file.path().parent_path().filename() != "manifests") continue;
    CAPTURE(file.path().string());
    ++manifests;
    const auto manifest = vizoo::read_json_file(file.path());
    auto config = manifest["config"];
    vizoo::override_config(config, "num_labels", manifest["num_labels"]);
    const vizoo::nn::NoInitGuard no_init;
    const auto model =
        vizoo::find_model(manifest["class"].get<std::string>()).make(config, file.path().string());
    Json tensors = Json::object();
    int64_t parameters = 0;
    for (const auto& parameter : model->named_parameters()) {
      tensors[parameter.key()] = parameter.value().sizes().vec();
      parameters += parameter.value().numel();
    }
    for (const auto& buffer : model->named_buffers()) {
      tensors[buffer.key()] = buffer.value().sizes().vec();
    }
    CHECK(tensors == manifest["tensors"]);
    CHECK(parameters == manifest["parameters"].get<int64_t>());
  }
  CHECK(manifests >= 39);
}
