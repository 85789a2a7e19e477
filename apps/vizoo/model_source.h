#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <string>

#include "vizoo/export/torchscript.h"
#include "vizoo/hub/from_pretrained.h"

namespace vizoo::app {

/// `--model DIR|MODEL.pt` and `--trust-code`.
struct ModelOptions {
  std::filesystem::path path;
  bool trust_code = false;
};
void add_model_options(CLI::App& command, ModelOptions& options);

/// What `--model` names: a checkpoint's folder, or a file that `vizoo export` made.
class ModelSource {
 public:
  /// Throws UsageError for a file without trust, CheckpointError for one that is no exported model.
  explicit ModelSource(const ModelOptions& options);
  ~ModelSource();
  ModelSource(const ModelSource&) = delete;
  ModelSource& operator=(const ModelSource&) = delete;

  /// Where config.json, and the files of processor and tokenizer are: for an exported model copies
  /// that last as long as this.
  const std::filesystem::path& folder() const { return folder_; }
  bool is_exported() const { return exported_; }

  /// The exported model. Throws UsageError unless the load options ask for its dtype and nothing
  /// that only a checkpoint can do.
  ExportedModel load_exported(const LoadOptions& options) const;

 private:
  std::filesystem::path path_;
  std::filesystem::path folder_;
  bool exported_;
};

/// The model of config.json's class, or of `class_name` unless that is empty.
std::shared_ptr<PretrainedModelImpl> load_any_model(const ModelSource& source,
                                                    const std::string& class_name,
                                                    const LoadOptions& options);

/// The model in its task's class, from either source.
ImageClassifier load_image_classifier(const ModelSource& source, const LoadOptions& options);
VisionModel load_vision_model(const ModelSource& source, const LoadOptions& options);
Backbone load_backbone(const ModelSource& source, const LoadOptions& options);

}  // namespace vizoo::app
