#include "vizoo/export/scripted_models.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "vizoo/core/error.h"
#include "vizoo/hub/registry.h"
#include "vizoo/io/config_json.h"

namespace vizoo {
namespace {

PretrainedConfig read_config(const ExportedModel& exported) {
  const auto found = exported.files.find("config.json");
  if (found == exported.files.end()) return {};
  return config_from_json<PretrainedConfig>(parse_json(found->second, "config.json"),
                                            "config.json");
}

// The outputs called `name`, or `name.0`, `name.1`, ...
std::vector<torch::Tensor> field(const NamedTensors& outputs, const std::string& name) {
  std::vector<torch::Tensor> found;
  for (const auto& [output, tensor] : outputs) {
    if (output == name || output.rfind(name + ".", 0) == 0) found.push_back(tensor);
  }
  return found;
}

// The outputs as the struct that the model's class returns.
template <class Output>
Output output_of(const NamedTensors& outputs) {
  Output output;
  Output::fields(output, [&](const char* key, auto& value) {
    auto found = field(outputs, key);
    if constexpr (std::is_same_v<std::decay_t<decltype(value)>, torch::Tensor>) {
      if (!found.empty()) value = std::move(found.front());
    } else {
      value = std::move(found);
    }
  });
  return output;
}

// What all of them share. The file's first input is what images are given as, whatever its name.
template <class Interface>
class ScriptedModel : public Interface {
 public:
  explicit ScriptedModel(ExportedModel model)
      : exported(std::move(model)), config(read_config(exported)) {}

  std::string class_name() const override { return exported.description.class_name; }
  std::string base_model_prefix() const override { return exported.description.model_type; }
  PretrainedConfig& base_config() override { return config; }
  double initializer_range() const override { return 0.0; }
  std::vector<std::string> argument_names() const override {
    std::vector<std::string> names;
    for (const auto& input : exported.description.inputs) names.push_back(input.name);
    for (const auto& [name, value] : exported.description.flags) names.push_back(name);
    return names;
  }
  NamedTensors forward_named(const NamedArguments& arguments,
                             const ForwardOptions& options) override {
    return call_named("forward", arguments, options);
  }
  std::vector<std::string> method_names() const override {
    return exported.description.method_names();
  }
  NamedTensors call_named(const std::string& method,
                          const NamedArguments& arguments,
                          const ForwardOptions& options) override {
    check(options, exported.description.signature(method).outputs);
    return run_torchscript(exported, arguments, method);
  }

 protected:
  NamedTensors run(const torch::Tensor& pixel_values, const ForwardOptions& options) {
    check(options, exported.description.outputs);
    const auto& name = exported.description.inputs.front().name;
    return run_torchscript(exported, {{name, pixel_values}});
  }

  ExportedModel exported;
  PretrainedConfig config;

 private:
  void check(const ForwardOptions& options, const std::vector<std::string>& outputs) const {
    const auto refuse = [&](const char* what) {
      throw UsageError("export",
                       class_name(),
                       "the outputs that the file gives",
                       what,
                       "Name them with --outputs when it is made");
    };
    const auto has = [&](const std::string& name) {
      return std::any_of(outputs.begin(), outputs.end(), [&](const std::string& output) {
        return output.find(name + ".") != std::string::npos;
      });
    };
    if (options.output_hidden_states().value_or(false) && !has("hidden_states")) {
      refuse("hidden_states");
    }
    if (options.output_attentions().value_or(false) && !has("attentions")) refuse("attentions");
    ForwardOptions::tensors(options, [&](const char* name, const torch::Tensor& tensor) {
      if (tensor.defined()) refuse(name);
    });
  }
};

using ScriptedAny = ScriptedModel<PretrainedModelImpl>;

class ScriptedClassifier : public ScriptedModel<ImageClassifierImpl> {
 public:
  using ScriptedModel::ScriptedModel;
  std::vector<std::string> argument_names() const override {
    return ScriptedModel::argument_names();
  }
  ImageClassifierOutput forward(const torch::Tensor& pixel_values,
                                const ForwardOptions& options) override {
    return output_of<ImageClassifierOutput>(run(pixel_values, options));
  }
};

class ScriptedVisionModel : public ScriptedModel<VisionModelImpl> {
 public:
  using ScriptedModel::ScriptedModel;
  BaseModelOutputWithPooling forward(const torch::Tensor& pixel_values,
                                     const ForwardOptions& options) override {
    return output_of<BaseModelOutputWithPooling>(run(pixel_values, options));
  }
  torch::Tensor feature_map(const BaseModelOutputWithPooling& output,
                            const torch::Tensor& /*pixel_values*/) const override {
    if (output.last_hidden_state.dim() == 4) return output.last_hidden_state;
    throw UsageError("export",
                     class_name(),
                     "a model whose last_hidden_state is a map [B, C, H, W]",
                     describe_tensor(output.last_hidden_state),
                     "Use its backbone, or the checkpoint's folder");
  }
};

class ScriptedBackbone : public ScriptedModel<BackboneImpl> {
 public:
  using ScriptedModel::ScriptedModel;
  BackboneOutput forward(const torch::Tensor& pixel_values,
                         const ForwardOptions& options) override {
    return output_of<BackboneOutput>(run(pixel_values, options));
  }
  std::vector<int64_t> channels() const override {
    throw UsageError("export", class_name(), "a model from a folder", "an exported file");
  }
};

// Throws unless the file gives `output` and takes pictures only.
void check_kind(const ExportedModel& exported, const char* task, const char* output) {
  const auto& description = exported.description;
  const bool pictures =
      description.inputs.size() == 1 && description.inputs.front().shape.size() == 4;
  const bool gives =
      std::any_of(description.outputs.begin(), description.outputs.end(), [&](const auto& name) {
        return name == output || name.rfind(std::string(output) + ".", 0) == 0;
      });
  if (pictures && gives) return;
  throw CheckpointError("export",
                        "exported model",
                        std::string(task) + " with the output " + output,
                        printable(description.class_name));
}

}  // namespace

std::shared_ptr<PretrainedModelImpl> scripted_model(ExportedModel exported) {
  return std::make_shared<ScriptedAny>(std::move(exported));
}

ImageClassifier scripted_image_classifier(ExportedModel exported) {
  check_kind(exported, "a classifier of images", "logits");
  return std::make_shared<ScriptedClassifier>(std::move(exported));
}

VisionModel scripted_vision_model(ExportedModel exported) {
  check_kind(exported, "a model of images", "last_hidden_state");
  return std::make_shared<ScriptedVisionModel>(std::move(exported));
}

Backbone scripted_backbone(ExportedModel exported) {
  check_kind(exported, "a backbone", "feature_maps");
  return std::make_shared<ScriptedBackbone>(std::move(exported));
}

}  // namespace vizoo
