#include "vizoo/text/auto_tokenizer.h"

#include <optional>

#include "vizoo/core/error.h"
#include "vizoo/io/json.h"
#include "vizoo/text/clip_tokenizer.h"
#include "vizoo/text/perceiver_tokenizer.h"
#include "vizoo/text/tokenizer_files.h"

namespace vizoo {
namespace {

constexpr std::size_t kMaxConfigBytes = std::size_t{64} << 20U;

struct Entry {
  const char* type;                      // class name without the suffix Fast
  std::vector<const char*> model_types;  // of config.json
  std::unique_ptr<Tokenizer> (*load)(const std::filesystem::path& folder, bool use_fast);
};

const std::vector<Entry>& table() {
  static const std::vector<Entry> entries = {
      {"CLIPTokenizer",
       {"owlv2", "owlvit", "clip"},
       [](const std::filesystem::path& folder, bool use_fast) -> std::unique_ptr<Tokenizer> {
         if (use_fast) return CLIPTokenizerFast::from_pretrained(folder);
         return CLIPTokenizer::from_pretrained(folder);
       }},
      {"PerceiverTokenizer",
       {"perceiver"},
       [](const std::filesystem::path& folder, bool) -> std::unique_ptr<Tokenizer> {
         return PerceiverTokenizer::from_pretrained(folder);
       }}};
  return entries;
}

// The text `key` of a JSON file, if there is one.
std::optional<std::string> text_in(const std::filesystem::path& path, const char* key) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  const auto json = read_json_file(path, kMaxConfigBytes, FileKind::tokenizer);
  if (!json.is_object() || !json.contains(key) || json[key].is_null()) return std::nullopt;
  if (!json[key].is_string()) {
    throw_tokenizer_error(
        path.filename().string() + ": /" + key, "a string", describe_json(json[key]));
  }
  return json[key].get<std::string>();
}

std::string joined_types() {
  std::string all;
  for (const auto& type : tokenizer_types()) all += (all.empty() ? "" : "|") + type;
  return all;
}

}  // namespace

std::unique_ptr<Tokenizer> AutoTokenizer::from_pretrained(const std::filesystem::path& folder,
                                                          const TokenizerLoadOptions& options) {
  if (!std::filesystem::is_directory(folder)) {
    throw_tokenizer_error(printable(folder.string()), "a folder", "none");
  }
  auto type = text_in(folder / "tokenizer_config.json", "tokenizer_class");
  if (!type) type = text_in(folder / "config.json", "tokenizer_class");
  if (type) {
    constexpr std::string_view kFast = "Fast";
    std::string_view name = *type;
    if (name.size() > kFast.size() && name.substr(name.size() - kFast.size()) == kFast) {
      name.remove_suffix(kFast.size());
    }
    for (const auto& entry : table()) {
      if (name == entry.type) return entry.load(folder, options.use_fast);
    }
    throw_tokenizer_error(
        printable(folder.string()) + ": tokenizer_class", "one of " + joined_types(), quote(*type));
  }
  const auto model_type = text_in(folder / "config.json", "model_type");
  for (const auto& entry : table()) {
    for (const auto* known : entry.model_types) {
      if (model_type == known) return entry.load(folder, options.use_fast);
    }
  }
  throw_tokenizer_error(printable(folder.string()),
                        "a tokenizer_class in tokenizer_config.json or a model_type with a "
                        "tokenizer in config.json",
                        model_type ? quote(*model_type) : "neither");
}

std::vector<std::string> tokenizer_types() {
  std::vector<std::string> types;
  for (const auto& entry : table()) types.emplace_back(entry.type);
  return types;
}

}  // namespace vizoo
