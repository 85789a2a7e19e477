#include "vizoo/hub/perceiver_components.h"

#include <algorithm>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "vizoo/core/error.h"
#include "vizoo/models/perceiver/perceiver_image_preprocessor.h"
#include "vizoo/models/perceiver/perceiver_multimodal.h"

namespace vizoo {
namespace {

template <class Options>
std::vector<std::string> field_names() {
  std::vector<std::string> names;
  const Options options;
  Options::fields(options, [&](const char* key, const auto&) { names.emplace_back(key); });
  return names;
}

// The options of a component from its `args`; `more` are members that somebody else reads.
template <class Options>
Options read_options(const std::string& class_name,
                     const Json& args,
                     const std::vector<std::string>& more = {}) {
  auto names = field_names<Options>();
  names.insert(names.end(), more.begin(), more.end());
  detail::check_model_arguments(class_name, args, names);
  const auto check_nested = [&](const char* key, const std::vector<std::string>& known) {
    const auto found = args.find(key);
    if (found == args.end() || !found->is_object()) return;
    if (std::find(names.begin(), names.end(), key) == names.end()) return;
    detail::check_model_arguments(class_name + ": " + key, *found, known);
  };
  check_nested("trainable_position_encoding_kwargs", field_names<PerceiverTrainableOptions>());
  check_nested("fourier_position_encoding_kwargs", field_names<PerceiverFourierOptions>());
  Options options;
  detail::read_model_arguments(
      [&] { options = config_from_json<Options>(args, "model_args: " + class_name); });
  return options;
}

struct NoOptions {
  template <class Self, class Visitor>
  static void fields(Self& /*self*/, Visitor&& /*visit*/) {}
};

template <class Component>
using ComponentMaker = std::function<Component(const PerceiverConfig&, const Json& args)>;
template <class Component>
using Makers = std::map<std::string, ComponentMaker<Component>>;

// A component from {"class": ..., "args": ...}; null for null.
template <class Component>
Component make_component(const Makers<Component>& makers,
                         const std::string& role,
                         const PerceiverConfig& config,
                         const Json& json) {
  if (json.is_null()) return nullptr;
  detail::check_model_arguments(role, json, {"class", "args"});
  const auto found = json.find("class");
  const auto maker = found != json.end() && found->is_string()
                         ? makers.find(found->get<std::string>())
                         : makers.end();
  if (maker == makers.end()) {
    std::string known;
    for (const auto& [name, make] : makers) known += (known.empty() ? "" : ", ") + name;
    throw UsageError("usage",
                     role + ": class",
                     "one of " + known,
                     found == json.end() ? "nothing" : describe_json(*found));
  }
  const auto args = json.find("args");
  return maker->second(config, args == json.end() ? Json::object() : *args);
}

// The components by modality among the `args` of a multimodal one.
template <class Component>
std::map<std::string, Component> make_modalities(const Makers<Component>& makers,
                                                 const std::string& class_name,
                                                 const PerceiverConfig& config,
                                                 const Json& args) {
  const auto found = args.find("modalities");
  if (found == args.end() || !found->is_object()) {
    throw UsageError("usage",
                     class_name + ": modalities",
                     "an object of components",
                     found == args.end() ? "nothing" : describe_json(*found));
  }
  std::map<std::string, Component> components;
  for (const auto& [name, json] : found->get_ref<const Json::object_t&>()) {
    components[name] = make_component(makers, "modality " + quote(name), config, json);
  }
  return components;
}

// A component whose constructor takes config and options.
template <class Component, class Impl, class Options>
std::pair<const std::string, ComponentMaker<Component>> row(const char* class_name) {
  return {class_name, [class_name](const PerceiverConfig& config, const Json& args) -> Component {
            return std::make_shared<Impl>(config, read_options<Options>(class_name, args));
          }};
}

// One whose constructor takes the config alone.
template <class Component, class Impl>
std::pair<const std::string, ComponentMaker<Component>> plain_row(const char* class_name) {
  return {class_name, [class_name](const PerceiverConfig& config, const Json& args) -> Component {
            read_options<NoOptions>(class_name, args);
            return std::make_shared<Impl>(config);
          }};
}

const Makers<PerceiverPreprocessor>& preprocessors() {
  using Component = PerceiverPreprocessor;
  static const Makers<Component> single = {
      plain_row<Component, PerceiverTextPreprocessorImpl>("PerceiverTextPreprocessor"),
      plain_row<Component, PerceiverOneHotPreprocessorImpl>("PerceiverOneHotPreprocessor"),
      row<Component, PerceiverImagePreprocessorImpl, PerceiverImagePreprocessorOptions>(
          "PerceiverImagePreprocessor"),
      row<Component, PerceiverAudioPreprocessorImpl, PerceiverAudioPreprocessorOptions>(
          "PerceiverAudioPreprocessor"),
  };
  static const Makers<Component> all = [] {
    constexpr const char* kName = "PerceiverMultimodalPreprocessor";
    auto makers = single;
    makers[kName] = [](const PerceiverConfig& config, const Json& args) -> Component {
      const auto options =
          read_options<PerceiverMultimodalPreprocessorOptions>(kName, args, {"modalities"});
      return std::make_shared<PerceiverMultimodalPreprocessorImpl>(
          make_modalities(single, kName, config, args), options);
    };
    return makers;
  }();
  return all;
}

const Makers<PerceiverDecoder>& decoders() {
  using Component = PerceiverDecoder;
  static const Makers<Component> single = {
      plain_row<Component, PerceiverProjectionDecoderImpl>("PerceiverProjectionDecoder"),
      row<Component, PerceiverBasicDecoderImpl, PerceiverBasicDecoderOptions>(
          "PerceiverBasicDecoder"),
      row<Component, PerceiverClassificationDecoderImpl, PerceiverDecoderOptions>(
          "PerceiverClassificationDecoder"),
      row<Component, PerceiverOpticalFlowDecoderImpl, PerceiverOpticalFlowDecoderOptions>(
          "PerceiverOpticalFlowDecoder"),
      row<Component, PerceiverBasicVideoAutoencodingDecoderImpl, PerceiverVideoDecoderOptions>(
          "PerceiverBasicVideoAutoencodingDecoder"),
  };
  static const Makers<Component> all = [] {
    constexpr const char* kName = "PerceiverMultimodalDecoder";
    auto makers = single;
    makers[kName] = [](const PerceiverConfig& config, const Json& args) -> Component {
      const auto options =
          read_options<PerceiverMultimodalDecoderOptions>(kName, args, {"modalities"});
      return std::make_shared<PerceiverMultimodalDecoderImpl>(
          config, make_modalities(single, kName, config, args), options);
    };
    return makers;
  }();
  return all;
}

const Makers<PerceiverPostprocessor>& postprocessors() {
  using Component = PerceiverPostprocessor;
  static const Makers<Component> single = {
      row<Component, PerceiverAudioPostprocessorImpl, PerceiverAudioPostprocessorOptions>(
          "PerceiverAudioPostprocessor"),
      row<Component,
          PerceiverClassificationPostprocessorImpl,
          PerceiverClassificationPostprocessorOptions>("PerceiverClassificationPostprocessor"),
      {"PerceiverProjectionPostprocessor",
       [](const PerceiverConfig& /*config*/, const Json& args) -> Component {
         return std::make_shared<PerceiverProjectionPostprocessorImpl>(
             read_options<PerceiverProjectionPostprocessorOptions>(
                 "PerceiverProjectionPostprocessor", args));
       }},
  };
  static const Makers<Component> all = [] {
    constexpr const char* kName = "PerceiverMultimodalPostprocessor";
    auto makers = single;
    makers[kName] = [](const PerceiverConfig& config, const Json& args) -> Component {
      const auto options =
          read_options<PerceiverMultimodalPostprocessorOptions>(kName, args, {"modalities"});
      return std::make_shared<PerceiverMultimodalPostprocessorImpl>(
          make_modalities(single, kName, config, args), options);
    };
    return makers;
  }();
  return all;
}

}  // namespace

std::shared_ptr<PerceiverModelImpl> make_perceiver_model(PerceiverConfig config,
                                                         const Json& arguments) {
  detail::check_model_arguments(
      "PerceiverModel", arguments, {"input_preprocessor", "decoder", "output_postprocessor"});
  config.resolve();
  const auto component = [&](const auto& makers, const char* role) {
    const auto found = arguments.find(role);
    return make_component(makers, role, config, found == arguments.end() ? Json() : *found);
  };
  const auto preprocessor = component(preprocessors(), "input_preprocessor");
  const auto decoder = component(decoders(), "decoder");
  const auto postprocessor = component(postprocessors(), "output_postprocessor");
  return std::make_shared<PerceiverModelImpl>(config, preprocessor, decoder, postprocessor);
}

ModelEntry perceiver_model_entry() {
  auto entry = model_entry<PerceiverModelImpl>(Task::latent_model);
  entry.make_with_arguments =
      [](const Json& json, const std::string& source, const Json& arguments) {
        return make_perceiver_model(config_from_json<PerceiverConfig>(json, source), arguments);
      };
  return entry;
}

}  // namespace vizoo
