#pragma once

#include <cstddef>
#include <string>
#include <tuple>

namespace vizoo {

/// A token that is found in the text as it stands, before the text is split into words (AddedToken
/// of the `tokenizers` library).
struct AddedToken {
  std::string content;
  bool single_word = false;  ///< matches only where no letter, digit or underscore adjoins
  bool lstrip = false;       ///< takes the white space before it along
  bool rstrip = false;       ///< takes the white space after it along
  bool normalized = true;    ///< is looked for in the normalised text, itself normalised
  bool special = false;      ///< left out by `skip_special_tokens`
};

inline bool operator==(const AddedToken& left, const AddedToken& right) {
  return left.content == right.content && left.single_word == right.single_word &&
         left.lstrip == right.lstrip && left.rstrip == right.rstrip &&
         left.normalized == right.normalized && left.special == right.special;
}

/// An order, for sets.
inline bool operator<(const AddedToken& left, const AddedToken& right) {
  const auto flags = [](const AddedToken& token) {
    return std::tie(token.single_word, token.lstrip, token.rstrip, token.normalized, token.special);
  };
  return left.content != right.content ? left.content < right.content : flags(left) < flags(right);
}

/// Longest added token. Looking for one takes at most so many steps for each byte of a text.
constexpr std::size_t kMaxAddedTokenBytes = 1024;

/// All added tokens of a file together.
constexpr std::size_t kMaxAddedTokensBytes = std::size_t{1} << 20U;

}  // namespace vizoo
