#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "vizoo/text/added_token.h"
#include "vizoo/text/token_trie.h"
#include "vizoo/text/vocabulary.h"

namespace vizoo {

/// Bytes [begin, end) of a text; an added token if there is an id.
struct TextSegment {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::optional<int64_t> id;
};

/// The added tokens of a fast tokenizer. Source: tokenizers v0.15.2, tokenizer/added_vocabulary.rs.
class FastAddedTokens {
 public:
  /// `normalize` is what the tokenizer does to text before it looks for normalised tokens.
  FastAddedTokens(const Vocabulary& vocabulary,
                  std::function<std::string(std::string_view)> normalize);

  /// Adds tokens, or changes those that were added before. A token that is not in the vocabulary
  /// gets the next free id. Empty ones are left out.
  void add(const std::vector<AddedToken>& tokens);

  /// Divides a text at the tokens whose `normalized` is as given: leftmost first, of those the
  /// longest. The segments cover the text, except that those of tokens may overlap where one takes
  /// along white space that belongs to the next.
  std::vector<TextSegment> split(std::string_view text, bool normalized) const;

  std::optional<int64_t> id_of(std::string_view token) const;
  const AddedToken* token_of(int64_t id) const;
  const std::map<int64_t, AddedToken>& tokens() const { return tokens_; }
  bool is_special(std::string_view token) const { return special_contents_.count(token) != 0; }
  /// Tokens that are not in the vocabulary.
  std::size_t beyond_vocabulary() const;

 private:
  struct Matcher {
    TokenTrie trie;
    std::array<bool, 256> begins{};  // whether a token begins with that byte
    std::vector<int64_t> ids;
  };

  void rebuild();
  bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) const;

  const Vocabulary& vocabulary_;
  std::function<std::string(std::string_view)> normalize_;
  std::map<std::string, int64_t, std::less<>> ids_;
  std::map<int64_t, AddedToken> tokens_;
  std::optional<int64_t> largest_id_;
  // In the order of their addition, special ones apart: of two tokens that normalise to the same
  // text the first one is found.
  std::vector<AddedToken> special_;
  std::vector<AddedToken> ordinary_;
  std::set<std::string, std::less<>> special_contents_;
  Matcher raw_;
  Matcher normalized_;
};

}  // namespace vizoo
