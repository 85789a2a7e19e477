#include "vizoo/text/byte_symbols.h"

#include <set>

#include "support/catch.h"

namespace vizoo::test {
namespace {

TEST_CASE("byte symbols are those of GPT-2", "[text]") {
  const auto& symbols = byte_symbols();
  CHECK(symbols['!'] == "!");
  CHECK(symbols['~'] == "~");
  CHECK(symbols[0] == "\u0100");
  CHECK(symbols[' '] == "\u0120");
  CHECK(symbols[127] == "\u0121");
  CHECK(symbols[161] == "\u00a1");
  CHECK(symbols[173] == "\u0143");
  CHECK(symbols[255] == "\u00ff");
  CHECK(std::set<std::string>(symbols.begin(), symbols.end()).size() == 256);
}

TEST_CASE("symbols become bytes again, all or none", "[text]") {
  std::string bytes = "x";
  CHECK(append_bytes_of_symbols("a\u0120\u00c3", bytes));
  CHECK(bytes == "xa \xc3");
  CHECK_FALSE(append_bytes_of_symbols("a b", bytes));
  CHECK_FALSE(append_bytes_of_symbols("\u0144", bytes));
  CHECK(bytes == "xa \xc3");
}

TEST_CASE("bytes that are no UTF-8 become one replacement for each broken part", "[text]") {
  const std::string r = "\ufffd";
  CHECK(decode_utf8_lossy("caf\xc3\xa9") == "caf\u00e9");
  CHECK(decode_utf8_lossy("\xc3") == r);
  CHECK(decode_utf8_lossy("\xe2\x82x") == r + "x");
  CHECK(decode_utf8_lossy("\xf0\x9f\x98") == r);
  CHECK(decode_utf8_lossy("\xc0\x80") == r + r);
  CHECK(decode_utf8_lossy("\xed\xa0\x80") == r + r + r);
  CHECK(decode_utf8_lossy("\xf4\x90\x80\x80") == r + r + r + r);
  CHECK(decode_utf8_lossy("\xe0\x9f\xbf") == r + r + r);
  CHECK(decode_utf8_lossy("a\xff\xfe"
                          "b") == "a" + r + r + "b");
  CHECK(decode_utf8_lossy("a\xff\xfe"
                          "b",
                          true) == "ab");
}

}  // namespace
}  // namespace vizoo::test
