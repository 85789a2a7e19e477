#pragma once

// Special tokens as Transformers' slow tokenizers hold and decode them. Source:
// Transformers 4.37.2, tokenization_utils.py (PreTrainedTokenizer).

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "vizoo/text/slow_added_tokens.h"
#include "vizoo/text/tokenizer_files.h"
#include "vizoo/text/vocabulary.h"

namespace vizoo {

/// A slow tokenizer's added tokens: those with an id, then the special tokens, which get new ids
/// where the vocabulary does not have them.
SlowAddedTokens slow_added_tokens(const std::map<int64_t, AddedTokenSpec>& with_id,
                                  const SpecialTokens& special,
                                  const std::vector<SpecialToken>& additional,
                                  const Vocabulary& vocabulary);

/// How tokens become text again.
struct SlowDecoding {
  std::set<int64_t> special_ids;               ///< left out by `skip_special_tokens`
  std::set<std::string, std::less<>> set_off;  ///< tokens with a space on either side
};

/// `id_of`: the id that a token is converted to, those of the vocabulary included. `vocab_size`:
/// additional special tokens from this id on are set off too.
SlowDecoding slow_decoding(const SlowAddedTokens& added,
                           const SpecialTokens& special,
                           const std::vector<SpecialToken>& additional,
                           int64_t vocab_size,
                           const std::function<std::optional<int64_t>(std::string_view)>& id_of);

/// The text of `tokens`. `text_of`: that of a run of tokens that are not set off.
std::string join_slow_tokens(
    const std::vector<std::string_view>& tokens,
    const SlowDecoding& decoding,
    const std::function<std::string(const std::vector<std::string_view>&)>& text_of);

}  // namespace vizoo
