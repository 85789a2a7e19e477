#include "model_source.h"

#include <cstdlib>
#include <string>

#include "common.h"
#include "vizoo/core/error.h"
#include "vizoo/export/scripted_models.h"
#include "vizoo/hub/auto_model.h"
#include "vizoo/io/file.h"

namespace vizoo::app {
namespace {

std::filesystem::path make_temporary_folder() {
  auto pattern = (std::filesystem::temp_directory_path() / "vizoo-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) {
    throw CheckpointError("export", printable(pattern), "a folder that can be made", "none");
  }
  return pattern;
}

}  // namespace

void add_model_options(CLI::App& command, ModelOptions& options) {
  command
      .add_option("--model",
                  options.path,
                  "Folder that save_pretrained wrote, or file that vizoo export made")
      ->required()
      ->type_name("DIR|MODEL.pt");
  command.add_flag("--trust-code",
                   options.trust_code,
                   "Load a file: TorchScript is code, which runs on this machine");
}

ModelSource::ModelSource(const ModelOptions& options)
    : path_(options.path), folder_(options.path), exported_(is_exported_model(options.path)) {
  if (!exported_) return;
  read_export_description(path_);  // throws for other files, trusted or not
  if (!options.trust_code) {
    throw UsageError("usage",
                     printable(path_.string()),
                     "--trust-code",
                     "none",
                     "A TorchScript file is code that runs when it is loaded");
  }
  const auto files = read_export_files(path_);
  folder_ = make_temporary_folder();
  for (const auto& [name, content] : files) write_file_atomically(folder_ / name, content);
}

ModelSource::~ModelSource() {
  std::error_code error;
  if (exported_) std::filesystem::remove_all(folder_, error);
}

ExportedModel ModelSource::load_exported(const LoadOptions& options) const {
  auto exported =
      load_torchscript(path_, ScriptOptions().trust_code(true).device(options.device()));
  const auto refuse = [&](const std::string& expected, const std::string& got) {
    throw UsageError("usage", printable(path_.string()), expected, got, "It was exported so");
  };
  if (options.model_args() != "{}" || !options.overrides().empty()) {
    refuse("no --model-args and --set for an exported model", "some");
  }
  for (const auto& input : exported.description.inputs) {
    if (!c10::isFloatingType(input.dtype) || input.dtype == options.torch_dtype()) continue;
    refuse("--dtype as the file's, " + std::string(c10::toString(input.dtype)),
           c10::toString(options.torch_dtype().value_or(torch::kFloat32)));
  }
  return exported;
}

std::shared_ptr<PretrainedModelImpl> load_any_model(const ModelSource& source,
                                                    const std::string& class_name,
                                                    const LoadOptions& options) {
  if (source.is_exported()) {
    auto exported = source.load_exported(options);
    const auto& found = exported.description.class_name;
    if (!class_name.empty() && class_name != found) {
      throw UsageError("usage", "--class", printable(found) + ", the file's", quote(class_name));
    }
    return scripted_model(std::move(exported));
  }
  const auto config = load_config(source.folder(), options);
  const auto& entry = class_name.empty()
                          ? find_architecture(config, (source.folder() / "config.json").string())
                          : find_model(class_name);
  return load_pretrained(entry, source.folder(), options);
}

ImageClassifier load_image_classifier(const ModelSource& source, const LoadOptions& options) {
  if (source.is_exported()) return scripted_image_classifier(source.load_exported(options));
  return AutoModelForImageClassification::from_pretrained(source.folder(), options);
}

VisionModel load_vision_model(const ModelSource& source, const LoadOptions& options) {
  if (source.is_exported()) return scripted_vision_model(source.load_exported(options));
  return AutoModel::from_pretrained(source.folder(), options);
}

Backbone load_backbone(const ModelSource& source, const LoadOptions& options) {
  if (source.is_exported()) return scripted_backbone(source.load_exported(options));
  return AutoBackbone::from_pretrained(source.folder(), options);
}

}  // namespace vizoo::app
