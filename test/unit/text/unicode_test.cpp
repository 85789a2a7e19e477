#include "vizoo/text/unicode.h"

#include <string>

#include "support/catch.h"
#include "vizoo/io/utf8.h"
#include "vizoo/text/python_text.h"

namespace vizoo::test {
namespace {

bool is_scalar(uint32_t c) { return c < 0xd800 || c > 0xdfff; }

// How many code points are so, and a sum that tells which.
template <class Predicate>
std::pair<int, uint32_t> census(Predicate predicate) {
  int count = 0;
  uint32_t sum = 0;
  for (uint32_t c = 0; c < 0x110000; ++c) {
    if (!is_scalar(c) || !predicate(c)) continue;
    ++count;
    sum = sum * 31 + c;
  }
  return {count, sum};
}

std::u32string nfc(const std::u32string& text, NormalizationRules rules) {
  AlignedText aligned;
  for (uint32_t i = 0; i < text.size(); ++i) aligned.push_back({text[i], i});
  normalize_nfc(aligned, rules);
  std::u32string result;
  for (const auto& c : aligned) result.push_back(c.value);
  return result;
}

// Counted with tokenizers 0.15.2 and Python 3.11 on every code point. A utf8proc of a later Unicode
// fails here: its new letters belong into the tables of unicode.cpp.
TEST_CASE("classes are those of Unicode 14 whatever utf8proc knows", "[text]") {
  CHECK(census([](uint32_t c) { return character_class(c) == CharacterClass::letter; }) ==
        std::pair<int, uint32_t>{131756, 2121502160u});
  CHECK(census([](uint32_t c) { return character_class(c) == CharacterClass::number; }) ==
        std::pair<int, uint32_t>{1791, 2051920391u});
  CHECK(census([](uint32_t c) { return character_class(c) == CharacterClass::space; }) ==
        std::pair<int, uint32_t>{25, 3245078362u});
  CHECK(census(is_white_space) == std::pair<int, uint32_t>{25, 3245078362u});
  CHECK(census(is_python_space) == std::pair<int, uint32_t>{29, 2190692316u});
  CHECK(census(is_word_character) == std::pair<int, uint32_t>{139612, 4067077180u});
  CHECK(census(is_control_or_unassigned) == std::pair<int, uint32_t>{967530, 204487234u});
  CHECK(census([](uint32_t c) { return simple_lower(c) != c; }) ==
        std::pair<int, uint32_t>{1433, 1385425065u});
}

TEST_CASE("lower case by code point, and by word", "[text]") {
  auto text = decode_aligned("\u0130A\u03a3\u1e9e");
  to_lower(text);
  std::u32string values;
  std::vector<uint32_t> origins;
  for (const auto& c : text) {
    values.push_back(c.value);
    origins.push_back(c.origin);
  }
  CHECK(values == U"i\u0307a\u03c3\u00df");
  CHECK(origins == std::vector<uint32_t>{0, 0, 1, 2, 3});

  CHECK(python_lower(U"\u03a3") == U"\u03c3");          // alone
  CHECK(python_lower(U"A\u03a3") == U"a\u03c2");        // ends a word
  CHECK(python_lower(U"A\u03a3A") == U"a\u03c3a");      // within a word
  CHECK(python_lower(U"A.\u03a3.A") == U"a.\u03c3.a");  // stops are looked through
  CHECK(python_lower(U"A\u03a3 A") == U"a\u03c2 a");
  CHECK(python_lower(U"\u0130\u03a3") == U"i\u0307\u03c2");
}

TEST_CASE("normalization form C, with origins", "[text]") {
  const auto current = NormalizationRules::current;
  CHECK(nfc(U"e\u0301", current) == U"\u00e9");
  CHECK(nfc(U"e\u0301\u0323", current) == U"\u1eb9\u0301");
  CHECK(nfc(U"\u0344", current) == U"\u0308\u0301");
  CHECK(nfc(U"\u1100\u1161\u11a8", current) == U"\uac01");
  CHECK(nfc(U"\u0958", current) == U"\u0915\u093c");  // excluded from composition
  CHECK(nfc(U"\u0301e\u0301", current) == U"\u0301\u00e9");
  CHECK(nfc(U"", current).empty());

  // A composed character keeps the origin of its base; places, not marks, have origins.
  auto text = decode_aligned("xe\u0301\u0323\u0958y");
  normalize_nfc(text, current);
  std::vector<uint32_t> origins;
  for (const auto& c : text) origins.push_back(c.origin);
  CHECK(origins == std::vector<uint32_t>{0, 1, 3, 4, 4, 5});
}

TEST_CASE("the rules of the tokenizers library are those of Unicode 9", "[text]") {
  const auto old = NormalizationRules::unicode9;
  const auto current = NormalizationRules::current;
  CHECK(nfc(U"\U00011935\U00011930", current) == U"\U00011938");
  CHECK(nfc(U"\U00011935\U00011930", old) == U"\U00011935\U00011930");
  CHECK(nfc(U"a\u0301\u0898\u0323", old) == U"\u00e1\u0898\u0323");
  CHECK(nfc(U"a\u0301\u0898\u0323", current) == U"\u1ea1\u0301\u0898");
}

TEST_CASE("Python's strip and split", "[text]") {
  CHECK(python_strip(" \x1f\u2003"
                     "a b\u3000\n") == "a b");
  CHECK(python_strip("\u200b ") == "\u200b");
  CHECK(python_strip(" \t ").empty());
  CHECK(python_strip("\xff ") == "\xff");
  CHECK(python_split("  a\u00a0"
                     "bc\n")
            .size() == 2);
  CHECK(python_split("").empty());
  CHECK(replace_all("a..b..", "..", ".") == "a.b.");
  CHECK(replace_all("aaa", "aa", "a") == "aa");
}

}  // namespace
}  // namespace vizoo::test
