#pragma once

#include <cstddef>
#include <string_view>

#include "vizoo/text/unicode.h"

namespace vizoo {

/// Which words CLIP's pattern finds. All have in common, in this order: the contractions 's 't 're
/// 've 'm 'll 'd; letters; one number; anything else but white space.
enum class ClipWordPattern {
  plain,           ///< just that: the fast tokenizer of Transformers 4
  special_tokens,  ///< before it <|startoftext|> and <|endoftext|>, then cut at their bars: 5.x
  ignore_case,     ///< before it both tokens, whole; a long s counts as s: the slow tokenizer
};

/// Goes through the words of valid UTF-8, from left to right.
class ClipWordScanner {
 public:
  ClipWordScanner(std::string_view text, ClipWordPattern pattern)
      : text_(text), pattern_(pattern) {}

  /// Finds the next word, `text.substr(begin(), end() - begin())`; false if there is none.
  bool next();
  std::size_t begin() const { return begin_; }
  std::size_t end() const { return end_; }

 private:
  struct Character {
    CharacterClass kind;
    std::size_t length;
  };

  Character character(std::size_t position) const;
  std::size_t special_token_length() const;
  std::size_t contraction_length() const;
  std::size_t long_s_or_s_length(std::size_t position) const;

  std::string_view text_;
  ClipWordPattern pattern_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t special_end_ = 0;
};

}  // namespace vizoo
