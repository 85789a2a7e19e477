#pragma once

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "vizoo/io/config_json.h"
#include "vizoo/io/json.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {

/// What a model class is for; decides which AutoModel class offers it.
enum class Task {
  base_model,  ///< from pixels to features
  image_classification,
  backbone,
  text_encoder,    ///< one tower of a model of texts and images; no AutoModel class offers it
  vision_encoder,  ///< the other one
  text_image_model,
  zero_shot_object_detection,
  latent_model,  ///< from inputs of any kind to latents; no AutoModel class offers it
  masked_language_modeling,
  text_classification,
  optical_flow,
  multimodal_autoencoding,
};

template <>
struct EnumNames<Task> {
  static constexpr std::pair<Task, const char*> table[] = {
      {Task::base_model, "base-model"},
      {Task::image_classification, "image-classification"},
      {Task::backbone, "backbone"},
      {Task::text_encoder, "text-encoder"},
      {Task::vision_encoder, "vision-encoder"},
      {Task::text_image_model, "text-image-model"},
      {Task::zero_shot_object_detection, "zero-shot-object-detection"},
      {Task::latent_model, "latent-model"},
      {Task::masked_language_modeling, "fill-mask"},
      {Task::text_classification, "text-classification"},
      {Task::optical_flow, "optical-flow"},
      {Task::multimodal_autoencoding, "multimodal-autoencoding"},
  };
};

/// One row of the registry: how to build a model class from its config, and back.
struct ModelEntry {
  std::string class_name;  ///< as in config.json's `architectures`
  std::string model_type;  ///< as in config.json
  Task task;

  /// What of a config.json is this class's config: the nested one if it is that of a composite
  /// model of which this class is one part, else all of it.
  std::function<Json(const Json& config)> own_config;

  /// Builds the model from its config, own or composite, and its constructor arguments (an object,
  /// {} for the defaults); `source` names the config in messages. Throws ConfigError; UsageError
  /// for arguments that the class does not take.
  std::function<std::shared_ptr<PretrainedModelImpl>(
      const Json& config, const std::string& source, const Json& arguments)>
      make_with_arguments;

  /// As make_with_arguments, with the default arguments.
  std::shared_ptr<PretrainedModelImpl> make(const Json& config, const std::string& source) const {
    return make_with_arguments(config, source, Json::object());
  }

  /// All fields of the model's config, and the unknown keys it was loaded with. Of a nested config
  /// those that differ from its defaults and its `model_type`.
  std::function<Json(const PretrainedModelImpl&)> config_json;

  /// Names of members whose keys are integers, which Python sorts by value.
  std::vector<std::string> integer_keyed;
};

namespace detail {

/// Throws UsageError unless `arguments` is an object that has only the keys `names`.
void check_model_arguments(const std::string& class_name,
                           const Json& arguments,
                           const std::vector<std::string>& names);

/// Runs `body`, which reads them; its ConfigErrors become UsageErrors.
void read_model_arguments(const std::function<void()>& body);

template <class Impl>
std::shared_ptr<Impl> make_model(typename Impl::Config config, const Json& json) {
  if constexpr (takes_arguments<Impl>::value) {
    typename Impl::Arguments arguments;
    std::vector<std::string> names;
    Impl::Arguments::fields(arguments, [&](const char* key, auto&) { names.emplace_back(key); });
    check_model_arguments(Impl::kClassName, json, names);
    read_model_arguments(
        [&] { arguments = config_from_json<typename Impl::Arguments>(json, "model_args"); });
    return std::make_shared<Impl>(std::move(config), arguments);
  } else {
    check_model_arguments(Impl::kClassName, json, {});
    return std::make_shared<Impl>(std::move(config));
  }
}

/// Whether configs of this type are also found nested in those of a composite model.
template <class Config, class = void>
struct is_nested_config : std::false_type {};
template <class Config>
struct is_nested_config<Config, std::void_t<decltype(Config::kCompositeType)>> : std::true_type {};

/// `config[key]` if the config's `model_type` is `composite_type`, {} where it is missing or null.
Json nested_config(const Json& config, const char* composite_type, const char* key);

template <class Config>
Json own_config(const Json& config) {
  if constexpr (is_nested_config<Config>::value) {
    return nested_config(config, Config::kCompositeType, Config::kCompositeKey);
  } else {
    return config;
  }
}

/// Removes the members that `defaults` has with the same value.
void remove_equal(Json& object, const Json& defaults);

template <class Config>
Json saved_config(const Config& config) {
  auto json = config_to_json(config);
  Config::fields(config, [&](const char* key, const auto& field) {
    using Field = std::decay_t<decltype(field)>;
    if constexpr (std::is_base_of_v<PretrainedConfig, Field>) {
      remove_equal(json[key], config_to_json(Field{}));
      json[key]["model_type"] = Field::kModelType;
    }
  });
  return json;
}

}  // namespace detail

/// The row of a model class.
template <class Impl>
ModelEntry model_entry(Task task) {
  using Config = typename Impl::Config;
  return {Impl::kClassName,
          Config::kModelType,
          task,
          detail::own_config<Config>,
          [](const Json& json, const std::string& source, const Json& arguments) {
            auto config = config_from_json<Config>(detail::own_config<Config>(json), source);
            return detail::make_model<Impl>(std::move(config), arguments);
          },
          [](const PretrainedModelImpl& model) {
            return detail::saved_config(dynamic_cast<const Impl&>(model).config);
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
