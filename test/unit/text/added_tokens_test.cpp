#include <string>
#include <utility>
#include <vector>

#include "support/catch.h"
#include "vizoo/text/fast_added_tokens.h"
#include "vizoo/text/slow_added_tokens.h"

namespace vizoo::test {
namespace {

AddedToken raw(const std::string& content) {
  AddedToken token;
  token.content = content;
  token.normalized = false;
  return token;
}

AddedToken single(AddedToken token) {
  token.single_word = true;
  return token;
}
AddedToken left(AddedToken token) {
  token.lstrip = true;
  return token;
}
AddedToken right(AddedToken token) {
  token.rstrip = true;
  return token;
}

std::string same(std::string_view text) { return std::string(text); }

// Pieces of a text, tokens in braces.
std::string split(const FastAddedTokens& tokens, std::string_view text, bool normalized = false) {
  std::string result;
  for (const auto& segment : tokens.split(text, normalized)) {
    const std::string piece(text.substr(segment.begin, segment.end - segment.begin));
    result += segment.id ? "{" + piece + "}" : "[" + piece + "]";
  }
  return result;
}

std::string split(const SlowAddedTokens& tokens, std::string_view text) {
  std::string result;
  for (const auto& piece : tokens.split(text)) {
    result += piece.id ? "{" + piece.text + "}" : "[" + piece.text + "]";
  }
  return result;
}

std::string fast(const std::vector<AddedToken>& tokens, std::string_view text) {
  const Vocabulary vocabulary;
  FastAddedTokens added(vocabulary, same);
  added.add(tokens);
  return split(added, text);
}

std::string slow(const std::vector<AddedToken>& tokens, std::string_view text) {
  SlowAddedTokens added;
  for (std::size_t i = 0; i < tokens.size(); ++i) added.set(static_cast<int64_t>(i), tokens[i]);
  added.finish();
  return split(added, text);
}

TEST_CASE("the leftmost added token is found, of those the longest", "[text]") {
  CHECK(fast({raw("ab"), raw("abc"), raw("bcd")}, "xabcdab") == "[x]{abc}[d]{ab}");
  CHECK(slow({raw("ab"), raw("abc"), raw("bcd")}, "xabcdab") == "[x]{abc}[d]{ab}");
  CHECK(fast({raw("x")}, "xx") == "{x}{x}");
  CHECK(fast({}, "abc") == "[abc]");
  CHECK(fast({raw("a")}, "").empty());
  CHECK(slow({raw("\u00e9")}, "caf\u00e9s") == "[caf]{\u00e9}[s]");
}

TEST_CASE("lstrip and rstrip take white space along", "[text]") {
  CHECK(fast({left(raw("x"))}, "a \t x b") == "[a]{ \t x}[ b]");
  CHECK(fast({right(raw("x"))},
             "a x \u3000"
             "b") == "[a ]{x \u3000}[b]");
  // White space that one token has taken is not there for the next.
  CHECK(fast({right(raw("x")), left(raw("y"))}, "x  y") == "{x  }{y}");
  // The slow tokenizer strips the neighbours.
  CHECK(slow({left(raw("x"))}, "a \t x b") == "[a]{x}[ b]");
  CHECK(slow({right(raw("x"))},
             "a x \u3000"
             "b") == "[a ]{x}[b]");
}

TEST_CASE("a single word has no letter, digit or underscore beside it", "[text]") {
  const auto token = single(raw("x"));
  CHECK(fast({token}, "x") == "{x}");
  CHECK(fast({token}, "ax x_ x-") == "[ax x_ ]{x}[-]");
  CHECK(fast({token}, "\u00e9x") == "[\u00e9x]");
  CHECK(fast({token}, "x\u0301") == "[x\u0301]");
  // The slow tokenizer asks for spaces, and gives the token to the text before it or behind it.
  CHECK(slow({token}, "a x b") == "[a ]{x}[ b]");
  CHECK(slow({token}, "a-x b") == "[a-x][ b]");
  CHECK(slow({token}, "x-b") == "[x-b]");
}

TEST_CASE("the slow search continues a token that another one broke off", "[text]") {
  // `xyz` ends at the z, where `y` is complete: xyzQ is cut as if the z were not there.
  CHECK(slow({raw("xyQ"), raw("y")}, "xyzQ") == "[xyzQ]");
  CHECK(fast({raw("xyQ"), raw("y")}, "xyzQ") == "[x]{y}[zQ]");
}

TEST_CASE("normalised tokens are looked for in normalised text", "[text]") {
  const Vocabulary vocabulary;
  FastAddedTokens added(vocabulary, [](std::string_view text) {
    std::string result(text);
    for (auto& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return result;
  });
  AddedToken token = raw("CAT");
  token.normalized = true;
  added.add({token, raw("Dog")});
  CHECK(split(added, "a cat Dog dog", true) == "[a ]{cat}[ Dog dog]");
  CHECK(split(added, "a cat Dog dog", false) == "[a cat ]{Dog}[ dog]");
}

TEST_CASE("added tokens take the vocabulary's ids, then new ones", "[text]") {
  const Vocabulary vocabulary({{"a", 0}, {"b", 1}, {"c", 2}}, "test");
  FastAddedTokens added(vocabulary, same);
  AddedToken special = raw("<s>");
  special.special = true;
  added.add({raw("b"), special, raw(""), raw("new")});
  CHECK(added.id_of("b") == 1);
  CHECK(added.id_of("<s>") == 3);
  CHECK(added.id_of("new") == 4);
  CHECK(added.id_of("a") == 0);
  CHECK_FALSE(added.id_of(""));
  CHECK(added.is_special("<s>"));
  CHECK_FALSE(added.is_special("new"));
  CHECK(added.beyond_vocabulary() == 2);
  added.add({left(raw("new"))});
  CHECK(added.id_of("new") == 4);
  CHECK(split(added, "a new") == "[a]{ new}");
}

TEST_CASE("looking for added tokens takes linear time", "[text]") {
  constexpr std::size_t kLength = 1U << 20U;
  const std::string spaces(kLength, ' ');
  const Vocabulary vocabulary;
  for (const auto& token : {right(raw(" ")), left(raw(" "))}) {
    FastAddedTokens added(vocabulary, same);
    added.add({token});
    CHECK(added.split(spaces, false).size() == kLength);
  }
  CHECK(fast({left(raw("x")), right(raw("y"))}, spaces + "xy").size() > kLength);
  CHECK(slow({right(raw(" ")), left(raw("x"))}, spaces).size() >= kLength);
  CHECK(slow({single(raw("x"))}, std::string(kLength, 'x')).size() > kLength);
}

}  // namespace
}  // namespace vizoo::test
