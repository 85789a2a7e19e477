// Golden values: parameters and inputs come from a hash of their names, so no weights are stored.
// The numbers in golden.json are from an independent float64 run of the reference.
#include <cmath>
#include <filesystem>

#include "test/support/catch.h"
#include "vizoo/hub/legacy.h"
#include "vizoo/hub/named_forward.h"
#include "vizoo/hub/registry.h"

namespace {

namespace fs = std::filesystem;
using vizoo::Json;

uint32_t fnv1a(const std::string& text) {
  uint32_t hash = 0x811C9DC5U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x01000193U;
  return hash;
}

// u in [0, 1) for each element: MurmurHash3's finaliser over the name's hash and the index.
torch::Tensor uniform(const std::string& name, at::IntArrayRef shape) {
  auto tensor = torch::empty(shape, torch::kFloat64);
  auto* values = tensor.data_ptr<double>();
  const auto hash = fnv1a(name);
  for (int64_t j = 0; j < tensor.numel(); ++j) {
    uint32_t x = hash ^ (static_cast<uint32_t>(j) * 0x9E3779B9U);
    x = (x ^ (x >> 16U)) * 0x85EBCA6BU;
    x = (x ^ (x >> 13U)) * 0xC2B2AE35U;
    x ^= x >> 16U;
    values[j] = static_cast<double>(x) / 4294967296.0;
  }
  return tensor;
}

bool is_one_of(const std::string& leaf, std::initializer_list<const char*> names) {
  return std::any_of(names.begin(), names.end(), [&](const char* name) { return leaf == name; });
}

// The value of a parameter or buffer by its key.
torch::Tensor golden_value(const std::string& key, const torch::Tensor& like) {
  const auto u = uniform(key, like.sizes());
  const auto v = u - 0.5;
  const auto leaf = key.substr(key.rfind('.') + 1);
  if (leaf == "num_batches_tracked") return torch::zeros_like(like);
  if (leaf == "running_var") return 0.5 + u;
  if (is_one_of(leaf,
                {"cls_token",
                 "mask_token",
                 "position_embeddings",
                 "rpb",
                 "attention_biases",
                 "register_tokens"})) {
    return v;
  }
  if (leaf.rfind("layer_scale", 0) == 0 || leaf == "lambda1") return 0.5 + 0.5 * v;
  if (leaf == "weight" && like.dim() == 1) return 1 + 0.5 * v;
  if (leaf == "weight") {
    return v * std::sqrt(12.0 /
                         (static_cast<double>(like.numel()) / static_cast<double>(like.size(0))));
  }
  return 0.4 * v;
}

void fill(vizoo::PretrainedModelImpl& model) {
  const torch::NoGradGuard no_grad;
  for (auto& parameter : model.named_parameters()) {
    const auto value = golden_value(parameter.key(), parameter.value());
    parameter.value().set_data(value.to(torch::kFloat32));
  }
  for (auto& buffer : model.named_buffers()) {
    buffer.value().copy_(golden_value(buffer.key(), buffer.value()));
  }
}

// An argument of the forward as it stands in the file: a list, or a list of rows; of booleans,
// integers or reals.
torch::Tensor tensor_from(const Json& rows) {
  const bool nested = rows.front().is_array();
  std::vector<double> values;
  auto dtype = torch::kInt64;
  const auto append = [&](const Json& value) {
    if (value.is_boolean()) dtype = torch::kBool;
    if (value.is_number_float()) dtype = torch::kFloat32;
    values.push_back(value.is_boolean() ? static_cast<double>(value.get<bool>())
                                        : value.get<double>());
  };
  for (const auto& row : rows) {
    if (!nested) {
      append(row);
    } else {
      for (const auto& value : row) append(value);
    }
  }
  auto tensor = torch::tensor(values, torch::kFloat64);
  if (nested) tensor = tensor.reshape({static_cast<int64_t>(rows.size()), -1});
  return tensor.to(dtype);
}

vizoo::NamedArguments arguments_of(const Json& golden, const Json& stored, at::ScalarType dtype) {
  auto shapes = stored.value("real_inputs", Json::object());
  if (stored.contains("input_shape") || golden.contains("input_shape")) {
    shapes["pixel_values"] = (stored.contains("input_shape") ? stored : golden)["input_shape"];
  }
  vizoo::NamedArguments arguments;
  for (const auto& [name, shape] : shapes.items()) {
    const auto u = uniform(name, shape.get<std::vector<int64_t>>());
    arguments[name] = ((u - 0.5) * 4).to(torch::kFloat32).to(dtype);
  }
  if (stored.contains("labels")) arguments["labels"] = tensor_from(stored["labels"]);
  const auto inputs = stored.value("inputs", Json::object());
  for (const auto& [name, rows] : inputs.items()) arguments[name] = tensor_from(rows);
  return arguments;
}

// Attention maps are asked for where they are compared only: without them attention is fused.
bool names_attentions(const Json& rows) {
  return std::any_of(rows.begin(), rows.end(), [](const Json& row) {
    const auto name = row["name"].get<std::string>();
    return name.rfind("attentions", 0) == 0 || name.rfind("cross_attentions", 0) == 0;
  });
}

void compare_golden(const torch::Tensor& tensor, const Json& row, double tolerance) {
  CAPTURE(row["name"]);
  const auto flat = tensor.to(torch::kFloat64).flatten();
  if (row.contains("shape")) CHECK(Json(tensor.sizes().vec()) == row["shape"]);
  if (row.contains("mean")) {
    CHECK(std::abs(flat.mean().item<double>() - row["mean"].get<double>()) <= tolerance);
  }
  if (row.contains("mean_abs")) {
    CHECK(std::abs(flat.abs().mean().item<double>() - row["mean_abs"].get<double>()) <= tolerance);
  }
  const auto check_run = [&](const char* key, int64_t start) {
    if (!row.contains(key)) return;
    for (std::size_t i = 0; i < row[key].size(); ++i) {
      const auto value = flat[start + static_cast<int64_t>(i)].item<double>();
      CHECK(std::abs(value - row[key][i].get<double>()) <= tolerance);
    }
  };
  check_run("first", 0);
  if (row.contains("last"))
    check_run("last", flat.numel() - static_cast<int64_t>(row["last"].size()));
}

}  // namespace

TEST_CASE("the deterministic tensors are those of the reference run", "[parity]") {
  CHECK(fnv1a("pixel_values") == 0x707F332EU);
  const auto u = uniform("pixel_values", {4});
  CHECK(u[0].item<double>() == Approx(0.22275989).margin(1e-8));
  CHECK(u[3].item<double>() == Approx(0.21555417).margin(1e-8));
}

TEST_CASE("golden values hold", "[parity]") {
  std::size_t files = 0;
  for (const auto& folder : fs::directory_iterator("test/fixtures")) {
    const auto path = folder.path() / "golden.json";
    if (!fs::exists(path)) continue;
    ++files;
    const auto golden = vizoo::read_json_file(path);
    int number = 0;
    for (const auto& stored : golden["cases"]) {
      DYNAMIC_SECTION(path.string() << " case " << number++) {
        auto config = golden["config"];
        const auto overrides = stored.value("config", Json::object());
        for (const auto& [key, value] : overrides.items()) config[key] = value;
        vizoo::upgrade_config(config, path.string());
        const auto model =
            vizoo::find_model(stored["class"].get<std::string>())
                .make_with_arguments(
                    config, path.string(), stored.value("model_args", Json::object()));
        fill(*model);
        const auto dtype =
            stored.value("dtype", "float32") == "float64" ? torch::kFloat64 : torch::kFloat32;
        model->to(dtype);
        auto* runs = model.get();
        if (stored.contains("submodule")) {
          const auto modules = model->named_modules();
          runs = dynamic_cast<vizoo::PretrainedModelImpl*>(
              modules[stored["submodule"].get<std::string>()].get());
          REQUIRE(runs != nullptr);
        }
        auto request = vizoo::NamedForward().output_hidden_states(true);
        request.output_attentions(names_attentions(stored["rows"]));
        request.train_mode(stored.value("train_mode", false));
        request.gradients(stored.value("gradients", ""));
        const auto outputs =
            vizoo::run_named_forward(*runs, arguments_of(golden, stored, dtype), request);
        for (const auto& row : stored["rows"]) {
          const auto found = std::find_if(outputs.begin(), outputs.end(), [&](const auto& output) {
            return output.first == row["name"].get<std::string>();
          });
          REQUIRE(found != outputs.end());
          const auto tolerance = stored.value("tolerance", golden["tolerance"].get<double>());
          compare_golden(found->second, row, tolerance);
        }
      }
    }
  }
  CHECK(files >= 7);
}
