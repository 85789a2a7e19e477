#include "vizoo/text/clip_words.h"

#include <array>

#include "vizoo/io/utf8.h"
#include "vizoo/text/unicode.h"

namespace vizoo {
namespace {

constexpr std::string_view kLongS = "\xc5\xbf";  // U+017F, whose upper case is S

std::array<CharacterClass, 128> ascii_classes() {
  std::array<CharacterClass, 128> classes{};
  for (uint32_t c = 0; c < 128; ++c) classes[c] = character_class(c);
  return classes;
}

// A mark whose upper case is a letter: without regard to case it is neither letter nor `other`, so
// that no word has it.
constexpr std::string_view kYpogegrammeni = "\xcd\x85";  // U+0345

bool starts_with(std::string_view text, std::size_t position, std::string_view prefix) {
  return text.compare(position, prefix.size(), prefix) == 0;
}

}  // namespace

bool ClipWordScanner::next() {
  begin_ = end_;
  Character first{CharacterClass::space, 0};
  for (; begin_ < text_.size(); begin_ += first.length) {
    first = character(begin_);
    if (first.kind != CharacterClass::space) break;
  }
  end_ = begin_;
  if (begin_ == text_.size()) return false;

  if (text_[begin_] == '<' && pattern_ != ClipWordPattern::plain && begin_ >= special_end_) {
    const std::size_t length = special_token_length();
    if (length > 0 && pattern_ == ClipWordPattern::ignore_case) {
      end_ = begin_ + length;
      return true;
    }
    special_end_ = begin_ + length;
  }
  if (text_[begin_] == '\'') {
    const std::size_t length = contraction_length();
    if (length > 0) {
      end_ = begin_ + length;
      return true;
    }
  }
  end_ = begin_ + first.length;
  if (first.kind == CharacterClass::number) return true;
  const std::size_t limit = end_ <= special_end_ ? special_end_ : text_.size();
  while (end_ < limit) {
    const auto next = character(end_);
    if (next.kind != first.kind) break;
    end_ += next.length;
  }
  return true;
}

ClipWordScanner::Character ClipWordScanner::character(std::size_t position) const {
  static const auto ascii = ascii_classes();
  const auto byte = static_cast<unsigned char>(text_[position]);
  if (byte < 128) return {ascii[byte], 1};
  if (pattern_ == ClipWordPattern::ignore_case && starts_with(text_, position, kYpogegrammeni)) {
    return {CharacterClass::space, kYpogegrammeni.size()};
  }
  const auto code_point = decode_utf8(text_, position);
  return {character_class(code_point.value), code_point.length};
}

std::size_t ClipWordScanner::long_s_or_s_length(std::size_t position) const {
  if (starts_with(text_, position, "s")) return 1;
  const bool long_s =
      pattern_ == ClipWordPattern::ignore_case && starts_with(text_, position, kLongS);
  return long_s ? kLongS.size() : 0;
}

std::size_t ClipWordScanner::special_token_length() const {
  constexpr std::string_view kEnd = "<|endoftext|>";
  if (starts_with(text_, begin_, kEnd)) return kEnd.size();
  if (!starts_with(text_, begin_, "<|")) return 0;
  constexpr std::string_view kRest = "tartoftext|>";
  const std::size_t s = long_s_or_s_length(begin_ + 2);
  return s > 0 && starts_with(text_, begin_ + 2 + s, kRest) ? 2 + s + kRest.size() : 0;
}

std::size_t ClipWordScanner::contraction_length() const {
  const std::size_t rest = begin_ + 1;
  if (const std::size_t s = long_s_or_s_length(rest)) return 1 + s;
  for (const std::string_view suffix : {"t", "re", "ve", "m", "ll", "d"}) {
    if (starts_with(text_, rest, suffix)) return 1 + suffix.size();
  }
  return 0;
}

}  // namespace vizoo
