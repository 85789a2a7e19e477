#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "vizoo/text/tokenizer.h"

namespace vizoo {

/// How AutoTokenizer loads.
struct TokenizerLoadOptions {
  /// The rules of the fast tokenizer (`CLIPTokenizerFast`) where there is one, else the slow one's.
  bool use_fast = true;
};

/// Picks the class of a tokenizer by the files of a model folder.
struct AutoTokenizer {
  /// `folder`: a checkpoint's. The class is named by `tokenizer_class` of tokenizer_config.json,
  /// else by config.json's, else by the `model_type` of config.json. The files are those that
  /// Transformers reads: tokenizer_config.json, tokenizer.json (fast only), vocab.json and
  /// merges.txt (CLIP only), special_tokens_map.json and added_tokens.json (both only where
  /// tokenizer_config.json has no `added_tokens_decoder`). Throws TokenizerError for files that are
  /// missing, broken, too large or contradict each other.
  static std::unique_ptr<Tokenizer> from_pretrained(const std::filesystem::path& folder,
                                                    const TokenizerLoadOptions& options = {});
};

/// Class names that AutoTokenizer knows, without the suffix Fast: "CLIPTokenizer",
/// "PerceiverTokenizer".
std::vector<std::string> tokenizer_types();

}  // namespace vizoo
