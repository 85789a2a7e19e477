#pragma once

// What CLIP's tokenizers read from a model folder beside the files that all tokenizers have.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vizoo/text/clip_words.h"
#include "vizoo/text/tokenizer_files.h"
#include "vizoo/text/vocabulary.h"

namespace vizoo {

/// What the last symbol of a word ends in.
constexpr std::string_view kEndOfWord = "</w>";

/// Pairs of symbols that merge, the preferred one first.
using MergePairs = std::vector<std::pair<std::string, std::string>>;

/// vocab.json of a folder. Throws TokenizerError.
Vocabulary read_clip_vocabulary(const std::filesystem::path& folder);

/// merges.txt of a folder: all but the first line, at most 48894 lines. Throws TokenizerError if a
/// line does not hold two symbols.
MergePairs read_clip_merges(const std::filesystem::path& folder);

/// The special tokens of a CLIP tokenizer; what the files do not name has CLIP's value.
SpecialTokens clip_special_tokens(const TokenizerFiles& files);

/// The special tokens as the slow tokenizer holds them: bos, eos and unk always with flags.
SpecialTokens slow_clip_special_tokens(const TokenizerFiles& files);

/// What a fast tokenizer is made of, from tokenizer.json or from vocab.json and merges.txt.
struct FastClipParts {
  Vocabulary vocabulary;
  MergePairs merges;
  std::string merges_source;  ///< for messages
  std::optional<std::string> unk_token;
  ClipWordPattern pattern = ClipWordPattern::plain;
  std::vector<AddedToken> added_tokens;  ///< of tokenizer.json itself
  SpecialTokens special;
  int64_t bos_id = 0;  ///< of the post-processor
  int64_t eos_id = 0;
  bool trim_offsets = false;  ///< takes white space out of the offsets of tokens
};

/// Throws TokenizerError, which names the JSON path of whatever is not as in CLIP's files.
FastClipParts read_fast_clip_parts(const TokenizerFiles& files);

}  // namespace vizoo
