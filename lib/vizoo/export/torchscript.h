#pragma once

// Models as TorchScript files, made and run without Python. TorchScript is deprecated upstream: a
// bridge to whatever serves it today.

#include <torch/csrc/jit/api/module.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "vizoo/export/export_description.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {

/// Options of `export_torchscript`.
struct ExportOptions {
  /// Outputs to keep, under Transformers' names: "logits", "hidden_states" (all of them),
  /// "hidden_states.3", "vision_model_output.pooler_output". Empty: all that a forward pass gives
  /// without being asked for more. Naming hidden_states or attentions asks for them.
  TORCH_ARG(std::vector<std::string>, outputs);
  TORCH_ARG(ExportFormat, format) = ExportFormat::tuple;
  /// Method of the model that the file's `forward` runs, one of its `method_names()`. With the
  /// model's own forward, the file has the other methods too, with all their outputs, under their
  /// names.
  TORCH_ARG(std::string, method) = "forward";
};

/// A model as TorchScript.
struct ExportedModel {
  torch::jit::Module module;
  ExportDescription description;
  std::map<std::string, std::string> files;  ///< by name: config.json and what it is kept with
};

/// Traces `model` in evaluation mode. The module's parameters are the model's own tensors under
/// Transformers' names, trainable where they are; its `forward` takes the tensors of
/// `example_inputs`, in the order of the model's arguments, and returns a tuple or a dict. Sizes
/// that the description names may vary from call to call; of the others `forward` says so in an
/// error. `files` gets the model's config.json.
///
/// example_inputs: by Transformers' names, any values, on the model's device; flags (Bool of one
/// element) become part of the file; empty for the model's usual ones. Training-only parts
/// (dropout, drop path, statistics of batch norms) are in evaluation mode in the file, whatever is
/// trained on it. Throws UsageError for unknown arguments, outputs and methods, and what the model
/// throws for inputs that do not fit.
ExportedModel export_torchscript(PretrainedModelImpl& model,
                                 const NamedArguments& example_inputs = {},
                                 const ExportOptions& options = {});

/// The same for a module holder.
template <class Impl>
ExportedModel export_torchscript(const torch::nn::ModuleHolder<Impl>& model,
                                 const NamedArguments& example_inputs = {},
                                 const ExportOptions& options = {}) {
  return export_torchscript(*model, example_inputs, options);
}

/// Runs all its methods and the model's on other batch and image sizes, as far as they may vary,
/// and compares all outputs. Returns the largest difference. Throws CheckpointError if one is above
/// 1e-5 max(1, max|expected|) in float32 and float64, 64 eps of the dtype in others.
double check_export(const ExportedModel& exported,
                    PretrainedModelImpl& model,
                    const NamedArguments& example_inputs = {});

/// Writes the archive atomically, `files` and the description under `extra/`. Throws
/// CheckpointError; what was at `path` is then as it was.
void save_torchscript(const ExportedModel& exported, const std::filesystem::path& path);

/// Options of `load_torchscript`.
struct ScriptOptions {
  /// TorchScript is code: loading it runs what its author wrote. Has to be true.
  TORCH_ARG(bool, trust_code) = false;
  TORCH_ARG(torch::Device, device) = torch::kCPU;
};

/// Loads what save_torchscript wrote, in evaluation mode. Throws UsageError without trust_code, and
/// CheckpointError for a file that is damaged, was made otherwise, or needs ops that are not there.
ExportedModel load_torchscript(const std::filesystem::path& path,
                               const ScriptOptions& options = {});

/// Calls `forward`, or another of the description's methods, with arguments by name; outputs by
/// name. Throws UsageError for names that are not the file's, ShapeError for a tensor that does not
/// fit what it was made for, CheckpointError for a file that has not what its description says.
NamedTensors run_torchscript(const ExportedModel& exported,
                             const NamedArguments& arguments,
                             const std::string& method = "forward");

}  // namespace vizoo
