#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace vizoo {

/// One code point of a UTF-8 text.
struct CodePoint {
  uint32_t value = 0;      ///< at most 0x10FFFF, never a surrogate
  std::size_t length = 0;  ///< bytes it takes; 0 if the bytes are not valid UTF-8
};

/// Decodes the code point that starts at `text[position]` (`position < text.size()`). Overlong
/// forms, surrogates and values above U+10FFFF count as invalid (Unicode 15, table 3-7).
CodePoint decode_utf8(std::string_view text, std::size_t position);

/// Appends `code_point` (at most 0x10FFFF, no surrogate) to `text` as UTF-8.
void append_utf8(std::string& text, uint32_t code_point);

/// Position of the first byte that is not part of valid UTF-8, or `text.size()`.
std::size_t find_invalid_utf8(std::string_view text);

}  // namespace vizoo
