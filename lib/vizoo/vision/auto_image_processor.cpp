#include "vizoo/vision/auto_image_processor.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <string_view>

#include "vizoo/vision/bit_image_processor.h"
#include "vizoo/vision/convnext_image_processor.h"
#include "vizoo/vision/levit_image_processor.h"
#include "vizoo/vision/owlv2_image_processor.h"
#include "vizoo/vision/perceiver_image_processor.h"
#include "vizoo/vision/poolformer_image_processor.h"
#include "vizoo/vision/processor_json.h"
#include "vizoo/vision/vit_image_processor.h"

namespace vizoo {
namespace {

struct ImageProcessorEntry {
  std::string_view family;  // class name without its suffix
  std::vector<std::string_view> model_types;
  std::vector<std::string> (*attributes)();
  std::unique_ptr<ImageProcessor> (*load)(std::string_view text, const std::string& source);
};

template <class Processor, class Config>
ImageProcessorEntry image_processor_entry(std::string_view family,
                                          std::vector<std::string_view> model_types) {
  return {family,
          std::move(model_types),
          &detail::field_names<Config>,
          [](std::string_view text, const std::string& source) -> std::unique_ptr<ImageProcessor> {
            return Processor::from_json(text, source);
          }};
}

// The only place that names every image processor.
const std::vector<ImageProcessorEntry>& image_processor_entries() {
  static const std::vector<ImageProcessorEntry> table = {
      image_processor_entry<ConvNextImageProcessor, ConvNextImageProcessorConfig>("ConvNext",
                                                                                  {"convnext"}),
      image_processor_entry<ViTImageProcessor, ViTImageProcessorConfig>("ViT", {"nat", "dinat"}),
      image_processor_entry<PoolFormerImageProcessor, PoolFormerImageProcessorConfig>(
          "PoolFormer", {"poolformer"}),
      image_processor_entry<LevitImageProcessor, LevitImageProcessorConfig>("Levit", {"levit"}),
      image_processor_entry<BitImageProcessor, BitImageProcessorConfig>("Bit", {"dinov2"}),
      image_processor_entry<Owlv2ImageProcessor, Owlv2ImageProcessorConfig>("Owlv2", {"owlv2"}),
      image_processor_entry<PerceiverImageProcessor, PerceiverImageProcessorConfig>("Perceiver",
                                                                                    {"perceiver"}),
  };
  return table;
}

std::optional<std::string_view> family_of(std::string_view type) {
  for (const std::string_view suffix :
       {"ImageProcessorFast", "ImageProcessorPil", "ImageProcessor", "FeatureExtractor"}) {
    if (type.size() > suffix.size() && type.substr(type.size() - suffix.size()) == suffix) {
      return type.substr(0, type.size() - suffix.size());
    }
  }
  return std::nullopt;
}

const ImageProcessorEntry& entry_of_type(const std::string& type, const std::string& subject) {
  const auto family = family_of(type);
  for (const ImageProcessorEntry& candidate : image_processor_entries()) {
    if (family == candidate.family) return candidate;
  }
  throw ConfigError(
      "processor", subject, "one of " + detail::join_names(image_processor_types()), quote(type));
}

const ImageProcessorEntry& entry_of_model(const std::filesystem::path& config_path) {
  const std::string source = printable(config_path.string());
  const Json config = detail::as_processor_error([&] { return read_json_file(config_path); });
  const Json type = config.is_object() ? config.value("model_type", Json()) : Json();
  std::vector<std::string> known;
  for (const ImageProcessorEntry& candidate : image_processor_entries()) {
    for (const std::string_view model_type : candidate.model_types) {
      if (type == model_type) return candidate;
      known.emplace_back(model_type);
    }
  }
  throw ConfigError("processor",
                    source + ": /model_type",
                    "one of " + detail::join_names(known),
                    describe_json(type));
}

const ImageProcessorEntry& entry_of_file(const Json& json,
                                         const std::string& source,
                                         const std::filesystem::path& directory) {
  for (const char* key : {"image_processor_type", "feature_extractor_type"}) {
    const auto found = json.find(key);
    if (found == json.end() || found->is_null()) continue;
    const std::string subject = source + ": /" + key;
    if (!found->is_string()) {
      throw ConfigError("processor", subject, "a string", describe_json(*found));
    }
    return entry_of_type(found->get<std::string>(), subject);
  }
  return entry_of_model(directory / "config.json");
}

struct LoadedFile {
  Json json;
  std::string source;
  std::filesystem::path directory;
};

LoadedFile load_file(const std::filesystem::path& path) {
  std::error_code code;
  if (!std::filesystem::is_directory(path, code)) {
    return {read_json_file(path), printable(path.string()), path.parent_path()};
  }
  const auto file = path / "preprocessor_config.json";
  const auto nested = path / "processor_config.json";
  if (!std::filesystem::exists(file, code) && std::filesystem::exists(nested, code)) {
    Json json = read_json_file(nested);
    if (json.is_object() && json.contains("image_processor")) {
      return {json["image_processor"], printable(nested.string()) + ": /image_processor", path};
    }
  }
  return {read_json_file(file), printable(file.string()), path};
}

void apply_overrides(Json& json,
                     const std::map<std::string, std::string>& overrides,
                     const ImageProcessorEntry& entry,
                     const std::string& source) {
  const std::vector<std::string> names = entry.attributes();
  for (const auto& [key, text] : overrides) {
    if (std::find(names.begin(), names.end(), key) == names.end()) {
      throw ConfigError("processor",
                        source,
                        "an attribute to set, one of " + detail::join_names(names),
                        quote(key));
    }
    json[key] = parse_json(text, "override of /" + key);
  }
}

}  // namespace

std::unique_ptr<ImageProcessor> AutoImageProcessor::from_pretrained(
    const std::filesystem::path& path, const ImageProcessorOptions& options) {
  return detail::as_processor_error([&] {
    LoadedFile file = load_file(path);
    if (!file.json.is_object()) {
      throw ConfigError("processor", file.source, "a JSON object", describe_json(file.json));
    }
    const ImageProcessorEntry& entry = entry_of_file(file.json, file.source, file.directory);
    apply_overrides(file.json, options.overrides(), entry, file.source);
    auto processor = entry.load(file.json.dump(), file.source);
    processor->backend = options.backend();
    processor->pass_order = options.pass_order();
    return processor;
  });
}

std::vector<std::string> image_processor_types() {
  std::vector<std::string> names;
  for (const ImageProcessorEntry& candidate : image_processor_entries()) {
    names.push_back(std::string(candidate.family) + "ImageProcessor");
  }
  return names;
}

}  // namespace vizoo
