#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace vizoo {

/// Classes of CLIP's word pattern.
enum class CharacterClass { space, letter, number, other };

/// `\s`, `\p{L}` and `\p{N}` of the `tokenizers` library's regular expressions, which know Unicode
/// 14 whatever utf8proc knows: later letters and digits are `other`.
CharacterClass character_class(uint32_t code_point);

/// Unicode's White_Space: `\s` of the `tokenizers` library.
bool is_white_space(uint32_t code_point);

/// `\w` of the `tokenizers` library (Unicode 15): letters, marks, digits, connectors.
bool is_word_character(uint32_t code_point);

/// Python's `unicodedata.category(c)` begins with C in Unicode 14: controls, formats, private use
/// and what is not assigned.
bool is_control_or_unassigned(uint32_t code_point);

/// A code point, and the index of the code point that it stands for in the text it was made from.
struct AlignedCodePoint {
  uint32_t value = 0;
  uint32_t origin = 0;
};
using AlignedText = std::vector<AlignedCodePoint>;

/// The code points of valid UTF-8; origins count from `first_origin`.
AlignedText decode_aligned(std::string_view text, uint32_t first_origin = 0);

/// Which Unicode version composes.
enum class NormalizationRules {
  current,   ///< utf8proc's
  unicode9,  ///< that of the `tokenizers` library: marks of later versions are never reordered
};

/// Normalization form C (UAX #15). Origins are moved along the way the `tokenizers` library does
/// it: a composed character keeps the origin of its first part, reordered marks take their places'
/// origins.
void normalize_nfc(AlignedText& text, NormalizationRules rules);

/// Each code point by its own full lower-case mapping, without context: Rust's
/// `char::to_lowercase`.
void to_lower(AlignedText& text);

/// The lower-case letter of a letter, or `code_point`. For U+0130, the only one whose full mapping
/// has two code points, it is `i`, and U+0307 belongs behind it.
uint32_t simple_lower(uint32_t code_point);
constexpr uint32_t kCapitalIWithDot = 0x130;
constexpr uint32_t kCombiningDotAbove = 0x307;

}  // namespace vizoo
