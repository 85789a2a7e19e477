#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vizoo/io/json.h"
#include "vizoo/text/added_token.h"
#include "vizoo/text/tokenizer.h"

namespace vizoo {

/// An added token as files describe it; upstream decides late about `normalized` if they do not.
struct AddedTokenSpec {
  AddedToken token;                ///< `normalized` is not to be looked at
  std::optional<bool> normalized;  ///< not set: the opposite of `special`

  /// With `normalized` decided.
  AddedToken resolved() const;
};

/// Value of an attribute such as `bos_token`.
struct SpecialToken {
  AddedTokenSpec spec;
  bool is_text = false;  ///< a plain string, without flags
};

/// Attributes in the order in which Transformers goes through them.
enum class SpecialTokenName { bos, eos, unk, sep, pad, cls, mask };
constexpr std::size_t kSpecialTokenNames = 7;

/// The special tokens of a tokenizer by SpecialTokenName; none: there is no such token.
using SpecialTokens = std::array<std::optional<SpecialToken>, kSpecialTokenNames>;

/// What the files of a model folder say about any tokenizer. Source: Transformers 4.37.2,
/// tokenization_utils_base.py (_from_pretrained).
struct TokenizerFiles {
  std::filesystem::path folder;
  TokenizerSettings settings;           ///< without the special tokens
  bool names_model_max_length = false;  ///< `model_max_length` is there, if only to say `none`
  std::map<int64_t, AddedTokenSpec> added_tokens;  ///< `added_tokens_decoder`
  /// Attributes that the files name; null stands for `the file says that there is none`.
  std::array<std::optional<std::optional<SpecialToken>>, kSpecialTokenNames> special;
  std::vector<SpecialToken> additional_special_tokens;
  std::optional<Json> tokenizer_json;
  std::string errors = "replace";  ///< how bytes that are not UTF-8 are decoded
  bool split_special_tokens = false;

  /// The attribute, or `fallback` as plain text if the files do not name it.
  std::optional<SpecialToken> special_or(SpecialTokenName name, std::string_view fallback) const;
};

/// Reads tokenizer_config.json, special_tokens_map.json, added_tokens.json and tokenizer.json, as
/// far as they are there. File names that tokenizer_config.json may hold are not followed. Throws
/// TokenizerError.
TokenizerFiles read_tokenizer_files(const std::filesystem::path& folder);

/// `files.settings` with the special tokens.
TokenizerSettings settings_with(const TokenizerFiles& files, const SpecialTokens& special);

/// Special tokens of which the first of equal text counts, in the order of their attributes.
std::vector<SpecialToken> unique_special_tokens(const SpecialTokens& special,
                                                const std::vector<SpecialToken>& additional);

/// Throws TokenizerError `[tokenizer] <subject>: expected ..., got ....`.
[[noreturn]] void throw_tokenizer_error(const std::string& subject,
                                        std::string_view expected,
                                        std::string_view got,
                                        std::string_view hint = {});

}  // namespace vizoo
