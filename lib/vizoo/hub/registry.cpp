#include "vizoo/hub/registry.h"

#include <algorithm>

#include "vizoo/core/error.h"
#include "vizoo/hub/perceiver_components.h"
#include "vizoo/models/convnext.h"
#include "vizoo/models/dinat.h"
#include "vizoo/models/dinov2.h"
#include "vizoo/models/levit.h"
#include "vizoo/models/nat.h"
#include "vizoo/models/owlv2/owlv2_detection.h"
#include "vizoo/models/perceiver/perceiver_autoencoding.h"
#include "vizoo/models/perceiver/perceiver_image_classification.h"
#include "vizoo/models/perceiver/perceiver_language.h"
#include "vizoo/models/perceiver/perceiver_optical_flow.h"
#include "vizoo/models/poolformer.h"

namespace vizoo {
namespace {

std::string names(const std::function<bool(const ModelEntry&)>& wanted) {
  std::string text;
  for (const auto& entry : registry()) {
    if (!wanted(entry)) continue;
    text += (text.empty() ? "" : ", ") + entry.class_name;
  }
  return text.empty() ? "none" : text;
}

std::vector<std::string> architectures(const Json& config) {
  std::vector<std::string> list;
  const auto found = config.find("architectures");
  if (found == config.end() || !found->is_array()) return list;
  for (const auto& name : *found) {
    if (name.is_string()) list.push_back(name.get<std::string>());
  }
  return list;
}

std::string model_type(const Json& config, const std::string& source) {
  const auto found = config.find("model_type");
  if (found == config.end() || !found->is_string()) {
    throw ConfigError("config",
                      printable(source) + ": /model_type",
                      "a string such as \"convnext\"",
                      found == config.end() ? "nothing" : describe_json(*found));
  }
  return found->get<std::string>();
}

}  // namespace

namespace detail {

void check_model_arguments(const std::string& class_name,
                           const Json& arguments,
                           const std::vector<std::string>& names) {
  const std::string subject = "constructor arguments of " + class_name;
  if (!arguments.is_object()) {
    throw UsageError("usage", subject, "a JSON object", describe_json(arguments));
  }
  for (const auto& [key, value] : arguments.get_ref<const Json::object_t&>()) {
    if (std::find(names.begin(), names.end(), key) != names.end()) continue;
    std::string known;
    for (const auto& name : names) known += (known.empty() ? "" : ", ") + name;
    throw UsageError("usage", subject, known.empty() ? "none" : known, quote(key));
  }
}

void read_model_arguments(const std::function<void()>& body) {
  try {
    body();
  } catch (const ConfigError& error) {
    const std::string where = "[config]";
    throw UsageError("[usage]" + std::string(error.what()).substr(where.size()));
  }
}

Json nested_config(const Json& config, const char* composite_type, const char* key) {
  const auto type = config.find("model_type");
  if (type == config.end() || *type != composite_type) return config;
  const auto found = config.find(key);
  return found == config.end() || found->is_null() ? Json::object() : *found;
}

void remove_equal(Json& object, const Json& defaults) {
  for (const auto& [key, value] : defaults.items()) {
    if (const auto found = object.find(key); found != object.end() && *found == value) {
      object.erase(found);
    }
  }
}

}  // namespace detail

const std::vector<ModelEntry>& registry() {
  static const std::vector<ModelEntry> table = {
      model_entry<ConvNextModelImpl>(Task::base_model),
      model_entry<ConvNextForImageClassificationImpl>(Task::image_classification),
      model_entry<ConvNextBackboneImpl>(Task::backbone),
      model_entry<NatModelImpl>(Task::base_model),
      model_entry<NatForImageClassificationImpl>(Task::image_classification),
      model_entry<NatBackboneImpl>(Task::backbone),
      model_entry<DinatModelImpl>(Task::base_model),
      model_entry<DinatForImageClassificationImpl>(Task::image_classification),
      model_entry<DinatBackboneImpl>(Task::backbone),
      model_entry<PoolFormerModelImpl>(Task::base_model),
      model_entry<PoolFormerForImageClassificationImpl>(Task::image_classification),
      model_entry<LevitModelImpl>(Task::base_model),
      model_entry<LevitForImageClassificationImpl>(Task::image_classification),
      model_entry<LevitForImageClassificationWithTeacherImpl>(Task::image_classification),
      model_entry<Dinov2ModelImpl>(Task::base_model),
      model_entry<Dinov2ForImageClassificationImpl>(Task::image_classification),
      model_entry<Dinov2BackboneImpl>(Task::backbone),
      model_entry<Owlv2TextModelImpl>(Task::text_encoder),
      model_entry<Owlv2VisionModelImpl>(Task::vision_encoder),
      model_entry<Owlv2ModelImpl>(Task::text_image_model),
      model_entry<Owlv2ForObjectDetectionImpl>(Task::zero_shot_object_detection),
      perceiver_model_entry(),
      model_entry<PerceiverForMaskedLMImpl>(Task::masked_language_modeling),
      model_entry<PerceiverForSequenceClassificationImpl>(Task::text_classification),
      model_entry<PerceiverForImageClassificationLearnedImpl>(Task::image_classification),
      model_entry<PerceiverForImageClassificationFourierImpl>(Task::image_classification),
      model_entry<PerceiverForImageClassificationConvProcessingImpl>(Task::image_classification),
      model_entry<PerceiverForOpticalFlowImpl>(Task::optical_flow),
      model_entry<PerceiverForMultimodalAutoencodingImpl>(Task::multimodal_autoencoding),
  };
  return table;
}

const ModelEntry& find_model(const std::string& class_name) {
  for (const auto& entry : registry()) {
    if (entry.class_name == class_name) return entry;
  }
  throw UsageError("registry",
                   "class",
                   "one of " + names([](const ModelEntry&) { return true; }),
                   quote(class_name));
}

const ModelEntry& find_model(const Json& config, Task task, const std::string& source) {
  const auto type = model_type(config, source);
  const auto fits = [&](const ModelEntry& entry) {
    return entry.model_type == type && entry.task == task;
  };
  for (const auto& name : architectures(config)) {
    for (const auto& entry : registry()) {
      if (fits(entry) && entry.class_name == name) return entry;
    }
  }
  const auto found = std::find_if(registry().begin(), registry().end(), fits);
  if (found != registry().end()) return *found;
  throw UsageError("registry",
                   printable(source) + ": /model_type",
                   std::string("a model for ") + enum_name(task),
                   quote(type),
                   "Classes for it: " + names([&](const ModelEntry& e) { return e.task == task; }));
}

const ModelEntry& find_architecture(const Json& config, const std::string& source) {
  const auto listed = architectures(config);
  for (const auto& entry : registry()) {
    if (!listed.empty() && entry.class_name == listed.front()) return entry;
  }
  throw ConfigError("config",
                    printable(source) + ": /architectures",
                    "one of " + names([](const ModelEntry&) { return true; }),
                    listed.empty() ? "nothing" : quote(listed.front()),
                    "Name the class to build to override the file");
}

}  // namespace vizoo
