// Files that are not valid safetensors files, each with the whole message that opening it must
// give.
#include <string>
#include <vector>

#include "safetensors_case.h"

namespace vizoo::test {
namespace {

std::vector<HostileCase> length_cases() {
  return {
      {"empty file",
       "",
       "expected a safetensors file of at least 8 bytes, got 0. The file is "
       "damaged or in another format."},
      {"seven bytes",
       std::string(7, '\0'),
       "expected a safetensors file of at least 8 bytes, got 7. The file is "
       "damaged or in another format."},
      {"only a length of 0",
       little_endian(0),
       "header byte 0: expected a value, got the end of the text."},
      {"length of 0 with data",
       little_endian(0) + "12345678",
       "header byte 0: expected a value, got the end of the text."},
      {"length one past the end",
       little_endian(3) + "{}",
       "expected a safetensors header within the file's 10 bytes, got one of 3. "
       "The file is damaged or in another format."},
      {"length at the limit",
       little_endian(100'000'000) + "{}",
       "expected a safetensors header within the file's 10 bytes, got one of "
       "100000000. The file is damaged or in another format."},
      {"length one past the limit",
       little_endian(100'000'001) + "{}",
       "expected a safetensors header of at most 100000000 bytes, got 100000001. "
       "The file is damaged or in another format."},
      {"length 2^32",
       little_endian(uint64_t{1} << 32U) + "{}",
       "expected a safetensors header of at most 100000000 bytes, got 4294967296. "
       "The file is damaged or in another format."},
      {"length 2^63",
       little_endian(uint64_t{1} << 63U) + "{}",
       "expected a safetensors header of at most 100000000 bytes, got "
       "9223372036854775808. The file is damaged or in another format."},
      {"length 2^64 - 8",
       little_endian(~uint64_t{7}) + "{}",
       "expected a safetensors header of at most 100000000 bytes, got "
       "18446744073709551608. The file is damaged or in another format."},
      {"length 2^64 - 1",
       little_endian(~uint64_t{0}) + "{}",
       "expected a safetensors header of at most 100000000 bytes, got "
       "18446744073709551615. The file is damaged or in another format."},
      {"length too short",
       little_endian(1) + "{}",
       "header byte 1: expected a key in double quotes or \"}\", got the end of the "
       "text."},
      {"length swallows the data",
       little_endian(kGood.size() + 8) + kGood + std::string(8, '\0'),
       "header byte 54: expected the end of the text, got \"\\x00\"."},
      {"big-endian length",
       std::string(7, '\0') + "\2{}",
       "expected a safetensors header of at most 100000000 bytes, got "
       "144115188075855872. The file is damaged or in another format."},
      {"another format",
       "PK\3\4" + std::string(60, '\0'),
       "expected a safetensors header within the file's 64 bytes, got one of "
       "67324752. The file is damaged or in another format."},
      {"a pickle",
       "\x80\2ccollections\nOrderedDict\n)R.",
       "expected a safetensors header of at most 100000000 bytes, got "
       "7308335520980075136. The file is damaged or in another format."},
      {"an HTML page",
       "<!DOCTYPE html><html><body>Access denied</body></html>",
       "expected a safetensors header of at most 100000000 bytes, got "
       "5789751444030890300. The file is damaged or in another format."},
      {"a git-lfs pointer",
       "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
       "expected a safetensors header of at most 100000000 bytes, got "
       "2336927755350992246. This is a pointer of git-lfs: run `git lfs pull`."},
  };
}

std::vector<HostileCase> json_cases() {
  return {
      {"no object: array", file(R"([])", 0), "expected a header that is an object, got an array."},
      {"no object: string", file(R"("a")", 0), "expected a header that is an object, got \"a\"."},
      {"no object: number", file(R"(7)", 0), "expected a header that is an object, got 7."},
      {"no object: null", file(R"(null)", 0), "expected a header that is an object, got null."},
      {"no object: true",
       file(R"(true)", 0),
       "expected a header that is an object, got a boolean."},
      {"only white space",
       file(R"(   	
 )",
            0),
       "header byte 6: expected a value, got the end of the text."},
      {"NUL bytes", file(std::string(8, '\0')), "header byte 0: expected a value, got \"\\x00\"."},
      {"padded with NUL",
       file(std::string("{}") + std::string(6, '\0')),
       "header byte 2: expected the end of the text, got \"\\x00\"."},
      {"cut object",
       file(R"({)", 0),
       "header byte 1: expected a key in double quotes or \"}\", got the end of the "
       "text."},
      {"cut key",
       file(R"({"a)", 0),
       "header byte 3: expected the end of a string, got the end of the text."},
      {"no colon", file(R"({"a"})", 0), "header byte 4: expected \":\", got \"}\"."},
      {"no value", file(R"({"a":})", 0), "header byte 5: expected a value, got \"}\"."},
      {"no comma",
       file(R"({"a":{} "b":{}})", 0),
       "tensor \"a\": expected a key \"dtype\", got none."},
      {"trailing comma",
       file(R"({"__metadata__":{},})", 0),
       "header byte 19: expected a key in double quotes, got \"}\"."},
      {"two values", file(R"({}{})", 0), "header byte 2: expected the end of the text, got \"{\"."},
      {"words after",
       file(R"({} x)", 0),
       "header byte 3: expected the end of the text, got \"x\"."},
      {"single quotes",
       file(R"({'a':1})", 0),
       "header byte 1: expected a key in double quotes or \"}\", got \"'\"."},
      {"unquoted key",
       file(R"({a:1})", 0),
       "header byte 1: expected a key in double quotes or \"}\", got \"a\"."},
      {"a comment",
       file(R"({/* none */})", 0),
       "header byte 1: expected a key in double quotes or \"}\", got \"/\"."},
      {"byte order mark",
       file("\xEF\xBB\xBF{}"),
       "header byte 0: expected a value, got a byte order mark."},
      {"UTF-16",
       file(std::string("{\0}\0", 4)),
       "header byte 1: expected a key in double quotes or \"}\", got \"\\x00\"."},
      {"NaN",
       file(tensor(R"(NaN)", R"([2])", R"([0,8])"), 8),
       "header byte 14: expected a value, got \"NaN\"."},
      {"Infinity",
       file(tensor(R"("F32")", R"([Infinity])", R"([0,8])"), 8),
       "header byte 29: expected a value or \"]\", got \"Infinity\"."},
      {"invalid UTF-8 in a name",
       file("{\"\xff\":1}"),
       "header byte 2: expected valid UTF-8, got \"\\xff\"."},
      {"overlong UTF-8 in a name",
       file("{\"\xc0\xaf\":1}"),
       "header byte 2: expected valid UTF-8, got \"\\xc0\"."},
      {"surrogate in UTF-8",
       file("{\"\xed\xa0\x80\":1}"),
       "header byte 2: expected valid UTF-8, got \"\\xed\"."},
      {"cut UTF-8 in a name",
       file("{\"\xe4\xb8\":1}"),
       "header byte 2: expected valid UTF-8, got \"\\xe4\"."},
      {"code point above U+10FFFF",
       file("{\"\xf4\x90\x80\x80\":1}"),
       "header byte 2: expected valid UTF-8, got \"\\xf4\"."},
      {"invalid UTF-8 between values",
       file("{\xff}"),
       "header byte 1: expected a key in double quotes or \"}\", got \"\\xff\"."},
      {"lone high surrogate",
       file(R"({"\ud800":1})", 0),
       "header byte 2: expected surrogates in pairs, got \"\\ud800\"."},
      {"lone low surrogate",
       file(R"({"\udc00":1})", 0),
       "header byte 2: expected surrogates in pairs, got \"\\udc00\"."},
      {"high surrogate and letter",
       file(R"({"\ud800\u0041":1})", 0),
       "header byte 2: expected surrogates in pairs, got \"\\ud800\"."},
      {"bad escape",
       file(R"({"\x":1})", 0),
       "header byte 3: expected one of the characters \"\\/bfnrtu after a backslash, "
       "got \"x\"."},
      {"cut escape",
       file(R"({"\u00)", 0),
       "header byte 6: expected four hexadecimal digits, got the end of the text."},
      {"bad hexadecimal digit",
       file(R"({"\u00g0":1})", 0),
       "header byte 6: expected four hexadecimal digits, got \"g0\"."},
      {"control character in a name",
       file("{\"a\nb\":1}"),
       "header byte 3: expected control characters of a string to be escaped, got "
       "\"\\x0a\"."},
      {"1,000 arrays",
       file(repeat("[", 1000)),
       "expected a header that is an object, got an array."},
      {"1,000 objects",
       file(repeat("{\"a\":", 1000)),
       "header byte 20: expected at most 4 levels of nesting, got more."},
      {"1,000,000 arrays in a tensor",
       file("{\"a\":{\"x\":" + repeat("[", 1'000'000)),
       "header byte 12: expected at most 4 levels of nesting, got more."},
      {"nested shape",
       file(tensor(R"("F32")", R"([[2]])", R"([0,8])"), 8),
       "tensor \"a\": shape: expected non-negative integers, got an array."},
      {"five levels in an unknown key",
       file(R"({"a":{"x":[[[1]]]}})", 0),
       "header byte 12: expected at most 4 levels of nesting, got more."},
      {"1e400",
       file(tensor(R"("F32")", R"([1e400])", R"([0,8])"), 8),
       "header byte 29: expected a number within the range of a double, got "
       "\"1e400\"."},
      {"a name of 1,000,000 bytes without end",
       file("{\"" + std::string(1'000'000, 'a')),
       "header byte 1000002: expected the end of a string, got the end of the text."},
  };
}

std::vector<HostileCase> metadata_cases() {
  return {
      {"metadata array",
       file(R"({"__metadata__":[]})", 0),
       "__metadata__: expected an object, got an array."},
      {"metadata string",
       file(R"({"__metadata__":"pt"})", 0),
       "__metadata__: expected an object, got \"pt\"."},
      {"metadata number",
       file(R"({"__metadata__":1})", 0),
       "__metadata__: expected an object, got 1."},
      {"metadata value null",
       file(R"({"__metadata__":{"format":null}})", 0),
       "__metadata__: key \"format\": expected a string, got null."},
      {"metadata value number",
       file(R"({"__metadata__":{"format":1}})", 0),
       "__metadata__: key \"format\": expected a string, got 1."},
      {"metadata value object",
       file(R"({"__metadata__":{"format":{"a":"b"}}})", 0),
       "__metadata__: key \"format\": expected a string, got an object."},
      {"metadata value array",
       file(R"({"__metadata__":{"format":["pt"]}})", 0),
       "__metadata__: key \"format\": expected a string, got an array."},
      {"metadata value boolean",
       file(R"({"__metadata__":{"format":true}})", 0),
       "__metadata__: key \"format\": expected a string, got a boolean."},
      {"metadata key twice",
       file(R"({"__metadata__":{"format":"pt","format":"pt"}})", 0),
       "__metadata__: expected every key once, got \"format\" again."},
      {"metadata twice",
       file(R"({"__metadata__":{},"__metadata__":{}})", 0),
       "__metadata__: expected every key once, got it again."},
      {"100,001 metadata keys",
       file(many_metadata_keys(100'001)),
       "__metadata__: expected at most 100000 keys, got more."},
      {"a metadata value of 40 MB",
       file(R"({"__metadata__":{"a":")" + repeat("b", 40'000'000) + "\"}}"),
       "__metadata__: expected at most 33554432 bytes of keys and values, got more."},
      {"a metadata key of 40 MB",
       file(R"({"__metadata__":{")" + repeat("b", 40'000'000) + "\":\"\"}}"),
       "__metadata__: expected at most 33554432 bytes of keys and values, got more."},
      {"metadata as a tensor",
       file(R"({"__metadata__":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 0),
       "__metadata__: key \"shape\": expected a string, got an array."},
  };
}

std::vector<HostileCase> size_cases() {
  return {
      {"250,001 empty tensors",
       file(many_tensors(250'001, 0, 0)),
       "expected at most 250000 tensors, got more."},
      {"1,000,000 tensors on one slice",
       file(many_tensors(1'000'000, 0, 8), 8),
       "expected at most 250000 tensors, got more."},
      {"an escaped name of 9 MB",
       file("{\"\\n" + repeat("a", 9'000'000) + "\":1}"),
       "header byte 1: expected at most 8388608 bytes in a string with escape "
       "sequences, got more."},
      {"1,000,001 unknown values",
       file("{\"a\":{\"x\":[" + repeat("0,", 1'000'000) + "0]}}"),
       "expected at most 1000000 values under unknown keys, got more."},
      {"2,000,001 sizes",
       file(tensor("\"U8\"", "[" + repeat("1,", 2'000'000) + "1]", "[0,1]"), 1),
       "expected at most 2000000 dimensions in all shapes together, got more."},
  };
}

TEST_CASE("hostile safetensors: length", "[io]") { check(length_cases()); }
TEST_CASE("hostile safetensors: json", "[io]") { check(json_cases()); }
TEST_CASE("hostile safetensors: metadata", "[io]") { check(metadata_cases()); }
TEST_CASE("hostile safetensors: size", "[io]") { check(size_cases()); }

// Every prefix of a valid file is refused for the reason that its length gives.
TEST_CASE("hostile safetensors: truncated anywhere", "[io]") {
  const std::string whole = file(two_tensors("[0,4]", "[4,8]"), 8);
  const std::size_t header = whole.size() - 16;
  const std::string kHint = " The file is damaged or in another format.";
  std::vector<HostileCase> cases;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    std::string message = "expected a safetensors file of at least 8 bytes, got ";
    if (size < 8) {
      message += std::to_string(size) + "." + kHint;
    } else if (size < header + 8) {
      message = "expected a safetensors header within the file's " + std::to_string(size) +
                " bytes, got one of " + std::to_string(header) + "." + kHint;
    } else {
      const std::size_t data = size - header - 8;
      message = std::string("tensor \"") + (data < 4 ? "a" : "b") +
                "\": expected data within the " + std::to_string(data) +
                " bytes that follow the header, got data_offsets " +
                (data < 4 ? "[0, 4]." : "[4, 8].");
    }
    cases.push_back({"first " + std::to_string(size) + " bytes", whole.substr(0, size), message});
  }
  CHECK(cases.size() > 100);
  check(cases);
}

}  // namespace
}  // namespace vizoo::test
