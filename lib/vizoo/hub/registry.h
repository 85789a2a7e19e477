#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "vizoo/io/config_json.h"
#include "vizoo/io/json.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {

/// What a model class is for; decides which AutoModel class offers it.
enum class Task { base_model, image_classification, backbone };

template <>
struct EnumNames<Task> {
  static constexpr std::pair<Task, const char*> table[] = {
      {Task::base_model, "base-model"},
      {Task::image_classification, "image-classification"},
      {Task::backbone, "backbone"},
  };
};

/// One row of the registry: how to build a model class from its config, and back.
struct ModelEntry {
  std::string class_name;  ///< as in config.json's `architectures`
  std::string model_type;  ///< as in config.json
  Task task;

  /// Builds the model; `source` names the config in messages. Throws ConfigError.
  std::function<std::shared_ptr<PretrainedModelImpl>(const Json& config, const std::string& source)>
      make;

  /// All fields of the model's config, and the unknown keys it was loaded with.
  std::function<Json(const PretrainedModelImpl&)> config_json;

  /// Names of members whose keys are integers, which Python sorts by value.
  std::vector<std::string> integer_keyed;
};

/// The row of a model class.
template <class Impl>
ModelEntry model_entry(Task task) {
  using Config = typename Impl::Config;
  return {Impl::kClassName,
          Config::kModelType,
          task,
          [](const Json& json, const std::string& source) {
            return std::make_shared<Impl>(config_from_json<Config>(json, source));
          },
          [](const PretrainedModelImpl& model) {
            return config_to_json(dynamic_cast<const Impl&>(model).config);
          },
          integer_keyed_fields<Config>()};
}

/// Every model class, in the order of README's table. The only list of models there is.
const std::vector<ModelEntry>& registry();

/// The row of a class name. Throws UsageError, naming the classes there are.
const ModelEntry& find_model(const std::string& class_name);

/// The row that `AutoModel...` of this task picks for a config.json (1.7 of Transformers' auto
/// mapping: by `model_type`, and by the first of `architectures` where a type has several).
/// Throws UsageError if there is none.
const ModelEntry& find_model(const Json& config, Task task, const std::string& source);

/// The row that config.json's `architectures` names. Throws ConfigError if it names none of ours.
const ModelEntry& find_architecture(const Json& config, const std::string& source);

}  // namespace vizoo
