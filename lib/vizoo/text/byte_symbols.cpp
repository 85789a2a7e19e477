#include "vizoo/text/byte_symbols.h"

#include <algorithm>

#include "vizoo/io/utf8.h"

namespace vizoo {
namespace {

constexpr uint32_t kFirstSubstitute = 0x100;
constexpr uint32_t kSubstitutes = 68;

bool stands_for_itself(uint32_t byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
}

std::array<uint32_t, 256> make_code_points() {
  std::array<uint32_t, 256> code_points{};
  uint32_t next = kFirstSubstitute;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    code_points[byte] = stands_for_itself(byte) ? byte : next++;
  }
  return code_points;
}

// Byte of each symbol below kFirstSubstitute + kSubstitutes, or -1.
std::array<int, kFirstSubstitute + kSubstitutes> make_bytes() {
  std::array<int, kFirstSubstitute + kSubstitutes> bytes{};
  bytes.fill(-1);
  const auto code_points = make_code_points();
  for (int byte = 0; byte < 256; ++byte) bytes[code_points[static_cast<std::size_t>(byte)]] = byte;
  return bytes;
}

// Bytes of the ill-formed sequence at `position` that one U+FFFD replaces: as much of it as begins
// a valid sequence, at least one byte.
std::size_t ill_formed_length(std::string_view text, std::size_t position) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[position + i]); };
  const unsigned lead = byte(0);
  const std::size_t available = text.size() - position;
  const std::size_t length = lead >= 0xf0 && lead <= 0xf4   ? 4
                             : lead >= 0xe0 && lead <= 0xef ? 3
                             : lead >= 0xc2 && lead <= 0xdf ? 2
                                                            : 1;
  if (length == 1 || available == 1) return 1;
  unsigned low = 0x80;
  unsigned high = 0xbf;
  if (lead == 0xe0) low = 0xa0;
  if (lead == 0xed) high = 0x9f;
  if (lead == 0xf0) low = 0x90;
  if (lead == 0xf4) high = 0x8f;
  std::size_t good = 1;
  while (good < std::min(length, available) && byte(good) >= low && byte(good) <= high) {
    low = 0x80;
    high = 0xbf;
    ++good;
  }
  return good;
}

}  // namespace

const std::array<std::string, 256>& byte_symbols() {
  static const std::array<std::string, 256> symbols = [] {
    std::array<std::string, 256> result;
    const auto code_points = make_code_points();
    for (std::size_t byte = 0; byte < 256; ++byte) append_utf8(result[byte], code_points[byte]);
    return result;
  }();
  return symbols;
}

bool append_bytes_of_symbols(std::string_view token, std::string& bytes) {
  static const auto table = make_bytes();
  const std::size_t size_before = bytes.size();
  for (std::size_t position = 0; position < token.size();) {
    const auto code_point = decode_utf8(token, position);
    if (code_point.length == 0 || code_point.value >= table.size() || table[code_point.value] < 0) {
      bytes.resize(size_before);
      return false;
    }
    bytes.push_back(static_cast<char>(table[code_point.value]));
    position += code_point.length;
  }
  return true;
}

std::string decode_utf8_lossy(std::string_view bytes, bool ignore) {
  std::string text;
  text.reserve(bytes.size());
  for (std::size_t position = 0; position < bytes.size();) {
    const auto code_point = decode_utf8(bytes, position);
    if (code_point.length > 0) {
      text.append(bytes.substr(position, code_point.length));
      position += code_point.length;
      continue;
    }
    if (!ignore) append_utf8(text, 0xfffd);
    position += ill_formed_length(bytes, position);
  }
  return text;
}

}  // namespace vizoo
