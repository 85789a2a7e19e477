#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "vizoo/hub/registry.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {

/// What loading found. Names are the model's own, except `unexpected`, which are the file's.
struct LoadReport {
  struct Mismatch {
    std::string name;
    std::vector<int64_t> checkpoint;  ///< shape in the file
    std::vector<int64_t> model;       ///< shape that the config asks for
  };
  std::vector<std::string> missing;              ///< not in the checkpoint, freshly initialised
  std::vector<std::string> unexpected;           ///< in the checkpoint, not in the model, ignored
  std::vector<Mismatch> mismatched;              ///< freshly initialised (ignore_mismatched_sizes)
  std::vector<std::string> unknown_config_keys;  ///< kept and written back

  /// One line for each of missing, unexpected and mismatched that is not empty.
  std::vector<std::string> warnings() const;
};

using LoadReportPointer = LoadReport*;

/// Config keys and JSON text, as in {"num_labels", "7"}.
using ConfigOverrides = std::vector<std::pair<std::string, std::string>>;

/// Options of `from_pretrained`, named as in Transformers.
struct LoadOptions {
  /// Floating-point weights are converted to this; nullopt keeps what the config's `torch_dtype`
  /// says, else the dtype of the first floating-point tensor ("auto").
  TORCH_ARG(std::optional<at::ScalarType>, torch_dtype) = torch::kFloat32;
  TORCH_ARG(torch::Device, device) = torch::kCPU;
  /// Tensors whose shape differs are initialised anew instead of an error.
  TORCH_ARG(bool, ignore_mismatched_sizes) = false;
  /// `model.<variant>.safetensors` instead of `model.safetensors`.
  TORCH_ARG(std::string, variant);
  /// Config keys to override, applied in order.
  TORCH_ARG(ConfigOverrides, overrides);
  /// Arguments of the constructor beside the config, a JSON object: {"add_pooling_layer": false}.
  TORCH_ARG(std::string, model_args) = "{}";
  /// Filled in if given.
  TORCH_ARG(LoadReportPointer, report) = nullptr;
};

/// config.json of a folder in today's spelling, with overrides applied. Throws ConfigError.
Json load_config(const std::filesystem::path& folder, const LoadOptions& options = {});

/// Builds the model that `entry` names from config.json and loads its weights: in evaluation mode,
/// with all problems of all tensors in one error. Base model, head and backbone load each other's
/// checkpoints; what is missing is initialised and reported. Throws ConfigError, CheckpointError.
std::shared_ptr<PretrainedModelImpl> load_pretrained(const ModelEntry& entry,
                                                     const std::filesystem::path& folder,
                                                     const LoadOptions& options = {});

/// Builds the model with fresh weights, in training mode, as Transformers' constructor does.
std::shared_ptr<PretrainedModelImpl> build_model(const ModelEntry& entry,
                                                 const std::filesystem::path& folder,
                                                 const LoadOptions& options = {});

/// `auto model = from_pretrained<ConvNextForImageClassification>("folder");`
template <class Model>
Model from_pretrained(const std::filesystem::path& folder, const LoadOptions& options = {}) {
  using Impl = typename Model::ContainedType;
  return Model(std::dynamic_pointer_cast<Impl>(
      load_pretrained(find_model(Impl::kClassName), folder, options)));
}

/// `auto model = from_config<ConvNextModel>("folder");`: config.json alone, fresh weights.
template <class Model>
Model from_config(const std::filesystem::path& folder, const LoadOptions& options = {}) {
  using Impl = typename Model::ContainedType;
  return Model(
      std::dynamic_pointer_cast<Impl>(build_model(find_model(Impl::kClassName), folder, options)));
}

}  // namespace vizoo
