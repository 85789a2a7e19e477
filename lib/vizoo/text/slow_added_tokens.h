#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vizoo/text/added_token.h"
#include "vizoo/text/token_trie.h"

namespace vizoo {

/// A part of a text: an added token, or what lies between them.
struct TextPiece {
  std::string text;
  std::optional<int64_t> id;
};

/// The added tokens of Transformers' slow tokenizers. Source: Transformers 4.37.2,
/// tokenization_utils.py (Trie, PreTrainedTokenizer.tokenize).
class SlowAddedTokens {
 public:
  /// Makes `token` the added token of that id. Empty ones are left out.
  void set(int64_t id, const AddedToken& token);

  /// To be called after the last `set`. A token whose id another one has taken since is found no
  /// more, but keeps the id.
  void finish();

  /// Divides a text at the tokens. Follows upstream where it is odd: a beginning of a token that is
  /// broken off by the very character which completes another token is continued behind it, and a
  /// token that fails `single_word` is given to the text beside it. Time: the text's length times
  /// the longest token's, at worst.
  std::vector<TextPiece> split(std::string_view text) const;

  std::optional<int64_t> id_of(std::string_view token) const;
  const AddedToken* token_of(int64_t id) const;
  const std::map<std::string, int64_t, std::less<>>& ids() const { return ids_; }

 private:
  std::vector<std::string> cut(std::string_view text) const;

  std::map<std::string, int64_t, std::less<>> ids_;
  std::map<int64_t, AddedToken> tokens_;
  TokenTrie trie_;
};

}  // namespace vizoo
