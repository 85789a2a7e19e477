// Files that are not valid safetensors files, each with the whole message that opening it must
// give.
#include <string>
#include <vector>

#include "hostile_case.h"
#include "support/corpus.h"
#include "vizoo/io/safetensors.h"

namespace vizoo::test {
namespace {

std::string file(const std::string& header, std::size_t data_bytes = 0) {
  return safetensors_bytes(header, data_bytes);
}

std::string tensor(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"a":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}}";
}

std::string two_tensors(const std::string& first_offsets, const std::string& second_offsets) {
  return R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + first_offsets +
         R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + second_offsets + "}}";
}

std::string many_tensors(std::size_t count, std::size_t begin, std::size_t end) {
  std::string header = "{";
  for (std::size_t i = 0; i < count; ++i) {
    header += (i == 0 ? "\"" : ",\"") + std::to_string(i) + R"(":{"dtype":"U8","shape":[)" +
              std::to_string(end - begin) + R"(],"data_offsets":[)" + std::to_string(begin) + "," +
              std::to_string(end) + "]}";
  }
  return header + "}";
}

std::string many_metadata_keys(std::size_t count) {
  std::string header = R"({"__metadata__":{)";
  for (std::size_t i = 0; i < count; ++i) {
    header += (i == 0 ? "\"" : ",\"") + std::to_string(i) + R"(":"")";
  }
  return header + "}}";
}

const std::string kGood = tensor("\"F32\"", "[2]", "[0,8]");

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

std::vector<HostileCase> members_cases() {
  return {
      {"tensor is null", file(R"({"a":null})", 0), "tensor \"a\": expected an object, got null."},
      {"tensor is a number", file(R"({"a":1})", 0), "tensor \"a\": expected an object, got 1."},
      {"tensor is a string",
       file(R"({"a":"F32"})", 0),
       "tensor \"a\": expected an object, got \"F32\"."},
      {"tensor is an array",
       file(R"({"a":["F32",[2],[0,8]]})", 8),
       "tensor \"a\": expected an object, got an array."},
      {"tensor is empty",
       file(R"({"a":{}})", 0),
       "tensor \"a\": expected a key \"dtype\", got none."},
      {"no dtype",
       file(R"({"a":{"shape":[2],"data_offsets":[0,8]}})", 8),
       "tensor \"a\": expected a key \"dtype\", got none."},
      {"no shape",
       file(R"({"a":{"dtype":"F32","data_offsets":[0,8]}})", 8),
       "tensor \"a\": expected a key \"shape\", got none."},
      {"no offsets",
       file(R"({"a":{"dtype":"F32","shape":[2]}})", 8),
       "tensor \"a\": expected a key \"data_offsets\", got none."},
      {"dtype unknown",
       file(tensor(R"("F128")", R"([2])", R"([0,8])"), 8),
       "tensor \"a\": dtype: expected a type of the safetensors format, got \"F128\"."},
      {"dtype lower case",
       file(tensor(R"("f32")", R"([2])", R"([0,8])"), 8),
       "tensor \"a\": dtype: expected a type of the safetensors format, got \"f32\"."},
      {"dtype empty",
       file(tensor(R"("")", R"([2])", R"([0,8])"), 8),
       "tensor \"a\": dtype: expected a type of the safetensors format, got \"\"."},
      {"dtype null",
       file(tensor(R"(null)", R"([2])", R"([0,8])"), 8),
       "tensor \"a\": dtype: expected a string, got null."},
      {"dtype number",
       file(tensor(R"(32)", R"([2])", R"([0,8])"), 8),
       "tensor \"a\": dtype: expected a string, got 32."},
      {"dtype object",
       file(tensor(R"({"F32":null})", R"([2])", R"([0,8])"), 8),
       "tensor \"a\": dtype: expected a string, got an object."},
      {"dtype of 1,000,000 bytes",
       file(tensor("\"" + std::string(1'000'000, 'F') + "\"", "[2]", "[0,8]"), 8),
       "tensor \"a\": dtype: expected a type of the safetensors format, got "
       "\"FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
       "FFFFFF...\"."},
      {"dtype with a line feed",
       file(tensor(R"("F32\n[checkpoint] all is well")", R"([2])", R"([0,8])"), 8),
       "tensor \"a\": dtype: expected a type of the safetensors format, got "
       "\"F32\\x0a[checkpoint] all is well\"."},
      {"shape null",
       file(tensor(R"("F32")", R"(null)", R"([0,8])"), 8),
       "tensor \"a\": shape: expected an array, got null."},
      {"shape number",
       file(tensor(R"("F32")", R"(2)", R"([0,8])"), 8),
       "tensor \"a\": shape: expected an array, got 2."},
      {"shape object",
       file(tensor(R"("F32")", R"({"0":2})", R"([0,8])"), 8),
       "tensor \"a\": shape: expected an array, got an object."},
      {"shape string",
       file(tensor(R"("F32")", R"("2")", R"([0,8])"), 8),
       "tensor \"a\": shape: expected an array, got \"2\"."},
      {"size negative",
       file(tensor(R"("F32")", R"([-2])", R"([0,8])"), 8),
       "tensor \"a\": shape: expected non-negative integers, got -2."},
      {"size float",
       file(tensor(R"("F32")", R"([2.0])", R"([0,8])"), 8),
       "tensor \"a\": shape: expected non-negative integers, got 2.0."},
      {"size exponent",
       file(tensor(R"("F32")", R"([2e0])", R"([0,8])"), 8),
       "tensor \"a\": shape: expected non-negative integers, got 2e0."},
      {"size -0",
       file(tensor(R"("F32")", R"([-0])", R"([0,8])"), 8),
       "tensor \"a\": shape: expected non-negative integers, got -0."},
      {"size string",
       file(tensor(R"("F32")", R"(["2"])", R"([0,8])"), 8),
       "tensor \"a\": shape: expected non-negative integers, got \"2\"."},
      {"size null",
       file(tensor(R"("F32")", R"([null])", R"([0,8])"), 8),
       "tensor \"a\": shape: expected non-negative integers, got null."},
      {"size boolean",
       file(tensor(R"("F32")", R"([true])", R"([0,8])"), 8),
       "tensor \"a\": shape: expected non-negative integers, got a boolean."},
      {"size 2^64",
       file(tensor(R"("F32")", R"([18446744073709551616])", R"([0,8])"), 8),
       "tensor \"a\": shape: expected non-negative integers, got "
       "18446744073709551616."},
      {"size 2^63 in an empty tensor",
       file(tensor(R"("F32")", R"([0,9223372036854775808])", R"([0,0])"), 8),
       "tensor \"a\": shape: expected sizes of at most 9223372036854775807, got "
       "9223372036854775808."},
      {"size with a leading zero",
       file(tensor(R"("F32")", R"([02])", R"([0,8])"), 8),
       "header byte 29: expected a number without leading zeros, got \"02\"."},
      {"offsets null",
       file(tensor(R"("F32")", R"([2])", R"(null)"), 8),
       "tensor \"a\": data_offsets: expected an array, got null."},
      {"offsets object",
       file(tensor(R"("F32")", R"([2])", R"({"begin":0,"end":8})"), 8),
       "tensor \"a\": data_offsets: expected an array, got an object."},
      {"offsets empty",
       file(tensor(R"("F32")", R"([2])", R"([])"), 8),
       "tensor \"a\": data_offsets: expected two offsets, got fewer."},
      {"one offset",
       file(tensor(R"("F32")", R"([2])", R"([0])"), 8),
       "tensor \"a\": data_offsets: expected two offsets, got fewer."},
      {"three offsets",
       file(tensor(R"("F32")", R"([2])", R"([0,8,8])"), 8),
       "tensor \"a\": data_offsets: expected two offsets, got more."},
      {"offset negative",
       file(tensor(R"("F32")", R"([2])", R"([-8,0])"), 8),
       "tensor \"a\": data_offsets: expected non-negative integers, got -8."},
      {"offset float",
       file(tensor(R"("F32")", R"([2])", R"([0.0,8.0])"), 8),
       "tensor \"a\": data_offsets: expected non-negative integers, got 0.0."},
      {"offset string",
       file(tensor(R"("F32")", R"([2])", R"(["0","8"])"), 8),
       "tensor \"a\": data_offsets: expected non-negative integers, got \"0\"."},
      {"offset 2^64",
       file(tensor(R"("F32")", R"([2])", R"([0,18446744073709551616])"), 8),
       "tensor \"a\": data_offsets: expected non-negative integers, got "
       "18446744073709551616."},
      {"offset true",
       file(tensor(R"("F32")", R"([2])", R"([false,true])"), 8),
       "tensor \"a\": data_offsets: expected non-negative integers, got a boolean."},
      {"dtype twice",
       file(R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8),
       "tensor \"a\": expected every key once, got \"dtype\" again."},
      {"shape twice",
       file(R"({"a":{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}})", 8),
       "tensor \"a\": expected every key once, got \"shape\" again."},
      {"offsets twice",
       file(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"data_offsets":[0,8]}})", 8),
       "tensor \"a\": expected every key once, got \"data_offsets\" again."},
      {"name twice",
       file(
           R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
           8),
       "expected every tensor once, got \"a\" again."},
      {"name twice, once escaped",
       file(
           R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"\u0061":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
           8),
       "expected every tensor once, got \"a\" again."},
      {"a name with control characters",
       file(R"({"a\u001b[31m\u0000\n":1})", 0),
       "tensor \"a\\x1b[31m\\x00\\x0a\": expected an object, got 1."},
      {"a name of 1,000 bytes",
       file("{\"" + std::string(1000, 'n') + "\":1}"),
       "tensor "
       "\"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
       "nnnnnn...\": expected an object, got 1."},
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
      {"metadata as a tensor",
       file(R"({"__metadata__":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 0),
       "__metadata__: key \"shape\": expected a string, got an array."},
  };
}

std::vector<HostileCase> layout_cases() {
  return {
      {"begins late",
       file(tensor(R"("F32")", R"([1])", R"([4,8])"), 8),
       "tensor \"a\": expected data that begins at 0, got data_offsets [4, 8]."},
      {"hole",
       file(two_tensors("[0,4]", "[5,9]"), 9),
       "tensor \"b\": expected data that begins at 4, where the tensor before it "
       "ends, got data_offsets [5, 9]."},
      {"overlap by one",
       file(two_tensors("[0,4]", "[3,7]"), 8),
       "tensor \"b\": expected data that begins at 4, where the tensor before it "
       "ends, got data_offsets [3, 7]."},
      {"same place",
       file(two_tensors("[0,4]", "[0,4]"), 4),
       "tensor \"b\": expected data that begins at 4, where the tensor before it "
       "ends, got data_offsets [0, 4]."},
      {"swapped and overlapping",
       file(two_tensors("[2,6]", "[0,4]"), 8),
       "tensor \"a\": expected data that begins at 4, where the tensor before it "
       "ends, got data_offsets [2, 6]."},
      {"one inside the other",
       file(
           R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
           8),
       "tensor \"b\": expected data that begins at 8, where the tensor before it "
       "ends, got data_offsets [2, 4]."},
      {"empty tensor inside another",
       file(
           R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[0],"data_offsets":[4,4]}})",
           8),
       "tensor \"b\": expected data that begins at 8, where the tensor before it "
       "ends, got data_offsets [4, 4]."},
      {"end before begin",
       file(tensor(R"("F32")", R"([2])", R"([8,0])"), 8),
       "tensor \"a\": expected data that begins at 0, got data_offsets [8, 0]."},
      {"begin past the file",
       file(two_tensors("[0,4]", "[100,104]"), 8),
       "tensor \"b\": expected data that begins at 4, where the tensor before it "
       "ends, got data_offsets [100, 104]."},
      {"too few bytes for the shape",
       file(tensor(R"("F32")", R"([2])", R"([0,7])"), 8),
       "tensor \"a\": expected 8 bytes for F32 [2], got data_offsets [0, 7]."},
      {"too many bytes for the shape",
       file(tensor(R"("F32")", R"([1])", R"([0,8])"), 8),
       "tensor \"a\": expected 4 bytes for F32 [1], got data_offsets [0, 8]."},
      {"dtype too small",
       file(tensor(R"("F16")", R"([2])", R"([0,8])"), 8),
       "tensor \"a\": expected 4 bytes for F16 [2], got data_offsets [0, 8]."},
      {"dtype too large",
       file(tensor(R"("F64")", R"([2])", R"([0,8])"), 8),
       "tensor \"a\": expected 16 bytes for F64 [2], got data_offsets [0, 8]."},
      {"empty shape with bytes of two",
       file(tensor(R"("F32")", R"([])", R"([0,8])"), 8),
       "tensor \"a\": expected 4 bytes for F32 [], got data_offsets [0, 8]."},
      {"zero size with bytes",
       file(tensor(R"("F32")", R"([2,0])", R"([0,8])"), 8),
       "tensor \"a\": expected 0 bytes for F32 [2, 0], got data_offsets [0, 8]."},
      {"data past the end of the file",
       file(tensor(R"("F32")", R"([4])", R"([0,16])"), 8),
       "tensor \"a\": expected data within the 8 bytes that follow the header, got "
       "data_offsets [0, 16]."},
      {"one byte missing",
       file(kGood, 7),
       "tensor \"a\": expected data within the 7 bytes that follow the header, got "
       "data_offsets [0, 8]."},
      {"one byte too many", file(kGood, 9), "expected 8 bytes of tensors, got 9 after the header."},
      {"data but no tensor",
       file(R"({})", 8),
       "expected 0 bytes of tensors, got 8 after the header."},
      {"only metadata and data",
       file(R"({"__metadata__":{"format":"pt"}})", 8),
       "expected 0 bytes of tensors, got 8 after the header."},
      {"a second file behind the first",
       file(kGood, 8) + file(kGood, 8),
       "expected 8 bytes of tensors, got 78 after the header."},
      {"product of sizes overflows",
       file(tensor(R"("U8")", R"([4294967296,4294967296])", R"([0,8])"), 8),
       "tensor \"a\": expected a number of bits below 2^64, got U8 [4294967296, "
       "4294967296]."},
      {"product wraps to 8",
       file(tensor(R"("U8")", R"([9223372036854775807,2,8])", R"([0,8])"), 8),
       "tensor \"a\": expected a number of bits below 2^64, got U8 "
       "[9223372036854775807, 2, 8]."},
      {"overflow before a zero",
       file(tensor(R"("U8")", R"([9223372036854775807,4,0])", R"([0,0])"), 8),
       "tensor \"a\": expected a number of bits below 2^64, got U8 "
       "[9223372036854775807, 4, 0]."},
      {"bits overflow",
       file(tensor(R"("F64")", R"([1152921504606846976])", R"([0,8])"), 8),
       "tensor \"a\": expected a number of bits below 2^64, got F64 "
       "[1152921504606846976]."},
      {"bytes that wrap",
       file(tensor(R"("F32")", R"([4611686018427387906])", R"([0,8])"), 8),
       "tensor \"a\": expected a number of bits below 2^64, got F32 "
       "[4611686018427387906]."},
      {"half a byte",
       file(tensor(R"("F4")", R"([3])", R"([0,2])"), 8),
       "tensor \"a\": expected a whole number of bytes, got F4 [3]."},
      {"F6 with odd bits",
       file(tensor(R"("F6_E2M3")", R"([3])", R"([0,3])"), 8),
       "tensor \"a\": expected a whole number of bytes, got F6_E2M3 [3]."},
      {"offset 2^64 - 1",
       file(tensor(R"("U8")", R"([8])", R"([18446744073709551615,7])"), 8),
       "tensor \"a\": expected data that begins at 0, got data_offsets "
       "[18446744073709551615, 7]."},
      {"offsets of 2^63",
       file(tensor(R"("U8")", R"([8])", R"([9223372036854775808,9223372036854775816])"), 8),
       "tensor \"a\": expected data that begins at 0, got data_offsets "
       "[9223372036854775808, 9223372036854775816]."},
      {"a shape of ten sizes",
       file(tensor(R"("U8")", R"([1,1,1,1,1,1,1,1,1,9])", R"([0,8])"), 8),
       "tensor \"a\": expected 9 bytes for U8 [1, 1, 1, 1, 1, 1, 1, 1, ...], got "
       "data_offsets [0, 8]."},
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

void check(const std::vector<HostileCase>& cases) {
  const TemporaryFolder folder;
  std::vector<HostileCase> rows = cases;
  for (HostileCase& row : rows) {
    row.message = "[checkpoint] " + (folder / "m.safetensors").string() + ": " + row.message;
  }
  check_hostile_cases<CheckpointError>(rows, [&](const HostileCase& row) {
    write_bytes(folder / "m.safetensors", row.bytes);
    SafetensorsFile::open(folder / "m.safetensors");
  });
}

TEST_CASE("hostile safetensors: length", "[io]") { check(length_cases()); }
TEST_CASE("hostile safetensors: json", "[io]") { check(json_cases()); }
TEST_CASE("hostile safetensors: members", "[io]") { check(members_cases()); }
TEST_CASE("hostile safetensors: metadata", "[io]") { check(metadata_cases()); }
TEST_CASE("hostile safetensors: layout", "[io]") { check(layout_cases()); }
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
