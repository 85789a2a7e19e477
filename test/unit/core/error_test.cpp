#include "vizoo/core/error.h"

#include "test/support/catch.h"

using vizoo::ConfigError;
using vizoo::Error;
using vizoo::printable;
using vizoo::quote;

TEST_CASE("an error is one line of where, subject, expected, got and hint", "[error]") {
  const ConfigError error("config", "a.json: /depths", "an array", "3", "See docs/errors.md");
  CHECK(std::string(error.what()) ==
        "[config] a.json: /depths: expected an array, got 3. See docs/errors.md.");
  CHECK(std::string(Error("image", "x.png", "pixels", "none").what()) ==
        "[image] x.png: expected pixels, got none.");
  CHECK(Error::describe("output", "", "the disk is full") == "[output] the disk is full.");
  CHECK(Error::describe("a", "b", "c", "A hint.") == "[a] b: c. A hint.");
}

TEST_CASE("text from files cannot add lines to a message", "[error]") {
  CHECK(quote("a\nb\tc") == "\"a\\x0ab\\x09c\"");
  CHECK(quote("\x1b[31m\x7f") == "\"\\x1b[31m\\x7f\"");
  CHECK(quote("gr\xc3\xbc\xc3\x9f") == "\"gr\xc3\xbc\xc3\x9f\"");
  CHECK(quote("\xc3") == "\"\\xc3\"");                    // cut sequence
  CHECK(quote("\xc0\xaf") == "\"\\xc0\\xaf\"");           // overlong
  CHECK(quote("\xed\xa0\x80") == "\"\\xed\\xa0\\x80\"");  // surrogate
  CHECK(quote("\xe2\x80\xa8") == "\"\\xe2\\x80\\xa8\"");  // line separator
  CHECK(quote("\xc2\x85") == "\"\\xc2\\x85\"");           // next line
}

TEST_CASE("long text is cut between characters", "[error]") {
  CHECK(quote(std::string(1000, 'x')) == '"' + std::string(80, 'x') + "...\"");
  CHECK(quote("ab\xc3\xbc", 3) == "\"ab...\"");
  CHECK(printable(std::string(1'000'000, 'x')).size() == 203);
}
