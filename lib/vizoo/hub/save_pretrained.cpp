#include "vizoo/hub/save_pretrained.h"

#include <system_error>

#include "vizoo/core/error.h"
#include "vizoo/hub/checkpoint.h"
#include "vizoo/hub/registry.h"
#include "vizoo/io/file.h"
#include "vizoo/io/safetensors_index.h"

namespace vizoo {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTransformersVersion = "4.37.2";  // whose format this is

SafetensorsDtype required_dtype(const std::string& name, at::ScalarType type) {
  if (const auto dtype = safetensors_dtype(type)) return *dtype;
  throw CheckpointError(
      "checkpoint", name, "a dtype that safetensors has", std::string(c10::toString(type)));
}

// CPU copies, contiguous, that live as long as the list; in state-dict order.
std::vector<std::pair<std::string, torch::Tensor>> cpu_state(const PretrainedModelImpl& model) {
  std::vector<std::pair<std::string, torch::Tensor>> state;
  for (const auto& parameter : model.named_parameters()) {
    state.emplace_back(parameter.key(), parameter.value().detach().cpu().contiguous());
  }
  for (const auto& buffer : model.named_buffers()) {
    state.emplace_back(buffer.key(), buffer.value().detach().cpu().contiguous());
  }
  return state;
}

}  // namespace

std::string config_json_text(const PretrainedModelImpl& model) {
  const auto& entry = find_model(model.class_name());
  auto config = entry.config_json(model);
  // As `to_diff_dict`: what all models share is written only where it differs from the default.
  detail::remove_equal(config, config_to_json(PretrainedConfig{}));
  config["architectures"] = Json::array({model.class_name()});
  config["model_type"] = entry.model_type;
  if (!config.contains("transformers_version")) {
    config["transformers_version"] = kTransformersVersion;
  }
  const auto parameters = model.parameters();
  if (!parameters.empty())
    config["torch_dtype"] = torch_dtype_name(parameters.front().scalar_type());
  return dump_json(config, entry.integer_keyed);
}

void save_pretrained(const PretrainedModelImpl& model,
                     const fs::path& folder,
                     const SaveOptions& options) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    throw CheckpointError("checkpoint",
                          printable(folder.string()),
                          "a folder that can be written",
                          quote(error.message()));
  }
  const auto state = cpu_state(model);
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, tensor] : state) {
    tensors.push_back({name,
                       required_dtype(name, tensor.scalar_type()),
                       tensor.sizes().vec(),
                       tensor.data_ptr()});
  }
  write_safetensors_shards(
      folder, tensors, SafetensorsMetadata{{"format", "pt"}}, options.max_shard_size());
  write_file_atomically(folder / "config.json", config_json_text(model), FileKind::config);
}

}  // namespace vizoo
