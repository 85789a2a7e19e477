// Texts that are not acceptable JSON, each with the whole message that parsing it must give.
#include <string>
#include <vector>

#include "hostile_case.h"
#include "support/corpus.h"
#include "vizoo/io/json.h"

namespace vizoo::test {
namespace {

std::vector<HostileCase> syntax_cases() {
  return {
      {"empty", "", "1:1: expected a value, got the end of the text."},
      {"white space", " \n\t", "2:2: expected a value, got the end of the text."},
      {"a word", R"(hello)", "1:1: expected a value, got \"hello\"."},
      {"YAML", R"(depths: [3, 3])", "1:1: expected a value, got \"depths\"."},
      {"HTML", R"(<!DOCTYPE html>)", "1:1: expected a value, got \"<\"."},
      {"Python dict",
       R"({'depths': [3, 3]})",
       "1:2: expected a key in double quotes or \"}\", got \"'\"."},
      {"binary", std::string("\x80\2}q\0.", 6), "1:1: expected a value, got \"\\x80\"."},
      {"UTF-16 with mark",
       std::string("\xff\xfe{\0}\0", 6),
       "1:1: expected a value, got \"\\xff\"."},
      {"byte order mark", "\xEF\xBB\xBF{}", "1:1: expected a value, got a byte order mark."},
      {"cut object",
       R"({)",
       "1:2: expected a key in double quotes or \"}\", got the end of the text."},
      {"cut array", R"([)", "1:2: expected a value or \"]\", got the end of the text."},
      {"cut string", R"("abc)", "1:5: expected the end of a string, got the end of the text."},
      {"cut key", R"({"abc)", "1:6: expected the end of a string, got the end of the text."},
      {"cut after key", R"({"a")", "1:5: expected \":\", got the end of the text."},
      {"cut after colon", R"({"a":)", "1:6: expected a value, got the end of the text."},
      {"cut after comma",
       R"({"a":1,)",
       "1:8: expected a key in double quotes, got the end of the text."},
      {"cut word", R"([tru)", "1:2: expected a value, got \"tru\"."},
      {"cut number", R"([-)", "1:3: expected a digit, got the end of the text."},
      {"cut fraction", R"([1.)", "1:4: expected a digit, got the end of the text."},
      {"cut exponent", R"([1e+)", "1:5: expected a digit, got the end of the text."},
      {"cut escape",
       R"("\)",
       "1:3: expected one of the characters \"\\/bfnrtu after a backslash, got the "
       "end of the text."},
      {"trailing comma in an array", R"([1,])", "1:4: expected a value, got \"]\"."},
      {"trailing comma in an object",
       R"({"a":1,})",
       "1:8: expected a key in double quotes, got \"}\"."},
      {"two commas", R"([1,,2])", "1:4: expected a value, got \",\"."},
      {"leading comma", R"([,1])", "1:2: expected a value or \"]\", got \",\"."},
      {"no comma", R"([1 2])", "1:4: expected \",\" or \"]\", got \"2\"."},
      {"no colon", R"({"a" 1})", "1:6: expected \":\", got \"1\"."},
      {"equals sign", R"({"a"=1})", "1:5: expected \":\", got \"=\"."},
      {"number as key", R"({1:2})", "1:2: expected a key in double quotes or \"}\", got \"1\"."},
      {"null as key",
       R"({null:2})",
       "1:2: expected a key in double quotes or \"}\", got \"null\"."},
      {"wrong bracket", R"([1})", "1:3: expected \",\" or \"]\", got \"}\"."},
      {"wrong brace", R"({"a":1])", "1:7: expected \",\" or \"}\", got \"]\"."},
      {"bracket too many", R"([]])", "1:3: expected the end of the text, got \"]\"."},
      {"two values", R"({} {})", "1:4: expected the end of the text, got \"{\"."},
      {"comment", "{} // none", "1:4: expected the end of the text, got \"/\"."},
      {"comment inside", R"([1, /* none */ 2])", "1:5: expected a value, got \"/\"."},
      {"error on line 3", "{\n  \"a\": 1,\n  \"b\": tru\n}", "3:8: expected a value, got \"tru\"."},
      {"column counts characters",
       "[\"\xc3\xa4\xe4\xb8\xad\" x]",
       "1:7: expected \",\" or \"]\", got \"x\"."},
  };
}

std::vector<HostileCase> number_cases() {
  return {
      {"leading zero", R"([01])", "1:2: expected a number without leading zeros, got \"01\"."},
      {"leading plus", R"([+1])", "1:2: expected a value or \"]\", got \"+1\"."},
      {"leading point", R"([.5])", "1:2: expected a value or \"]\", got \".5\"."},
      {"trailing point", R"([5.])", "1:4: expected a digit, got \"]\"."},
      {"hexadecimal", R"([0x10])", "1:3: expected \",\" or \"]\", got \"x10\"."},
      {"NaN", R"([NaN])", "1:2: expected a value or \"]\", got \"NaN\"."},
      {"Infinity", R"([Infinity])", "1:2: expected a value or \"]\", got \"Infinity\"."},
      {"-Infinity", R"([-Infinity])", "1:3: expected a digit, got \"Infinity\"."},
      {"1e309",
       R"([1e309])",
       "1:2: expected a number within the range of a double, got \"1e309\"."},
      {"-1e309",
       R"([-1e309])",
       "1:2: expected a number within the range of a double, got \"-1e309\"."},
      {"400 digits",
       "[" + repeat("9", 400) + "]",
       "1:2: expected a number within the range of a double, got "
       "\"9999999999999999999999999999999999999999\"."},
      {"1e99999999999999999999",
       R"([1e99999999999999999999])",
       "1:2: expected a number within the range of a double, got "
       "\"1e99999999999999999999\"."},
      {"two points", R"([1.2.3])", "1:5: expected \",\" or \"]\", got \".3\"."},
      {"underscore", R"([1_000])", "1:3: expected \",\" or \"]\", got \"_000\"."},
      {"None", R"([None])", "1:2: expected a value or \"]\", got \"None\"."},
      {"True", R"([True])", "1:2: expected a value or \"]\", got \"True\"."},
  };
}

std::vector<HostileCase> string_cases() {
  return {
      {"line feed",
       "\"a\nb\"",
       "1:3: expected control characters of a string to be escaped, got \"\\x0a\"."},
      {"NUL",
       std::string("\"a\0b\"", 5),
       "1:3: expected control characters of a string to be escaped, got \"\\x00\"."},
      {"bad escape",
       R"("\q")",
       "1:3: expected one of the characters \"\\/bfnrtu after a backslash, got \"q\"."},
      {"cut unicode escape", R"("\u12")", "1:6: expected four hexadecimal digits, got \"\"\"."},
      {"lone high surrogate", R"("\ud83d")", "1:2: expected surrogates in pairs, got \"\\ud83d\"."},
      {"lone low surrogate", R"("\ude00")", "1:2: expected surrogates in pairs, got \"\\ude00\"."},
      {"surrogates reversed",
       R"("\ude00\ud83d")",
       "1:2: expected surrogates in pairs, got \"\\ude00\"."},
      {"invalid byte", "\"\xff\"", "1:2: expected valid UTF-8, got \"\\xff\"."},
      {"overlong", "\"\xc0\x80\"", "1:2: expected valid UTF-8, got \"\\xc0\"."},
      {"encoded surrogate", "\"\xed\xa0\x80\"", "1:2: expected valid UTF-8, got \"\\xed\"."},
      {"above U+10FFFF", "\"\xf5\x80\x80\x80\"", "1:2: expected valid UTF-8, got \"\\xf5\"."},
      {"cut sequence", "\"\xe2\x82\"", "1:2: expected valid UTF-8, got \"\\xe2\"."},
      {"lone continuation", "\"\x80\"", "1:2: expected valid UTF-8, got \"\\x80\"."},
      {"no end after 1,000,000 bytes",
       "\"" + repeat("a", 1'000'000),
       "1:1000002: expected the end of a string, got the end of the text."},
      {"a word of 1,000,000 bytes",
       "[" + repeat("a", 1'000'000) + "]",
       "1:2: expected a value or \"]\", got "
       "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"."},
  };
}

std::vector<HostileCase> limit_cases() {
  return {
      {"65 arrays",
       repeat("[", 65) + repeat("]", 65),
       "1:65: expected at most 64 levels of nesting, got more."},
      {"65 objects",
       repeat("{\"a\":", 65) + "1" + repeat("}", 65),
       "1:321: expected at most 64 levels of nesting, got more."},
      {"1,000 levels",
       repeat("[", 1000) + repeat("]", 1000),
       "1:65: expected at most 64 levels of nesting, got more."},
      {"1,000 mixed levels",
       repeat("[{\"a\":", 500),
       "1:193: expected at most 64 levels of nesting, got more."},
      {"1,000,000 levels",
       repeat("[", 1'000'000),
       "1:65: expected at most 64 levels of nesting, got more."},
      {"4,000,000 numbers",
       "[" + repeat("0,", 4'000'000) + "0]",
       "1:1381908: expected values that fit into the text's size plus 25165824 "
       "bytes of memory, got more."},
      {"1,000,000 empty objects",
       "[" + repeat("{},", 1'000'000) + "{}]",
       "1:660134: expected values that fit into the text's size plus 25165824 "
       "bytes of memory, got more."},
      {"1,000,000 empty strings",
       "[" + repeat("\"\",", 1'000'000) + "0]",
       "1:754439: expected values that fit into the text's size plus 25165824 "
       "bytes of memory, got more."},
  };
}

std::vector<HostileCase> duplicate_cases() {
  return {
      {"twice", R"({"a":1,"a":1})", "1:8: /a: expected every key once, got \"a\" again."},
      {"twice below",
       R"({"a":{"b":[0,{"c":1,"c":2}]}})",
       "1:21: /a/b/1/c: expected every key once, got \"c\" again."},
      {"twice by an escape",
       R"({"a":1,"\u0061":2})",
       "1:8: /a: expected every key once, got \"a\" again."},
      {"twice and far apart",
       R"({"x":1,"y":{"x":1},"x":2})",
       "1:20: /x: expected every key once, got \"x\" again."},
      {"path is escaped",
       R"({"a/b":{"c~d":1,"c~d":2}})",
       "1:17: /a~1b/c~0d: expected every key once, got \"c~d\" again."},
      {"empty key twice", R"({"":1,"":2})", "1:7: /: expected every key once, got \"\" again."},
      {"control characters in the path",
       R"({"\n":{"\u0000":1,"\u0000":2}})",
       "1:19: /\\x0a/\\x00: expected every key once, got \"\\x00\" again."},
      {"a key of 1,000 bytes twice",
       "{\"" + repeat("k", 1000) + "\":1,\"" + repeat("k", 1000) + "\":1}",
       "1:1007: "
       "/kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
       "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
       "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk...: expected every key "
       "once, got "
       "\"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
       "kkkkkk...\" again."},
  };
}

void check(std::vector<HostileCase> cases) {
  for (HostileCase& row : cases) row.message = "[config] dir/config.json:" + row.message;
  check_hostile_cases<ConfigError>(
      cases, [](const HostileCase& row) { parse_json(row.bytes, "dir/config.json"); });
}

TEST_CASE("hostile JSON: syntax", "[io]") { check(syntax_cases()); }
TEST_CASE("hostile JSON: number", "[io]") { check(number_cases()); }
TEST_CASE("hostile JSON: string", "[io]") { check(string_cases()); }
TEST_CASE("hostile JSON: limit", "[io]") { check(limit_cases()); }
TEST_CASE("hostile JSON: duplicate", "[io]") { check(duplicate_cases()); }

}  // namespace
}  // namespace vizoo::test
