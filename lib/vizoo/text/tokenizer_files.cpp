#include "vizoo/text/tokenizer_files.h"

#include <cmath>
#include <set>

#include "vizoo/core/error.h"
#include "vizoo/io/file.h"

namespace vizoo {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{64} << 20U;
constexpr std::array<const char*, kSpecialTokenNames> kAttributes = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

// A JSON value and where it is, for messages.
struct Place {
  const Json& value;
  std::string where;

  Place operator[](const std::string& key) const {
    return {value.at(key), where + json_path_step(key)};
  }
  [[noreturn]] void refuse(std::string_view expected) const {
    throw_tokenizer_error(where, expected, describe_json(value));
  }
};

std::optional<Json> read_object(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  auto json = read_json_file(path, kMaxFileBytes, FileKind::tokenizer);
  if (!json.is_object()) Place{json, path.filename().string() + ": /"}.refuse("an object");
  return json;
}

std::string text_of(const Place& place) {
  if (!place.value.is_string()) place.refuse("a string");
  const auto text = place.value.get<std::string>();
  if (text.size() > kMaxAddedTokenBytes) {
    throw_tokenizer_error(place.where,
                          "a token of at most " + std::to_string(kMaxAddedTokenBytes) + " bytes",
                          std::to_string(text.size()) + " bytes");
  }
  return text;
}

bool flag(const Place& object, const char* key, bool fallback) {
  const auto found = object.value.find(key);
  if (found == object.value.end()) return fallback;
  if (!found->is_boolean()) object[key].refuse("true or false");
  return found->get<bool>();
}

AddedTokenSpec added_token(const Place& place) {
  if (!place.value.is_object() || !place.value.contains("content")) {
    place.refuse("an added token: an object with a \"content\"");
  }
  AddedTokenSpec spec;
  spec.token.content = text_of(place["content"]);
  spec.token.single_word = flag(place, "single_word", false);
  spec.token.lstrip = flag(place, "lstrip", false);
  spec.token.rstrip = flag(place, "rstrip", false);
  spec.token.special = flag(place, "special", false);
  if (place.value.contains("normalized")) spec.normalized = flag(place, "normalized", true);
  return spec;
}

// `is_special`: as in special_tokens_map.json, whose tokens are special without saying so.
SpecialToken special_token(const Place& place, bool is_special) {
  SpecialToken result;
  if (place.value.is_string()) {
    result.spec.token.content = text_of(place);
    result.is_text = true;
    return result;
  }
  result.spec = added_token(place);
  if (is_special) result.spec.token.special = true;
  return result;
}

int64_t token_id(const Place& place) {
  constexpr int64_t kMaxId = 0xffffffff;
  if (!place.value.is_number_integer()) place.refuse("a token id");
  const bool fits = place.value.is_number_unsigned() ? place.value.get<uint64_t>() <= kMaxId
                                                     : place.value.get<int64_t>() >= 0;
  if (!fits) place.refuse("a token id from 0 to 4294967295");
  return place.value.get<int64_t>();
}

// The keys of `added_tokens_decoder` are ids.
int64_t token_id(const std::string& key, const Place& place) {
  const bool digits =
      !key.empty() && key.size() <= 10 && key.find_first_not_of("0123456789") == key.npos;
  const int64_t id = digits ? std::stoll(key) : -1;
  if (id < 0 || id > 0xffffffff) {
    throw_tokenizer_error(place.where, "a token id as key", quote(key));
  }
  return id;
}

class Reader {
 public:
  explicit Reader(const std::filesystem::path& folder) { files_.folder = folder; }

  TokenizerFiles read() {
    if (!std::filesystem::is_directory(files_.folder)) {
      throw_tokenizer_error(printable(files_.folder.string()), "a folder", "none");
    }
    files_.tokenizer_json = read_object(files_.folder / "tokenizer.json");
    config_ = read_object(files_.folder / "tokenizer_config.json").value_or(Json::object());
    read_special_tokens(Place{config_, "tokenizer_config.json: "}, false);
    if (config_.contains("added_tokens_decoder")) {
      read_added_tokens_decoder(Place{config_, "tokenizer_config.json: "}["added_tokens_decoder"]);
    } else {
      read_legacy_files();
    }
    for (auto& attribute : files_.special) {
      if (!attribute || !*attribute) continue;
      const auto known = by_content_.find((*attribute)->spec.token.content);
      if (known != by_content_.end()) *attribute = SpecialToken{known->second, false};
    }
    read_settings();
    return std::move(files_);
  }

 private:
  void count(const SpecialToken& token, const Place& place) {
    token_bytes_ += token.spec.token.content.size();
    if (token_bytes_ > kMaxAddedTokensBytes) {
      throw_tokenizer_error(
          place.where,
          "added and special tokens of at most " + std::to_string(kMaxAddedTokensBytes) + " bytes",
          "more");
    }
  }

  void read_special_tokens(const Place& object, bool is_special) {
    for (std::size_t i = 0; i < kAttributes.size(); ++i) {
      if (!object.value.contains(kAttributes[i])) continue;
      const auto place = object[kAttributes[i]];
      files_.special[i] = place.value.is_null()
                              ? std::optional<SpecialToken>()
                              : std::optional<SpecialToken>(special_token(place, is_special));
    }
    if (!object.value.contains("additional_special_tokens")) return;
    const auto list = object["additional_special_tokens"];
    if (list.value.is_null()) return;
    if (!list.value.is_array()) list.refuse("an array of tokens");
    for (std::size_t i = 0; i < list.value.size(); ++i) {
      const Place place{list.value[i], list.where + "/" + std::to_string(i)};
      const auto token = special_token(place, is_special);
      if (!additional_.emplace(token.is_text, token.spec.resolved()).second) continue;
      count(token, place);
      files_.additional_special_tokens.push_back(token);
    }
  }

  void add(int64_t id, const AddedTokenSpec& spec, const Place& place) {
    count({spec, false}, place);
    files_.added_tokens[id] = spec;
    by_content_[spec.token.content] = spec;
  }

  void read_added_tokens_decoder(const Place& object) {
    if (!object.value.is_object()) object.refuse("an object");
    std::map<int64_t, std::string> keys;
    for (const auto& [key, value] : object.value.items()) keys[token_id(key, object)] = key;
    for (const auto& [id, key] : keys) add(id, added_token(object[key]), object);
  }

  // How folders looked before `added_tokens_decoder`.
  void read_legacy_files() {
    if (const auto map = read_object(files_.folder / "special_tokens_map.json")) {
      read_special_tokens(Place{*map, "special_tokens_map.json: "}, true);
    }
    if (const auto ids = read_object(files_.folder / "added_tokens.json")) {
      const Place object{*ids, "added_tokens.json: "};
      const auto special = special_contents();
      for (const auto& [key, value] : ids->items()) {
        const Json content = key;
        AddedTokenSpec spec;
        spec.token.content = text_of(Place{content, object.where + json_path_step(key)});
        spec.token.special = special.count(key) != 0;
        spec.normalized = !spec.token.special;
        count({spec, false}, object);
        files_.added_tokens[token_id(object[key])] = spec;
      }
    }
    if (!files_.tokenizer_json || !files_.tokenizer_json->contains("added_tokens")) return;
    const auto list = Place{*files_.tokenizer_json, "tokenizer.json: "}["added_tokens"];
    if (!list.value.is_array()) list.refuse("an array of added tokens");
    for (std::size_t i = 0; i < list.value.size(); ++i) {
      const Place place{list.value[i], list.where + "/" + std::to_string(i)};
      const auto spec = added_token(place);
      if (!place.value.contains("id")) place.refuse("an added token with an \"id\"");
      add(token_id(place["id"]), spec, place);
    }
  }

  std::set<std::string> special_contents() const {
    std::set<std::string> contents;
    for (const auto& attribute : files_.special) {
      if (attribute && *attribute) contents.insert((*attribute)->spec.token.content);
    }
    for (const auto& token : files_.additional_special_tokens) {
      contents.insert(token.spec.token.content);
    }
    return contents;
  }

  void read_settings() {
    const Place object{config_, "tokenizer_config.json: "};
    auto& settings = files_.settings;
    settings.model_max_length = model_max_length(object);
    files_.names_model_max_length = config_.contains("model_max_length");
    settings.padding_side = side(object, "padding_side", "padding");
    settings.truncation_side = side(object, "truncation_side", "truncation");
    settings.clean_up_tokenization_spaces = flag(object, "clean_up_tokenization_spaces", true);
    files_.split_special_tokens = flag(object, "split_special_tokens", false);
    if (config_.contains("errors")) {
      const auto place = object["errors"];
      const auto text = place.value.is_string() ? place.value.get<std::string>() : std::string();
      if (text != "replace" && text != "ignore" && text != "strict") {
        place.refuse("one of replace|ignore|strict");
      }
      files_.errors = text;
    }
    if (!config_.contains("model_input_names")) return;
    const auto names = object["model_input_names"];
    if (!names.value.is_array()) names.refuse("an array of names");
    settings.model_input_names.clear();
    for (const auto& name : names.value) {
      if (!name.is_string()) names.refuse("an array of names");
      settings.model_input_names.push_back(name.get<std::string>());
    }
  }

  // 1e30, which Transformers writes for `no limit`, and everything that large is none.
  static std::optional<int64_t> model_max_length(const Place& object) {
    const char* key = object.value.contains("model_max_length") ? "model_max_length" : "max_len";
    if (!object.value.contains(key) || object.value[key].is_null()) return std::nullopt;
    const auto place = object[key];
    if (!place.value.is_number()) place.refuse("a length");
    const double length = place.value.get<double>();
    if (length > 1e18) return std::nullopt;
    if (length < 0 || length != std::floor(length)) place.refuse("a length");
    return static_cast<int64_t>(length);
  }

  // tokenizer.json may know what tokenizer_config.json does not say.
  Side side(const Place& object, const char* key, const char* fast_key) const {
    const auto& fast = files_.tokenizer_json;
    if (object.value.contains(key)) return side_of(object[key]);
    if (!fast || !fast->contains(fast_key) || !(*fast)[fast_key].is_object()) return Side::right;
    const auto settings = Place{*fast, "tokenizer.json: "}[fast_key];
    if (!settings.value.contains("direction")) return Side::right;
    return side_of(settings["direction"]);
  }

  static Side side_of(const Place& place) {
    if (place.value == "right" || place.value == "Right") return Side::right;
    if (place.value == "left" || place.value == "Left") return Side::left;
    place.refuse("right or left");
  }

  TokenizerFiles files_;
  Json config_;
  std::map<std::string, AddedTokenSpec> by_content_;
  std::set<std::pair<bool, AddedToken>> additional_;
  std::size_t token_bytes_ = 0;
};

}  // namespace

AddedToken AddedTokenSpec::resolved() const {
  AddedToken result = token;
  result.normalized = normalized.value_or(!token.special);
  return result;
}

std::optional<SpecialToken> TokenizerFiles::special_or(SpecialTokenName name,
                                                       std::string_view fallback) const {
  const auto& attribute = special[static_cast<std::size_t>(name)];
  if (attribute) return *attribute;
  SpecialToken token;
  token.spec.token.content = fallback;
  token.is_text = true;
  return token;
}

TokenizerFiles read_tokenizer_files(const std::filesystem::path& folder) {
  return Reader(folder).read();
}

TokenizerSettings settings_with(const TokenizerFiles& files, const SpecialTokens& special) {
  auto settings = files.settings;
  const auto text_of = [&](SpecialTokenName name) {
    const auto& token = special[static_cast<std::size_t>(name)];
    return token ? std::make_optional(token->spec.token.content) : std::nullopt;
  };
  settings.bos_token = text_of(SpecialTokenName::bos);
  settings.eos_token = text_of(SpecialTokenName::eos);
  settings.unk_token = text_of(SpecialTokenName::unk);
  settings.sep_token = text_of(SpecialTokenName::sep);
  settings.pad_token = text_of(SpecialTokenName::pad);
  settings.cls_token = text_of(SpecialTokenName::cls);
  settings.mask_token = text_of(SpecialTokenName::mask);
  for (const auto& token : files.additional_special_tokens) {
    settings.additional_special_tokens.push_back(token.spec.token.content);
  }
  return settings;
}

std::vector<SpecialToken> unique_special_tokens(const SpecialTokens& special,
                                                const std::vector<SpecialToken>& additional) {
  std::vector<SpecialToken> tokens;
  std::set<std::string> seen;
  const auto add = [&](const SpecialToken& token) {
    if (token.is_text && token.spec.token.content.empty()) return;
    if (seen.insert(token.spec.token.content).second) tokens.push_back(token);
  };
  for (const auto& token : special) {
    if (token) add(*token);
  }
  for (const auto& token : additional) add(token);
  return tokens;
}

void throw_tokenizer_error(const std::string& subject,
                           std::string_view expected,
                           std::string_view got,
                           std::string_view hint) {
  throw TokenizerError("tokenizer", subject, expected, got, hint);
}

}  // namespace vizoo
