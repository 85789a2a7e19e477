#include "vizoo/tasks/auto_processor.h"

#include <string_view>
#include <utility>

#include "vizoo/core/error.h"
#include "vizoo/io/json.h"
#include "vizoo/tasks/owlv2_processor.h"

namespace vizoo {
namespace {

struct ProcessorEntry {
  std::string_view type;
  std::string_view model_type;
  std::unique_ptr<Processor> (*make)(std::unique_ptr<ImageProcessor>, std::unique_ptr<Tokenizer>);
};

template <class Made>
ProcessorEntry processor_entry(std::string_view type, std::string_view model_type) {
  return {type,
          model_type,
          [](std::unique_ptr<ImageProcessor> image_processor,
             std::unique_ptr<Tokenizer> tokenizer) -> std::unique_ptr<Processor> {
            return std::make_unique<Made>(std::move(image_processor), std::move(tokenizer));
          }};
}

// The only place that names every processor.
const std::vector<ProcessorEntry>& processor_entries() {
  static const std::vector<ProcessorEntry> table = {
      processor_entry<Owlv2Processor>("Owlv2Processor", "owlv2")};
  return table;
}

// The value of a key, null if the file or the key is not there.
Json value_in(const std::filesystem::path& path, const char* key) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return nullptr;
  const Json json = read_json_file(path);
  return json.is_object() ? json.value(key, Json()) : Json();
}

const ProcessorEntry& entry_of(const std::filesystem::path& folder) {
  std::string known;
  for (const ProcessorEntry& candidate : processor_entries()) {
    known += (known.empty() ? "" : ", ") + std::string(candidate.type);
  }
  for (const char* file : {"processor_config.json",
                           "preprocessor_config.json",
                           "tokenizer_config.json",
                           "config.json"}) {
    const Json type = value_in(folder / file, "processor_class");
    if (type.is_null()) continue;
    for (const ProcessorEntry& candidate : processor_entries()) {
      if (type == candidate.type) return candidate;
    }
    throw ConfigError("processor",
                      printable((folder / file).string()) + ": /processor_class",
                      "one of " + known,
                      describe_json(type));
  }
  const auto config = folder / "config.json";
  const Json type = value_in(config, "model_type");
  for (const ProcessorEntry& candidate : processor_entries()) {
    if (type == candidate.model_type) return candidate;
  }
  throw ConfigError("processor",
                    printable(config.string()) + ": /model_type",
                    "that of a model with a processor: " + known,
                    describe_json(type));
}

}  // namespace

std::unique_ptr<Processor> AutoProcessor::from_pretrained(
    const std::filesystem::path& folder,
    const ImageProcessorOptions& image_options,
    const TokenizerLoadOptions& tokenizer_options) {
  const ProcessorEntry& chosen = entry_of(folder);
  return chosen.make(AutoImageProcessor::from_pretrained(folder, image_options),
                     AutoTokenizer::from_pretrained(folder, tokenizer_options));
}

std::vector<std::string> processor_types() {
  std::vector<std::string> names;
  for (const ProcessorEntry& candidate : processor_entries()) names.emplace_back(candidate.type);
  return names;
}

}  // namespace vizoo
