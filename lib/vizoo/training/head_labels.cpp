#include "vizoo/training/head_labels.h"

#include <algorithm>
#include <set>

#include "vizoo/core/error.h"
#include "vizoo/hub/checkpoint.h"
#include "vizoo/io/config_json.h"
#include "vizoo/training/parameter_groups.h"

namespace vizoo {
namespace {

// A linear layer that gives the logits: in the head, a row for each label.
bool is_label_layer(const PretrainedModelImpl& model,
                    const std::string& name,
                    const torch::Tensor& parameter) {
  // Perceiver's decoder has layers of attention too, whose width may be the number of labels.
  return is_head(model, name) && name.find("attention") == std::string::npos &&
         parameter.size(0) == model.base_config().num_labels() && parameter.dim() == 2;
}

// Labels may be as many as before: then the shapes fit, but what the head knows is of no use.
void initialize_label_layers(PretrainedModelImpl& model) {
  const auto modules = model.named_modules();
  for (const auto& parameter : model.named_parameters()) {
    const auto& name = parameter.key();
    if (!is_label_layer(model, name, parameter.value())) continue;
    model.initialize_module(*modules[name.substr(0, name.rfind('.'))]);
  }
}

void check_mismatched(const PretrainedModelImpl& model, const LoadReport& report) {
  for (const auto& mismatch : report.mismatched) {
    if (is_head(model, mismatch.name)) continue;
    throw CheckpointError("checkpoint",
                          mismatch.name,
                          describe_shape(mismatch.model) + ", as config.json asks for",
                          describe_shape(mismatch.checkpoint),
                          "Only the head is replaced for new labels");
  }
}

}  // namespace

HeadLabels choose_head_labels(const std::filesystem::path& folder,
                              const std::vector<std::string>& classes,
                              const LoadOptions& options) {
  const auto config = config_from_json<PretrainedConfig>(load_config(folder, options),
                                                         (folder / "config.json").string());
  HeadLabels labels;
  labels.label2id = config.label2id;
  labels.are_new = std::any_of(classes.begin(), classes.end(), [&](const std::string& name) {
    return config.label2id.count(name) == 0;
  });
  if (!labels.are_new) return labels;
  labels.label2id.clear();
  for (const auto& name : classes) {
    labels.label2id.emplace(name, static_cast<int64_t>(labels.label2id.size()));
  }
  return labels;
}

LoadOptions with_head_labels(const LoadOptions& options, const HeadLabels& labels) {
  if (!labels.are_new) return options;
  Json id2label = Json::object();
  Json label2id = Json::object();
  for (const auto& [name, id] : labels.label2id) {
    id2label[std::to_string(id)] = name;
    label2id[name] = id;
  }
  auto overrides = options.overrides();
  overrides.emplace_back("id2label", id2label.dump());
  overrides.emplace_back("label2id", label2id.dump());
  return LoadOptions(options).overrides(overrides).ignore_mismatched_sizes(true);
}

std::shared_ptr<PretrainedModelImpl> load_with_labels(const ModelEntry& entry,
                                                      const std::filesystem::path& folder,
                                                      const HeadLabels& labels,
                                                      const LoadOptions& options) {
  if (!labels.are_new) return load_pretrained(entry, folder, options);
  LoadReport report;
  auto model = load_pretrained(entry, folder, with_head_labels(options, labels).report(&report));
  check_mismatched(*model, report);
  initialize_label_layers(*model);
  report.mismatched.clear();
  if (options.report() != nullptr) *options.report() = report;
  return model;
}

ImageClassifier load_classifier_with_labels(const std::filesystem::path& folder,
                                            const HeadLabels& labels,
                                            const LoadOptions& options) {
  const auto& entry = find_model(
      load_config(folder, options), Task::image_classification, (folder / "config.json").string());
  return ImageClassifier(std::dynamic_pointer_cast<ImageClassifierImpl>(
      load_with_labels(entry, folder, labels, options)));
}

}  // namespace vizoo
