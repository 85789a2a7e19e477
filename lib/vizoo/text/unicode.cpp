#include "vizoo/text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <iterator>

#include "vizoo/io/utf8.h"

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

// Assigned by Unicode 15.0 and 15.1. Source: DerivedAge.txt.
constexpr Range kAfterUnicode14[] = {
    {0xcf3, 0xcf3},     {0xece, 0xece},     {0x2ffc, 0x2fff},   {0x31ef, 0x31ef},
    {0x10efd, 0x10eff}, {0x1123f, 0x11241}, {0x11b00, 0x11b09}, {0x11f00, 0x11f10},
    {0x11f12, 0x11f3a}, {0x11f3e, 0x11f59}, {0x1342f, 0x1342f}, {0x13439, 0x13455},
    {0x1b132, 0x1b132}, {0x1b155, 0x1b155}, {0x1d2c0, 0x1d2d3}, {0x1df25, 0x1df2a},
    {0x1e030, 0x1e06d}, {0x1e08f, 0x1e08f}, {0x1e4d0, 0x1e4f9}, {0x1f6dc, 0x1f6dc},
    {0x1f774, 0x1f776}, {0x1f77b, 0x1f77f}, {0x1f7d9, 0x1f7d9}, {0x1fa75, 0x1fa77},
    {0x1fa87, 0x1fa88}, {0x1faad, 0x1faaf}, {0x1fabb, 0x1fabd}, {0x1fabf, 0x1fabf},
    {0x1face, 0x1facf}, {0x1fada, 0x1fadb}, {0x1fae8, 0x1fae8}, {0x1faf7, 0x1faf8},
    {0x2b739, 0x2b739}, {0x2ebf0, 0x2ee5d}, {0x31350, 0x323af}};

// Letters of Unicode 15.1, the only word characters that it added.
constexpr Range kLettersAfterUnicode15{0x2ebf0, 0x2ee5d};

// Other_Alphabetic that is neither letter nor mark, and Join_Control.
constexpr Range kOtherWordCharacters[] = {
    {0x200c, 0x200d}, {0x24b6, 0x24e9}, {0x1f130, 0x1f149}, {0x1f150, 0x1f169}, {0x1f170, 0x1f189}};

utf8proc_category_t category(uint32_t code_point) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code_point));
}

}  // namespace

CharacterClass character_class(uint32_t code_point) {
  if (code_point < 0x80) {
    if ((code_point | 0x20U) - 'a' < 26) return CharacterClass::letter;
    if (code_point - '0' < 10) return CharacterClass::number;
    return is_white_space(code_point) ? CharacterClass::space : CharacterClass::other;
  }
  switch (category(code_point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return contains(kAfterUnicode14, code_point) ? CharacterClass::other : CharacterClass::letter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return contains(kAfterUnicode14, code_point) ? CharacterClass::other : CharacterClass::number;
    default:
      return is_white_space(code_point) ? CharacterClass::space : CharacterClass::other;
  }
}

bool is_white_space(uint32_t code_point) {
  if (code_point < 0x80) return code_point == ' ' || code_point - '\t' < 5;
  return code_point == 0x85 || code_point == 0xa0 || code_point == 0x1680 ||
         (code_point >= 0x2000 && code_point <= 0x200a) || code_point == 0x2028 ||
         code_point == 0x2029 || code_point == 0x202f || code_point == 0x205f ||
         code_point == 0x3000;
}

bool is_word_character(uint32_t code_point) {
  switch (category(code_point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return code_point < kLettersAfterUnicode15.first || code_point > kLettersAfterUnicode15.last;
    default:
      return contains(kOtherWordCharacters, code_point);
  }
}

bool is_control_or_unassigned(uint32_t code_point) {
  switch (category(code_point)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
      return true;
    default:
      return contains(kAfterUnicode14, code_point);
  }
}

AlignedText decode_aligned(std::string_view text, uint32_t first_origin) {
  AlignedText result;
  result.reserve(text.size());
  for (std::size_t position = 0; position < text.size();) {
    const auto code_point = decode_utf8(text, position);
    result.push_back({code_point.value, first_origin++});
    position += code_point.length;
  }
  return result;
}

uint32_t simple_lower(uint32_t code_point) {
  return static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code_point)));
}

void to_lower(AlignedText& text) {
  const auto is_long = [](AlignedCodePoint c) { return c.value == kCapitalIWithDot; };
  if (std::none_of(text.begin(), text.end(), is_long)) {
    for (auto& c : text) c.value = simple_lower(c.value);
    return;
  }
  AlignedText result;
  result.reserve(text.size() + 16);
  for (const auto& c : text) {
    result.push_back({simple_lower(c.value), c.origin});
    if (is_long(c)) result.push_back({kCombiningDotAbove, c.origin});
  }
  text = std::move(result);
}

}  // namespace vizoo
