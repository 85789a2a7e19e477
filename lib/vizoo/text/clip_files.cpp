#include "vizoo/text/clip_files.h"

#include <algorithm>

#include "vizoo/core/error.h"
#include "vizoo/io/file.h"
#include "vizoo/io/utf8.h"
#include "vizoo/text/python_text.h"
#include "vizoo/text/slow_special_tokens.h"

namespace vizoo {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{64} << 20U;
constexpr std::size_t kMaxMerges = 49152 - 256 - 2;
constexpr std::string_view kStartOfText = "<|startoftext|>";
constexpr std::string_view kEndOfText = "<|endoftext|>";

// The end of the line that begins at `position`, by any of \n, \r and \r\n.
std::size_t line_end(std::string_view text, std::size_t position) {
  return std::min(text.find_first_of("\r\n", position), text.size());
}

std::size_t next_line(std::string_view text, std::size_t end) {
  return text.substr(end, 2) == "\r\n" ? end + 2 : end + 1;
}

SpecialToken with_flags(const SpecialToken& token) {
  SpecialToken result = token;
  result.is_text = false;
  return result;
}

// A tokenizer.json that differs from CLIP's may mean other ids.
void require(bool as_expected,
             const char* path,
             std::string_view expected,
             const Json& file,
             const char* hint = "Only tokenizer.json files of CLIP tokenizers can be read") {
  if (as_expected) return;
  const auto pointer = Json::json_pointer(path);
  throw_tokenizer_error(std::string("tokenizer.json: ") + path,
                        expected,
                        file.contains(pointer) ? describe_json(file.at(pointer)) : "nothing",
                        hint);
}

const Json& value_at(const Json& file, const char* path) {
  static const Json kNothing;
  const auto pointer = Json::json_pointer(path);
  return file.contains(pointer) ? file.at(pointer) : kNothing;
}

bool is_null_or(const Json& value, const Json& other) { return value.is_null() || value == other; }

void check_pipeline(const Json& file, FastClipParts& parts) {
  static const Json kNormalizer = {
      {"type", "Sequence"},
      {"normalizers",
       {{{"type", "NFC"}},
        {{"type", "Replace"}, {"pattern", {{"Regex", "\\s+"}}}, {"content", " "}},
        {{"type", "Lowercase"}}}}};
  static const std::string kPlain = R"('s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)";
  static const std::string kSpecial = R"(<\|startoftext\|>|<\|endoftext\|>|)" + kPlain;

  require(value_at(file, "/normalizer") == kNormalizer,
          "/normalizer",
          "NFC, white space to one space, lower case",
          file);
  const auto& split = value_at(file, "/pre_tokenizer/pretokenizers/0");
  const auto& pattern = value_at(file, "/pre_tokenizer/pretokenizers/0/pattern/Regex");
  require(value_at(split, "/type") == "Split" && value_at(split, "/behavior") == "Removed" &&
              value_at(split, "/invert") == true && (pattern == kPlain || pattern == kSpecial),
          "/pre_tokenizer/pretokenizers/0",
          "a split by CLIP's pattern",
          file);
  const auto& bytes = value_at(file, "/pre_tokenizer/pretokenizers/1");
  require(value_at(bytes, "/type") == "ByteLevel" &&
              value_at(bytes, "/add_prefix_space") == false &&
              is_null_or(value_at(bytes, "/use_regex"), true) &&
              value_at(file, "/pre_tokenizer/pretokenizers/2").is_null(),
          "/pre_tokenizer/pretokenizers",
          "a byte-level split without prefix spaces, and no more",
          file);
  require(value_at(file, "/decoder/type") == "ByteLevel", "/decoder", "a byte-level decoder", file);
  parts.pattern = pattern == kSpecial ? ClipWordPattern::special_tokens : ClipWordPattern::plain;
}

int64_t post_processor_id(const Json& file, const char* path) {
  const auto& value = value_at(file, path);
  require(value.is_array() && value.size() == 2 && value[0].is_string() &&
              value[1].is_number_unsigned() && value[1].get<uint64_t>() <= 0xffffffff,
          path,
          "a token and its id",
          file);
  return value[1].get<int64_t>();
}

void read_post_processor(const Json& file, FastClipParts& parts) {
  require(value_at(file, "/post_processor/type") == "RobertaProcessing",
          "/post_processor",
          "RobertaProcessing",
          file);
  parts.bos_id = post_processor_id(file, "/post_processor/cls");
  parts.eos_id = post_processor_id(file, "/post_processor/sep");
  parts.trim_offsets = value_at(file, "/post_processor/trim_offsets") == true;
}

std::vector<VocabularyEntry> vocabulary_entries(const Json& object, const std::string& where) {
  std::vector<VocabularyEntry> entries;
  entries.reserve(object.size());
  for (const auto& [token, id] : object.items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > 0xffffffff) {
      throw_tokenizer_error(
          where + json_path_step(token), "an id from 0 to 4294967295", describe_json(id));
    }
    entries.push_back({token, id.get<int64_t>()});
  }
  return entries;
}

MergePairs merges_of(const Json& array) {
  MergePairs merges;
  merges.reserve(array.size());
  for (std::size_t i = 0; i < array.size(); ++i) {
    const auto refuse = [&] {
      throw_tokenizer_error("tokenizer.json: /model/merges/" + std::to_string(i),
                            "two symbols",
                            describe_json(array[i]));
    };
    if (array[i].is_string()) {
      const auto& line = array[i].get_ref<const std::string&>();
      const auto space = line.find(' ');
      if (space == line.npos || line.find(' ', space + 1) != line.npos) refuse();
      merges.emplace_back(line.substr(0, space), line.substr(space + 1));
    } else if (array[i].is_array() && array[i].size() == 2 && array[i][0].is_string() &&
               array[i][1].is_string()) {
      merges.emplace_back(array[i][0].get<std::string>(), array[i][1].get<std::string>());
    } else {
      refuse();
    }
  }
  return merges;
}

void read_model(const Json& file, FastClipParts& parts) {
  const auto& model = value_at(file, "/model");
  require(is_null_or(value_at(model, "/type"), "BPE"), "/model/type", "BPE", file);
  require(value_at(model, "/end_of_word_suffix") == std::string(kEndOfWord),
          "/model/end_of_word_suffix",
          "</w>",
          file);
  require(is_null_or(value_at(model, "/continuing_subword_prefix"), ""),
          "/model/continuing_subword_prefix",
          "none",
          file);
  require(value_at(model, "/dropout").is_null(), "/model/dropout", "null", file);
  for (const char* key : {"/fuse_unk", "/byte_fallback", "/ignore_merges"}) {
    const std::string path = std::string("/model") + key;
    require(is_null_or(value_at(model, key), false), path.c_str(), "false", file);
  }
  const auto& unk = value_at(model, "/unk_token");
  require(unk.is_null() || unk.is_string(), "/model/unk_token", "a token or null", file);
  if (unk.is_string()) parts.unk_token = unk.get<std::string>();
  const auto& vocabulary = value_at(model, "/vocab");
  require(vocabulary.is_object(), "/model/vocab", "an object", file, "");
  parts.vocabulary = Vocabulary(vocabulary_entries(vocabulary, "tokenizer.json: /model/vocab"),
                                "tokenizer.json: /model/vocab");
  const auto& merges = value_at(model, "/merges");
  require(merges.is_array(), "/model/merges", "an array", file, "");
  parts.merges = merges_of(merges);
  parts.merges_source = "tokenizer.json: /model/merges/";
}

std::vector<AddedToken> added_tokens_of(const Json& file) {
  std::vector<AddedToken> tokens;
  std::size_t bytes = 0;
  const auto& list = value_at(file, "/added_tokens");
  require(is_null_or(list, list.is_array() ? list : Json()), "/added_tokens", "an array", file, "");
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto& token = list[i];
    bool complete = token.is_object() && value_at(token, "/content").is_string();
    for (const char* key : {"/single_word", "/lstrip", "/rstrip", "/normalized", "/special"}) {
      complete = complete && value_at(token, key).is_boolean();
    }
    const std::string path = "/added_tokens/" + std::to_string(i);
    require(complete, path.c_str(), "an added token with all of its flags", file, "");
    auto content = token["content"].get<std::string>();
    bytes += content.size();
    require(content.size() <= kMaxAddedTokenBytes && bytes <= kMaxAddedTokensBytes,
            path.c_str(),
            "shorter tokens, or fewer",
            file,
            "");
    tokens.push_back({std::move(content),
                      token["single_word"].get<bool>(),
                      token["lstrip"].get<bool>(),
                      token["rstrip"].get<bool>(),
                      token["normalized"].get<bool>(),
                      token["special"].get<bool>()});
  }
  return tokens;
}

// Without tokenizer.json Transformers makes the fast tokenizer of a slow one.
void convert_slow_parts(const TokenizerFiles& files, FastClipParts& parts) {
  parts.vocabulary = read_clip_vocabulary(files.folder);
  parts.merges = read_clip_merges(files.folder);
  parts.merges_source = "merges.txt: line ";
  parts.special = slow_clip_special_tokens(files);
  for (auto& token : parts.special) {
    // They have been copied once on their way, which decides about `normalized`.
    if (token && !token->is_text) token->spec.normalized = token->spec.resolved().normalized;
  }
  const auto added = slow_added_tokens(files.added_tokens,
                                       slow_clip_special_tokens(files),
                                       files.additional_special_tokens,
                                       parts.vocabulary);
  const auto text_of = [&](SpecialTokenName name) {
    const auto& token = parts.special[static_cast<std::size_t>(name)];
    return token ? std::make_optional(token->spec.token.content) : std::nullopt;
  };
  parts.unk_token = text_of(SpecialTokenName::unk);
  const auto id_of = [&](SpecialTokenName name) {
    const auto text = text_of(name);
    auto id = text ? added.id_of(*text) : std::nullopt;
    if (!id) throw_tokenizer_error("tokenizer_config.json", "a bos_token and an eos_token", "none");
    return *id;
  };
  parts.bos_id = id_of(SpecialTokenName::bos);
  parts.eos_id = id_of(SpecialTokenName::eos);
}

}  // namespace

Vocabulary read_clip_vocabulary(const std::filesystem::path& folder) {
  const auto json = read_json_file(folder / "vocab.json", kMaxFileBytes, FileKind::tokenizer);
  if (!json.is_object()) {
    throw_tokenizer_error("vocab.json", "an object of tokens and ids", describe_json(json));
  }
  return Vocabulary(vocabulary_entries(json, "vocab.json: "), "vocab.json");
}

MergePairs read_clip_merges(const std::filesystem::path& folder) {
  const auto bytes = read_file(folder / "merges.txt", kMaxFileBytes, FileKind::tokenizer);
  const std::size_t invalid = find_invalid_utf8(bytes);
  if (invalid != bytes.size()) {
    throw_tokenizer_error(
        "merges.txt",
        "valid UTF-8",
        quote(std::string_view(bytes).substr(invalid, 1)) + " at byte " + std::to_string(invalid));
  }
  const std::string_view text = python_strip(bytes);
  MergePairs merges;
  std::size_t position = next_line(text, line_end(text, 0));  // the first line names the version
  while (position < text.size() && merges.size() < kMaxMerges) {
    const std::size_t end = line_end(text, position);
    const auto line = text.substr(position, end - position);
    const auto symbols = python_split(line);
    if (symbols.size() != 2) {
      throw_tokenizer_error(
          "merges.txt: line " + std::to_string(merges.size() + 2), "two symbols", quote(line));
    }
    merges.emplace_back(symbols[0], symbols[1]);
    position = next_line(text, end);
  }
  return merges;
}

SpecialTokens clip_special_tokens(const TokenizerFiles& files) {
  SpecialTokens special;
  for (std::size_t i = 0; i < special.size(); ++i) {
    special[i] = files.special[i].value_or(std::nullopt);
  }
  const auto set = [&](SpecialTokenName name, std::string_view fallback) {
    special[static_cast<std::size_t>(name)] = files.special_or(name, fallback);
  };
  set(SpecialTokenName::bos, kStartOfText);
  set(SpecialTokenName::eos, kEndOfText);
  set(SpecialTokenName::unk, kEndOfText);
  set(SpecialTokenName::pad, kEndOfText);
  return special;
}

SpecialTokens slow_clip_special_tokens(const TokenizerFiles& files) {
  auto special = clip_special_tokens(files);
  for (const auto name : {SpecialTokenName::bos, SpecialTokenName::eos, SpecialTokenName::unk}) {
    auto& token = special[static_cast<std::size_t>(name)];
    if (token) token = with_flags(*token);
  }
  return special;
}

FastClipParts read_fast_clip_parts(const TokenizerFiles& files) {
  FastClipParts parts;
  if (!files.tokenizer_json) {
    convert_slow_parts(files, parts);
    return parts;
  }
  const Json& file = *files.tokenizer_json;
  require(is_null_or(value_at(file, "/version"), "1.0"), "/version", "1.0", file);
  check_pipeline(file, parts);
  read_post_processor(file, parts);
  read_model(file, parts);
  parts.added_tokens = added_tokens_of(file);
  parts.special = clip_special_tokens(files);
  return parts;
}

}  // namespace vizoo
