#include "vizoo/io/json_scanner.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "vizoo/core/error.h"
#include "vizoo/io/utf8.h"

namespace vizoo {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_word_character(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' ||
         c == '+' || c == '.';
}

constexpr uint64_t kOnes = 0x0101010101010101U;
constexpr uint64_t kHighBits = 0x80 * kOnes;

// Eight bytes from `position`, 0 if there are fewer.
uint64_t load_eight(std::string_view text, std::size_t position) {
  uint64_t word = 0;
  if (text.size() - position >= 8) std::memcpy(&word, text.data() + position, 8);
  return word;
}

// A word with a high bit set if (not only if: a borrow may set one more) a byte is zero.
uint64_t zero_bytes(uint64_t word) { return (word - kOnes) & ~word & kHighBits; }

// Whether none of the eight bytes is a control character, a quotation mark, a backslash or part of
// a longer code point. May say no for bytes that are fine, never yes for others.
bool is_plain(uint64_t word) {
  const uint64_t control = (word - kOnes * 0x20) & kHighBits;
  return ((word & kHighBits) | control | zero_bytes(word ^ (kOnes * '"')) |
          zero_bytes(word ^ (kOnes * '\\'))) == 0;
}

// Where the first significant digit of a number literal stands, as a power of ten: 308 for 1e308,
// -4 for 0.0001. Tells overflow from underflow.
int64_t decimal_magnitude(std::string_view literal) {
  constexpr int64_t kFar = 1'000'000'000'000;
  int64_t magnitude = 0;
  bool after_point = false;
  bool significant = false;
  for (std::size_t i = 0; i < literal.size(); ++i) {
    const char c = literal[i];
    if (c == 'e' || c == 'E') {
      std::string_view exponent = literal.substr(i + 1);
      if (!exponent.empty() && exponent[0] == '+') exponent.remove_prefix(1);
      int64_t value = 0;
      const auto [end, error] =
          std::from_chars(exponent.data(), exponent.data() + exponent.size(), value);
      (void)end;
      if (error != std::errc()) value = exponent[0] == '-' ? -kFar : kFar;
      return magnitude + std::clamp(value, -kFar, kFar);
    }
    if (c == '.') {
      after_point = true;
    } else if (is_digit(c)) {
      if (!after_point && significant) ++magnitude;
      if (after_point && !significant) --magnitude;
      significant = significant || c != '0';
    }
  }
  return magnitude;
}

}  // namespace

JsonScanError::JsonScanError(std::size_t error_offset, std::string what, std::string found)
    : std::runtime_error("expected " + what + ", got " + found),
      offset(error_offset),
      expected(std::move(what)),
      got(std::move(found)) {}

JsonScanner::JsonScanner(std::string_view text, std::size_t max_depth, std::size_t max_unescaped)
    : input_(text), max_depth_(std::min(max_depth, kMaxDepth)), max_unescaped_(max_unescaped) {}

void JsonScanner::fail(std::string expected) const { fail_at(position_, std::move(expected)); }

void JsonScanner::fail_at(std::size_t offset, std::string expected) const {
  if (offset >= input_.size()) {
    throw JsonScanError(offset, std::move(expected), "the end of the text");
  }
  if (input_.substr(offset, 3) == "\xEF\xBB\xBF") {
    throw JsonScanError(offset, std::move(expected), "a byte order mark");
  }
  // A whole word (`nan`, `0x10`) says more than its first letter.
  std::size_t length = 0;
  while (offset + length < input_.size() && length < 40 &&
         is_word_character(input_[offset + length])) {
    ++length;
  }
  if (length == 0) length = std::max<std::size_t>(decode_utf8(input_, offset).length, 1);
  throw JsonScanError(offset, std::move(expected), quote(input_.substr(offset, length)));
}

void JsonScanner::skip_white_space() {
  while (!at_end()) {
    // Headers may be padded by megabytes of spaces.
    while (load_eight(input_, position_) == kOnes * ' ') position_ += 8;
    if (at_end()) break;
    const char c = input_[position_];
    if (c != ' ' && c != '\n' && c != '\t' && c != '\r') break;
    ++position_;
  }
}

JsonEvent JsonScanner::next() {
  skip_white_space();
  start_ = position_;
  switch (state_) {
    case State::value:
      return scan_value("a value");
    case State::array_start:
      if (!at_end() && input_[position_] == ']') return close();
      return scan_value("a value or \"]\"");
    case State::object_start:
      if (!at_end() && input_[position_] == '}') return close();
      return scan_key("a key in double quotes or \"}\"");
    case State::after_key:
      if (at_end() || input_[position_] != ':') fail("\":\"");
      ++position_;
      skip_white_space();
      return scan_value("a value");
    case State::after_value:
      return scan_after_value();
  }
  return JsonEvent::end;
}

JsonEvent JsonScanner::scan_after_value() {
  if (depth_ == 0) {
    if (!at_end()) fail("the end of the text");
    return JsonEvent::end;
  }
  const bool object = in_object();
  if (!at_end() && input_[position_] == (object ? '}' : ']')) return close();
  if (at_end() || input_[position_] != ',') fail(object ? "\",\" or \"}\"" : "\",\" or \"]\"");
  ++position_;
  skip_white_space();
  return object ? scan_key("a key in double quotes") : scan_value("a value");
}

JsonEvent JsonScanner::open(bool object) {
  if (depth_ == max_depth_) {
    throw JsonScanError(
        position_, "at most " + std::to_string(max_depth_) + " levels of nesting", "more");
  }
  const uint64_t bit = uint64_t{1} << depth_;
  is_object_ = object ? (is_object_ | bit) : (is_object_ & ~bit);
  ++depth_;
  ++position_;
  state_ = object ? State::object_start : State::array_start;
  return object ? JsonEvent::object_begin : JsonEvent::array_begin;
}

JsonEvent JsonScanner::close() {
  const bool object = in_object();
  --depth_;
  ++position_;
  state_ = State::after_value;
  return object ? JsonEvent::object_end : JsonEvent::array_end;
}

JsonEvent JsonScanner::scan_key(const char* expected) {
  start_ = position_;
  if (at_end() || input_[position_] != '"') fail(expected);
  scan_string();
  state_ = State::after_key;
  return JsonEvent::key;
}

JsonEvent JsonScanner::scan_value(const char* expected) {
  start_ = position_;
  if (at_end()) fail(expected);
  const char c = input_[position_];
  if (c == '{' || c == '[') return open(c == '{');
  state_ = State::after_value;
  if (c == '"') {
    scan_string();
    return JsonEvent::string;
  }
  if (c == '-' || is_digit(c)) return scan_number();
  if (c == 't') {
    boolean_ = true;
    return scan_word("true", JsonEvent::boolean);
  }
  if (c == 'f') {
    boolean_ = false;
    return scan_word("false", JsonEvent::boolean);
  }
  if (c == 'n') return scan_word("null", JsonEvent::null);
  fail(expected);
}

JsonEvent JsonScanner::scan_word(std::string_view word, JsonEvent event) {
  if (input_.substr(position_, word.size()) != word) fail("a value");
  const std::size_t end = position_ + word.size();
  if (end < input_.size() && is_word_character(input_[end])) fail("a value");
  position_ = end;
  return event;
}

std::size_t JsonScanner::scan_digits() {
  const std::size_t begin = position_;
  while (!at_end() && is_digit(input_[position_])) ++position_;
  return position_ - begin;
}

JsonEvent JsonScanner::scan_number() {
  const bool negative = input_[position_] == '-';
  if (negative) ++position_;
  bool integral = true;
  if (!at_end() && input_[position_] == '0') {
    ++position_;
    if (!at_end() && is_digit(input_[position_])) fail_at(start_, "a number without leading zeros");
  } else if (scan_digits() == 0) {
    fail("a digit");
  }
  if (!at_end() && input_[position_] == '.') {
    integral = false;
    ++position_;
    if (scan_digits() == 0) fail("a digit");
  }
  if (!at_end() && (input_[position_] == 'e' || input_[position_] == 'E')) {
    integral = false;
    ++position_;
    if (!at_end() && (input_[position_] == '+' || input_[position_] == '-')) ++position_;
    if (scan_digits() == 0) fail("a digit");
  }
  text_ = input_.substr(start_, position_ - start_);
  const char* const begin = text_.data();
  const char* const end = begin + text_.size();
  if (integral && negative && std::from_chars(begin, end, integer_).ec == std::errc()) {
    return JsonEvent::integer;
  }
  if (integral && !negative && std::from_chars(begin, end, unsigned_integer_).ec == std::errc()) {
    return JsonEvent::unsigned_integer;
  }
  if (std::from_chars(begin, end, number_).ec == std::errc::result_out_of_range) {
    if (decimal_magnitude(text_) > 0) fail_at(start_, "a number within the range of a double");
    number_ = negative ? -0.0 : 0.0;
  }
  return JsonEvent::number;
}

void JsonScanner::skip_plain_text() {
  while (is_plain(load_eight(input_, position_))) position_ += 8;
}

void JsonScanner::skip_code_points() {
  while (!at_end() && static_cast<unsigned char>(input_[position_]) >= 0x80) {
    const std::size_t length = decode_utf8(input_, position_).length;
    if (length == 0) fail("valid UTF-8");
    position_ += length;
  }
}

void JsonScanner::scan_string() {
  const std::size_t begin = ++position_;
  text_is_unescaped_ = false;
  std::size_t copied = begin;
  unescaped_.clear();
  while (true) {
    skip_plain_text();
    if (at_end()) fail("the end of a string");
    const auto c = static_cast<unsigned char>(input_[position_]);
    if (c == '"') break;
    if (c < 0x20) fail("control characters of a string to be escaped");
    if (c == '\\') {
      unescaped_.append(input_, copied, position_ - copied);
      scan_escape();
      check_unescaped();
      text_is_unescaped_ = true;
      copied = position_;
    } else if (c < 0x80) {
      ++position_;
    } else {
      skip_code_points();
    }
  }
  if (text_is_unescaped_) {
    unescaped_.append(input_, copied, position_ - copied);
    check_unescaped();
    text_ = unescaped_;
  } else {
    text_ = input_.substr(begin, position_ - begin);
  }
  ++position_;
}

void JsonScanner::check_unescaped() const {
  if (unescaped_.size() <= max_unescaped_) return;
  throw JsonScanError(
      start_,
      "at most " + std::to_string(max_unescaped_) + " bytes in a string with escape sequences",
      "more");
}

void JsonScanner::scan_escape() {
  const std::size_t begin = position_++;
  const char c = at_end() ? '\0' : input_[position_];
  static constexpr std::string_view kLetters = "\"\\/bfnrt";
  static constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
  const std::size_t index = kLetters.find(c);
  if (!at_end() && index != std::string_view::npos) {
    unescaped_ += kMeanings[index];
    ++position_;
    return;
  }
  if (at_end() || c != 'u') fail("one of the characters \"\\/bfnrtu after a backslash");
  ++position_;
  uint32_t code_point = scan_four_hex_digits();
  if (code_point >= 0xD800 && code_point <= 0xDBFF && input_.substr(position_, 2) == "\\u") {
    position_ += 2;
    const uint32_t low = scan_four_hex_digits();
    const bool paired = low >= 0xDC00 && low <= 0xDFFF;
    if (paired) code_point = 0x10000 + ((code_point - 0xD800) << 10U) + (low - 0xDC00);
  }
  if (code_point >= 0xD800 && code_point <= 0xDFFF) {
    throw JsonScanError(begin, "surrogates in pairs", quote(input_.substr(begin, 6)));
  }
  append_utf8(unescaped_, code_point);
}

uint32_t JsonScanner::scan_four_hex_digits() {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = at_end() ? '\0' : input_[position_];
    uint32_t digit = 0;
    if (is_digit(c)) {
      digit = static_cast<uint32_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<uint32_t>(c - 'a') + 10;
    } else if (c >= 'A' && c <= 'F') {
      digit = static_cast<uint32_t>(c - 'A') + 10;
    } else {
      fail("four hexadecimal digits");
    }
    value = value * 16 + digit;
    ++position_;
  }
  return value;
}

TextPosition text_position(std::string_view text, std::size_t offset) {
  TextPosition result;
  for (const char c : text.substr(0, offset)) {
    if (c == '\n') {
      ++result.line;
      result.column = 1;
    } else if ((static_cast<unsigned char>(c) & 0xC0U) != 0x80U) {
      ++result.column;
    }
  }
  return result;
}

}  // namespace vizoo
