#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace vizoo {

/// The printable character that byte-level vocabularies write for each byte: bytes 33-126, 161-172
/// and 174-255 stand for themselves, the others, in ascending order, for U+0100, U+0101, ...
/// Source: GPT-2's bytes_to_unicode.
const std::array<std::string, 256>& byte_symbols();

/// Appends the bytes that `token`, valid UTF-8, spells in byte symbols. False, and nothing is
/// appended, if a character is no byte symbol.
bool append_bytes_of_symbols(std::string_view token, std::string& bytes);

/// `bytes` with U+FFFD for each maximal part that is no valid UTF-8 (Unicode 15, section 3.9), as
/// Python's `bytes.decode(errors="replace")` does it; without any replacement character if
/// `ignore`.
std::string decode_utf8_lossy(std::string_view bytes, bool ignore = false);

}  // namespace vizoo
