#include "vizoo/io/json.h"

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.h"
#include "support/corpus.h"
#include "vizoo/core/error.h"
#include "vizoo/io/json_scanner.h"
#include "vizoo/io/utf8.h"

namespace vizoo::test {
namespace {

Json parse(const std::string& text) { return parse_json(text, "t.json"); }

TEST_CASE("JSON values get the types that they are written as", "[io]") {
  CHECK(parse("null").is_null());
  CHECK(parse(" true ") == true);
  CHECK(parse("\tfalse\r\n") == false);
  CHECK(parse("0").type() == Json::value_t::number_unsigned);
  CHECK(parse("-1").type() == Json::value_t::number_integer);
  CHECK(parse("-0").type() == Json::value_t::number_integer);
  CHECK(parse("1.0").type() == Json::value_t::number_float);
  CHECK(parse("1e0").type() == Json::value_t::number_float);
  CHECK(parse("18446744073709551615") == std::numeric_limits<uint64_t>::max());
  CHECK(parse("-9223372036854775808") == std::numeric_limits<int64_t>::min());
  // What does not fit 64 bits is a double, as tokenizer configs have it.
  CHECK(parse("1000000000000000019884624838656") == 1e30);
  CHECK(parse("18446744073709551616") == 18446744073709551616.0);
  CHECK(parse("-9223372036854775809") == -9223372036854775808.0);
  CHECK(parse("1E+2") == 100.0);
  CHECK(parse("1.7976931348623157e308") == std::numeric_limits<double>::max());
  CHECK(parse("5e-324") == std::numeric_limits<double>::denorm_min());
  CHECK(parse("{}").is_object());
  CHECK(parse("[ ]").is_array());
  CHECK(parse(R"({"a":{"b":[1,{"c":null}]}})")["a"]["b"][1]["c"].is_null());
}

TEST_CASE("numbers too small for a double are zero", "[io]") {
  for (const char* text : {"1e-400", "0.1e-999999999999999999999", "0e999999999999999999999"}) {
    INFO(text);
    CHECK(parse(text).get<double>() == 0.0);
  }
  const std::string tiny = "0." + std::string(400, '0') + "1";
  CHECK(parse(tiny).get<double>() == 0.0);
  CHECK(std::signbit(parse("-1e-400").get<double>()));
  CHECK(parse("1" + std::string(400, '0') + "e-400") == 1.0);
}

TEST_CASE("JSON strings are unescaped", "[io]") {
  CHECK(parse(R"("\"\\\/\b\f\n\r\t")") == "\"\\/\b\f\n\r\t");
  CHECK(parse(R"("a\u00e9\u4E2D\ud83d\ude00z")") == "a\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80z");
  CHECK(parse(R"("\u0000")") == std::string(1, '\0'));
  CHECK(parse("\"\xC3\xA9\x7F\xF4\x8F\xBF\xBF\"") == "\xC3\xA9\x7F\xF4\x8F\xBF\xBF");
  CHECK(parse(R"({"\u0061":1,"b\n":2})") == Json({{"a", 1}, {"b\n", 2}}));
}

TEST_CASE("64 levels of nesting are fine", "[io]") {
  CHECK_NOTHROW(parse(repeat("[", 64) + repeat("]", 64)));
  CHECK_NOTHROW(parse(repeat("{\"a\":[", 32) + repeat("]}", 32)));
}

TEST_CASE("equal keys of different objects are no duplicates", "[io]") {
  CHECK_NOTHROW(parse(R"({"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]})"));
}

TEST_CASE("the kind of a file decides the exception", "[io]") {
  CHECK_THROWS_AS(parse_json("", "t", FileKind::checkpoint), CheckpointError);
  CHECK_THROWS_AS(parse_json("", "t", FileKind::tokenizer), TokenizerError);
  const TemporaryFolder folder;
  write_bytes(folder / "c.json", "{\"a\": [1, 2]}");
  CHECK(read_json_file(folder / "c.json") == Json({{"a", {1, 2}}}));
  const std::string name = (folder / "c.json").string();
  CHECK_THROWS_WITH(read_json_file(folder / "c.json", 12),
                    "[config] " + name + ": expected at most 12 bytes, got 13.");
  CHECK_THROWS_WITH(read_json_file(folder / "no.json"),
                    "[config] " + (folder / "no.json").string() +
                        ": expected a readable file, got \"No such file or directory\".");
  write_bytes(folder / "c.json", "{\"a\"\n:,}");
  CHECK_THROWS_WITH(read_json_file(folder / "c.json"),
                    "[config] " + name + ":2:2: expected a value, got \",\".");
}

TEST_CASE("a hostile file name cannot break the line", "[io]") {
  CHECK_THROWS_WITH(parse_json("x", "a\nb"), "[config] a\\x0ab:1:1: expected a value, got \"x\".");
}

TEST_CASE("doubles are written as Python writes them", "[io]") {
  const std::vector<std::pair<double, const char*>> cases = {
      {0.0, "0.0"},
      {-0.0, "-0.0"},
      {1.0, "1.0"},
      {-1.5, "-1.5"},
      {0.1, "0.1"},
      {0.0001, "0.0001"},
      {1e-05, "1e-05"},
      {1e-06, "1e-06"},
      {1e-12, "1e-12"},
      {1.5e-05, "1.5e-05"},
      {123456.789, "123456.789"},
      {1000000000000000.0, "1000000000000000.0"},
      {1e+16, "1e+16"},
      {1.2345678901234568e+17, "1.2345678901234568e+17"},
      {9999999999999998.0, "9999999999999998.0"},
      {1e+22, "1e+22"},
      {1e+23, "1e+23"},
      {5e-324, "5e-324"},
      {2.2250738585072014e-308, "2.2250738585072014e-308"},
      {1.7976931348623157e+308, "1.7976931348623157e+308"},
      {0.3333333333333333, "0.3333333333333333"},
      {0.6666666666666666, "0.6666666666666666"},
      {0.001, "0.001"},
      {65504.0, "65504.0"},
      {3.4028234663852886e+38, "3.4028234663852886e+38"},
      {0.009999999776482582, "0.009999999776482582"},
      {1e+100, "1e+100"},
  };
  for (const auto& [value, text] : cases) {
    CHECK(python_float(value) == text);
    CHECK(dump_json(value) == std::string(text) + "\n");
  }
}

TEST_CASE("a tree is written as json.dumps writes it", "[io]") {
  const Json value = parse(
      R"({"b":[],"a":{},"c":[1,[2,[{}]],null,true,false],)"
      R"("text":"\"\\\/\b\f\n\r\t\u0000\u001f\u007f \u00e9\u2028\u4e2d\ud83d\ude00",)"
      R"("num":[0,-1,9223372036854775807,-9223372036854775808,18446744073709551615,1e-06,1.0],)"
      R"("A":1,"\u00e9":2,"\ud83d\ude00":3,"\uffff":4,"":5})");
  CHECK(dump_json(value) == R"({
  "": 5,
  "A": 1,
  "a": {},
  "b": [],
  "c": [
    1,
    [
      2,
      [
        {}
      ]
    ],
    null,
    true,
    false
  ],
  "num": [
    0,
    -1,
    9223372036854775807,
    -9223372036854775808,
    18446744073709551615,
    1e-06,
    1.0
  ],
  "text": "\"\\/\b\f\n\r\t\u0000\u001f\u007f \u00e9\u2028\u4e2d\ud83d\ude00",
  "\u00e9": 2,
  "\uffff": 4,
  "\ud83d\ude00": 3
}
)");
}

TEST_CASE("objects with integer keys are written in numerical order", "[io]") {
  const Json value = parse(R"({"id2label":{"10":"j","9":"i","-1":"z"},"label2id":{"9":0,"10":1}})");
  CHECK(dump_json(value, {"id2label"}) == R"({
  "id2label": {
    "-1": "z",
    "9": "i",
    "10": "j"
  },
  "label2id": {
    "10": 1,
    "9": 0
  }
}
)");
}

TEST_CASE("what JSON cannot hold is refused", "[io]") {
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH(dump_json({{"a", infinity}}),
                    "[json] number: expected a finite value, got Infinity.");
  CHECK_THROWS_WITH(dump_json(-infinity), "[json] number: expected a finite value, got -Infinity.");
  CHECK_THROWS_WITH(dump_json(std::nan("")), "[json] number: expected a finite value, got NaN.");
  CHECK_THROWS_WITH(dump_json("\xFF"), "[json] string: expected valid UTF-8, got \"\\xff\".");
}

TEST_CASE("values are described for messages", "[io]") {
  CHECK(describe_json(parse("[1]")) == "an array of 1 value");
  CHECK(describe_json(parse("[]")) == "an array of 0 values");
  CHECK(describe_json(parse(R"({"a":1,"b":2})")) == "an object of 2 members");
  CHECK(describe_json(parse("\"a\\n\"")) == "\"a\\x0a\"");
  CHECK(describe_json(parse("3.0")) == "3.0");
  CHECK(describe_json(parse("-3")) == "-3");
  CHECK(describe_json(nullptr) == "null");
  CHECK(describe_json(true) == "true");
}

TEST_CASE("the scanner reports events and offsets", "[io]") {
  JsonScanner scanner(R"( {"a": [-1, "\n"]})");
  CHECK(scanner.next() == JsonEvent::object_begin);
  CHECK(scanner.offset() == 1);
  CHECK(scanner.next() == JsonEvent::key);
  CHECK(scanner.text() == "a");
  CHECK_FALSE(scanner.text_is_unescaped());
  CHECK(scanner.next() == JsonEvent::array_begin);
  CHECK(scanner.depth() == 2);
  CHECK(scanner.next() == JsonEvent::integer);
  CHECK(scanner.integer() == -1);
  CHECK(scanner.next() == JsonEvent::string);
  CHECK(scanner.offset() == 12);
  CHECK(scanner.text() == "\n");
  CHECK(scanner.text_is_unescaped());
  CHECK(scanner.next() == JsonEvent::array_end);
  CHECK(scanner.next() == JsonEvent::object_end);
  CHECK(scanner.next() == JsonEvent::end);
  CHECK(scanner.next() == JsonEvent::end);
}

TEST_CASE("every code point survives UTF-8", "[io]") {
  for (uint32_t value = 0; value <= 0x10FFFF; ++value) {
    if (value >= 0xD800 && value <= 0xDFFF) continue;
    std::string text;
    append_utf8(text, value);
    const CodePoint point = decode_utf8(text, 0);
    if (point.value != value || point.length != text.size()) FAIL("code point " << value);
    if (decode_utf8(text.substr(0, text.size() - 1) + "x", 0).length > 1) FAIL("cut " << value);
  }
  CHECK(find_invalid_utf8("a\xC3\xA9z") == 4);
  CHECK(find_invalid_utf8("a\xC3z") == 1);
}

}  // namespace
}  // namespace vizoo::test
