#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vizoo {

// Methods of Python's `str` on UTF-8, as of Unicode 14 (Python 3.11).

/// `c.isspace()`: Unicode's White_Space and U+001C to U+001F.
bool is_python_space(uint32_t code_point);

/// `text.lstrip()`, `text.rstrip()` and `text.strip()`; invalid UTF-8 is no white space.
std::string_view python_lstrip(std::string_view text);
std::string_view python_rstrip(std::string_view text);
std::string_view python_strip(std::string_view text);

/// `text.split()`, for valid UTF-8.
std::vector<std::string_view> python_split(std::string_view text);

/// `text.lower()`: each code point's full lower-case mapping; a capital sigma that ends a word
/// becomes a final one.
std::u32string python_lower(const std::u32string& text);

/// `text.replace(from, to)`.
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

/// First byte of the code point that ends before `position` (at least 1), in valid UTF-8.
std::size_t previous_code_point(std::string_view text, std::size_t position);

}  // namespace vizoo
