#include "vizoo/core/error.h"

#include <array>

namespace vizoo {
namespace {

// Length of the valid UTF-8 sequence that starts at text[i], 0 if there is none.
std::size_t utf8_length(std::string_view text, std::size_t i) {
  const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
  const unsigned char lead = byte(i);
  std::size_t length = 0;
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) length = 2;
  if (lead >= 0xE0 && lead <= 0xEF) length = 3;
  if (lead >= 0xF0 && lead <= 0xF4) length = 4;
  if (length == 0 || i + length > text.size()) return 0;
  for (std::size_t k = 1; k < length; ++k) {
    if ((byte(i + k) & 0xC0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and code points above U+10FFFF.
  if (lead == 0xE0 && byte(i + 1) < 0xA0) return 0;
  if (lead == 0xED && byte(i + 1) > 0x9F) return 0;
  if (lead == 0xF0 && byte(i + 1) < 0x90) return 0;
  if (lead == 0xF4 && byte(i + 1) > 0x8F) return 0;
  return length;
}

// U+0080..U+009F (C1 controls) and U+2028/U+2029 would break a line on some terminals.
bool is_control(std::string_view text, std::size_t i, std::size_t length) {
  const unsigned char lead = static_cast<unsigned char>(text[i]);
  if (length == 1) return lead < 0x20 || lead == 0x7F;
  const unsigned char second = static_cast<unsigned char>(text[i + 1]);
  if (length == 2) return lead == 0xC2 && second < 0xA0;
  if (length == 3 && lead == 0xE2 && second == 0x80) {
    const unsigned char third = static_cast<unsigned char>(text[i + 2]);
    return third == 0xA8 || third == 0xA9;
  }
  return false;
}

std::string escape(std::string_view text, std::size_t max_length) {
  static constexpr std::array<char, 17> kHex = {"0123456789abcdef"};
  std::string out;
  std::size_t i = 0;
  while (i < text.size()) {
    const std::size_t length = utf8_length(text, i);
    const std::size_t step = length == 0 ? 1 : length;
    if (i + step > max_length) return out + "...";
    if (length == 0 || is_control(text, i, length)) {
      for (std::size_t k = 0; k < step; ++k) {
        const auto byte = static_cast<unsigned char>(text[i + k]);
        out += "\\x";
        out += kHex[byte >> 4];
        out += kHex[byte & 15];
      }
    } else {
      out.append(text.substr(i, step));
    }
    i += step;
  }
  return out;
}

std::string with_hint(std::string message, std::string_view hint) {
  message += '.';
  if (!hint.empty()) {
    message += ' ';
    message += hint;
    if (hint.back() != '.') message += '.';
  }
  return message;
}

}  // namespace

Error::Error(std::string_view where,
             std::string_view subject,
             std::string_view expected,
             std::string_view got,
             std::string_view hint)
    : Error(describe(where,
                     subject,
                     "expected " + std::string(expected) + ", got " + std::string(got),
                     hint)) {}

std::string Error::describe(std::string_view where,
                            std::string_view subject,
                            std::string_view problem,
                            std::string_view hint) {
  std::string message = "[";
  message.append(where).append("] ").append(subject);
  if (!subject.empty()) message += ": ";
  message.append(problem);
  return with_hint(std::move(message), hint);
}

std::string quote(std::string_view text, std::size_t max_length) {
  return '"' + escape(text, max_length) + '"';
}

std::string printable(std::string_view text, std::size_t max_length) {
  return escape(text, max_length);
}

}  // namespace vizoo
