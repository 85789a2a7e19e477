#include "vizoo/text/python_text.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstddef>
#include <iterator>

#include "vizoo/io/utf8.h"
#include "vizoo/text/unicode.h"

namespace vizoo {
namespace {

struct Range {
  uint32_t first;
  uint32_t last;
};

template <std::size_t N>
bool contains(const Range (&ranges)[N], uint32_t code_point) {
  const auto* range =
      std::lower_bound(std::begin(ranges), std::end(ranges), code_point, [](Range r, uint32_t c) {
        return r.last < c;
      });
  return range != std::end(ranges) && range->first <= code_point;
}

// Cased beyond the categories Lu, Ll and Lt (DerivedCoreProperties.txt), as far as Python knows it.
constexpr Range kOtherCased[] = {{0xaa, 0xaa},
                                 {0xba, 0xba},
                                 {0x2160, 0x217f},
                                 {0x24b6, 0x24e9},
                                 {0x1f130, 0x1f149},
                                 {0x1f150, 0x1f169},
                                 {0x1f170, 0x1f189}};

// Case_Ignorable beyond the categories Mn, Me, Cf, Lm and Sk.
constexpr Range kOtherCaseIgnorable[] = {{0x27, 0x27},
                                         {0x2e, 0x2e},
                                         {0x3a, 0x3a},
                                         {0xb7, 0xb7},
                                         {0x387, 0x387},
                                         {0x55f, 0x55f},
                                         {0x5f4, 0x5f4},
                                         {0x2018, 0x2019},
                                         {0x2024, 0x2024},
                                         {0x2027, 0x2027},
                                         {0xfe13, 0xfe13},
                                         {0xfe52, 0xfe52},
                                         {0xfe55, 0xfe55},
                                         {0xff07, 0xff07},
                                         {0xff0e, 0xff0e},
                                         {0xff1a, 0xff1a}};

utf8proc_category_t category(uint32_t code_point) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code_point));
}

bool is_cased(uint32_t code_point) {
  const auto kind = category(code_point);
  return kind == UTF8PROC_CATEGORY_LU || kind == UTF8PROC_CATEGORY_LL ||
         kind == UTF8PROC_CATEGORY_LT || contains(kOtherCased, code_point);
}

bool is_case_ignorable(uint32_t code_point) {
  switch (category(code_point)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      return contains(kOtherCaseIgnorable, code_point);
  }
}

constexpr uint32_t kCapitalSigma = 0x3a3;
constexpr uint32_t kSigma = 0x3c3;
constexpr uint32_t kFinalSigma = 0x3c2;

// follows_cased[i], precedes_cased[i]: the next code point to the left, or right, that is not
// case-ignorable is cased. Both directions in one pass each, so that a run of ignorable code points
// costs nothing twice.
std::vector<bool> next_is_cased(const std::u32string& text, bool to_the_left) {
  std::vector<bool> result(text.size());
  bool cased = false;
  for (std::size_t step = 0; step < text.size(); ++step) {
    const std::size_t i = to_the_left ? step : text.size() - 1 - step;
    result[i] = cased;
    if (!is_case_ignorable(text[i])) cased = is_cased(text[i]);
  }
  return result;
}

}  // namespace

bool is_python_space(uint32_t code_point) {
  return is_white_space(code_point) || code_point - 0x1c < 4;
}

std::size_t previous_code_point(std::string_view text, std::size_t position) {
  do {
    --position;
  } while (position > 0 && (static_cast<unsigned char>(text[position]) & 0xc0U) == 0x80);
  return position;
}

std::string_view python_lstrip(std::string_view text) {
  std::size_t begin = 0;
  while (begin < text.size()) {
    const auto code_point = decode_utf8(text, begin);
    if (code_point.length == 0 || !is_python_space(code_point.value)) break;
    begin += code_point.length;
  }
  return text.substr(begin);
}

std::string_view python_rstrip(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0) {
    const std::size_t last = previous_code_point(text, end);
    const auto code_point = decode_utf8(text, last);
    if (code_point.length == 0 || !is_python_space(code_point.value)) break;
    end = last;
  }
  return text.substr(0, end);
}

std::string_view python_strip(std::string_view text) { return python_rstrip(python_lstrip(text)); }

std::vector<std::string_view> python_split(std::string_view text) {
  std::vector<std::string_view> words;
  std::size_t begin = 0;
  std::size_t position = 0;
  const auto finish = [&] {
    if (begin < position) words.push_back(text.substr(begin, position - begin));
  };
  while (position < text.size()) {
    const auto code_point = decode_utf8(text, position);
    if (is_python_space(code_point.value)) {
      finish();
      begin = position + code_point.length;
    }
    position += code_point.length;
  }
  finish();
  return words;
}

std::u32string python_lower(const std::u32string& text) {
  std::vector<bool> follows_cased;
  std::vector<bool> precedes_cased;
  if (text.find(kCapitalSigma) != text.npos) {
    follows_cased = next_is_cased(text, true);
    precedes_cased = next_is_cased(text, false);
  }
  std::u32string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == kCapitalSigma) {
      result.push_back(follows_cased[i] && !precedes_cased[i] ? kFinalSigma : kSigma);
      continue;
    }
    result.push_back(simple_lower(text[i]));
    if (text[i] == kCapitalIWithDot) result.push_back(kCombiningDotAbove);
  }
  return result;
}

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  result.reserve(text.size());
  std::size_t begin = 0;
  for (auto found = text.find(from); found != text.npos; found = text.find(from, begin)) {
    result.append(text.substr(begin, found - begin)).append(to);
    begin = found + from.size();
  }
  result.append(text.substr(begin));
  return result;
}

}  // namespace vizoo
