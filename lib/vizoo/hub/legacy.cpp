#include "vizoo/hub/legacy.h"

#include <initializer_list>
#include <string_view>

#include "vizoo/core/config.h"
#include "vizoo/core/error.h"

namespace vizoo {
namespace {

// Transformers' constructors take null for these as "not given".
void drop_nulls(Json& config, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    const auto found = config.find(key);
    if (found != config.end() && found->is_null()) config.erase(found);
  }
}

void set_num_labels(Json& config, const Json& count, const std::string& source) {
  if (!count.is_number_integer()) {
    throw ConfigError(
        "config", printable(source) + ": /num_labels", "an integer", describe_json(count));
  }
  PretrainedConfig labels;
  labels.set_num_labels(count.get<int64_t>());
  auto id2label = Json::object();
  for (const auto& [id, label] : labels.id2label) id2label[std::to_string(id)] = label;
  config["id2label"] = std::move(id2label);
  config["label2id"] = labels.label2id;
}

// Second names of attributes (`attribute_map` upstream). A file's constructor arguments win over
// them, so they mean something as overrides only.
struct Alias {
  std::string_view model_type;
  std::string_view alias;
  const char* name;
};
constexpr Alias kAliases[] = {
    {"nat", "num_attention_heads", "num_heads"},
    {"nat", "num_hidden_layers", "num_layers"},
    {"dinat", "num_attention_heads", "num_heads"},
    {"dinat", "num_hidden_layers", "num_layers"},
};

bool has_type(const Json& config, std::string_view model_type) {
  const auto found = config.find("model_type");
  return found != config.end() && *found == model_type;
}

}  // namespace

namespace {

// The configs that a composite config may hold; null means its defaults.
void upgrade_nested_configs(Json& config, const std::string& source) {
  for (const char* key : {"text_config", "vision_config"}) {
    drop_nulls(config, {key});
    const auto found = config.find(key);
    if (found != config.end()) upgrade_config(*found, source + ": /" + key);
  }
}

}  // namespace

void upgrade_config(Json& config, const std::string& source) {
  if (!config.is_object()) {
    throw ConfigError("config", printable(source), "a JSON object", describe_json(config));
  }
  drop_nulls(config,
             {"id2label",
              "label2id",
              "num_labels",
              "output_hidden_states",
              "output_attentions",
              "return_dict",
              "hidden_sizes",
              "depths"});
  if (const auto found = config.find("num_labels"); found != config.end()) {
    // Never stored by Transformers itself; the label map wins over it.
    const Json count = *found;
    config.erase(found);
    if (config.find("id2label") == config.end()) set_num_labels(config, count, source);
  }
  if (const auto found = config.find("dtype"); found != config.end()) {
    if (config.find("torch_dtype") == config.end()) config["torch_dtype"] = *found;
    config.erase("dtype");
  }
  for (const auto& entry : kAliases) {
    if (has_type(config, entry.model_type)) config.erase(std::string(entry.alias));
  }
  if (has_type(config, "owlv2")) upgrade_nested_configs(config, source);
}

void override_config(Json& config, const std::string& key, Json value) {
  if (key == "num_labels") {
    const auto found = config.find("id2label");
    const std::size_t current = found == config.end() ? 2 : found->size();
    if (value.is_number_integer() && value == Json(current)) return;
    set_num_labels(config, value, "override");
    return;
  }
  for (const auto& entry : kAliases) {
    if (entry.alias != key || !has_type(config, entry.model_type)) continue;
    config[entry.name] = std::move(value);
    return;
  }
  if (key == "out_features") config.erase("out_indices");
  if (key == "out_indices") config.erase("out_features");
  config[key] = std::move(value);
}

}  // namespace vizoo
