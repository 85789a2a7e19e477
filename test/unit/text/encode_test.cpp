#include <string>
#include <vector>

#include "support/catch.h"
#include "support/small_tokenizer.h"
#include "vizoo/core/error.h"

namespace vizoo::test {
namespace {

using Ids = std::vector<int64_t>;
using Rows = std::vector<Ids>;

constexpr int64_t kBos = 519;
constexpr int64_t kEos = 520;
// `a b c d e f`, a token each.
constexpr int64_t a = 320;
constexpr int64_t b = 321;
constexpr int64_t c = 322;
constexpr int64_t d = 323;
constexpr int64_t e = 324;
constexpr int64_t f = 325;

EncodeOptions truncated(int64_t max_length,
                        TruncationStrategy strategy = TruncationStrategy::longest_first) {
  EncodeOptions options;
  options.truncation = strategy;
  options.max_length = max_length;
  return options;
}

TEST_CASE("padding to the longest, to a length, to a multiple, on either side", "[text]") {
  const bool use_fast = GENERATE(true, false);
  auto small = SmallTokenizer();
  const auto tokenizer = small.load(use_fast);
  const std::vector<std::string> texts{"a", "a b c"};
  EncodeOptions options;
  options.padding = PaddingStrategy::longest;
  options.return_special_tokens_mask = true;
  auto encoding = tokenizer->encode_batch(texts, options);
  CHECK(encoding.input_ids == Rows{{kBos, a, kEos, 0, 0}, {kBos, a, b, c, kEos}});
  CHECK(encoding.attention_mask == Rows{{1, 1, 1, 0, 0}, {1, 1, 1, 1, 1}});
  CHECK(encoding.special_tokens_mask == Rows{{1, 0, 1, 1, 1}, {1, 0, 0, 0, 1}});
  CHECK(encoding.row_length() == 5);
  options.pad_to_multiple_of = 4;
  CHECK(tokenizer->encode_batch(texts, options).row_length() == 8);
  options.padding = PaddingStrategy::max_length;
  CHECK(tokenizer->encode_batch(texts, options).row_length() == 16);
  options.max_length = 6;
  CHECK(tokenizer->encode_batch(texts, options).row_length() == 8);

  small.config["padding_side"] = "left";
  options.max_length = 4;
  CHECK(small.load(use_fast)->encode("a", options).input_ids == Rows{{0, kBos, a, kEos}});
}

TEST_CASE("rows of different lengths have no common one", "[text]") {
  const auto tokenizer = SmallTokenizer().load();
  const auto encoding = tokenizer->encode_batch(std::vector<std::string>{"a", "a b"});
  CHECK_THROWS_AS(encoding.row_length(), TokenizerError);
  CHECK(tokenizer->encode("a").row_length() == 3);
}

TEST_CASE("truncation cuts the end, or with truncation_side the beginning", "[text]") {
  const bool use_fast = GENERATE(true, false);
  auto small = SmallTokenizer();
  const auto encoding = small.load(use_fast)->encode("a b c d", truncated(4));
  CHECK(encoding.input_ids == Rows{{kBos, a, b, kEos}});
  CHECK(encoding.removed_tokens == Ids{2});
  CHECK(small.load(use_fast)->encode("a b", truncated(4)).removed_tokens == Ids{0});
  small.config["truncation_side"] = "left";
  CHECK(small.load(use_fast)->encode("a b c d", truncated(4)).input_ids ==
        Rows{{kBos, c, d, kEos}});
}

TEST_CASE("pairs are truncated by strategy", "[text]") {
  const auto fast = SmallTokenizer().load();
  const auto slow = SmallTokenizer().load(false);
  for (const auto* tokenizer : {fast.get(), slow.get()}) {
    CHECK(tokenizer->encode("a b c d", "e f", truncated(8)).input_ids ==
          Rows{{kBos, a, b, kEos, kEos, e, f, kEos}});
    CHECK(
        tokenizer->encode("a b c", "e f", truncated(7, TruncationStrategy::only_first)).input_ids ==
        Rows{{kBos, a, kEos, kEos, e, f, kEos}});
    CHECK(tokenizer->encode("a b c", "e f", truncated(8, TruncationStrategy::only_second))
              .input_ids == Rows{{kBos, a, b, c, kEos, kEos, e, kEos}});
  }
  // An odd token left goes to the second sequence on a fast tokenizer, to the first on a slow one.
  CHECK(fast->encode("a b c", "d e f", truncated(7)).input_ids ==
        Rows{{kBos, a, kEos, kEos, d, e, kEos}});
  CHECK(slow->encode("a b c", "d e f", truncated(7)).input_ids ==
        Rows{{kBos, a, b, kEos, kEos, d, kEos}});
}

TEST_CASE("truncation that cannot reach the length", "[text]") {
  const auto fast = SmallTokenizer().load();
  const auto slow = SmallTokenizer().load(false);
  const auto only_second = truncated(5, TruncationStrategy::only_second);
  CHECK_THROWS_AS(fast->encode("a b c d", only_second), TokenizerError);
  CHECK_THROWS_AS(fast->encode("a b c d", "e", only_second), TokenizerError);
  // The slow tokenizer leaves the text alone and says so.
  CHECK(slow->encode("a b c d", only_second).input_ids.at(0).size() == 6);
  const auto encoding = slow->encode("a b c d", "e", only_second);
  CHECK(encoding.input_ids.at(0).size() == 9);
  REQUIRE(encoding.warnings.size() == 1);
  CHECK(encoding.warnings[0].find("second sequence has 1") != std::string::npos);
}

TEST_CASE("overflowing tokens are rows of a fast tokenizer", "[text]") {
  const auto tokenizer = SmallTokenizer().load();
  auto options = truncated(5);
  options.stride = 1;
  options.return_overflowing_tokens = true;
  const auto encoding =
      tokenizer->encode_batch(std::vector<std::string>{"a b c d e f", "a"}, options);
  CHECK(encoding.input_ids ==
        Rows{{kBos, a, b, c, kEos}, {kBos, c, d, e, kEos}, {kBos, e, f, kEos}, {kBos, a, kEos}});
  CHECK(encoding.overflow_to_sample_mapping == Ids{0, 0, 0, 1});
  CHECK(encoding.removed_tokens == Ids{3, 0});
}

TEST_CASE("overflowing tokens are a field of a slow tokenizer", "[text]") {
  const auto tokenizer = SmallTokenizer().load(false);
  auto options = truncated(5);
  options.stride = 1;
  options.return_overflowing_tokens = true;
  const auto encoding =
      tokenizer->encode_batch(std::vector<std::string>{"a b c d e f", "a"}, options);
  CHECK(encoding.input_ids == Rows{{kBos, a, b, c, kEos}, {kBos, a, kEos}});
  CHECK(encoding.overflowing_tokens == Rows{{c, d, e, f}, {}});
  CHECK(encoding.num_truncated_tokens == Ids{3, -2});
  CHECK_THROWS_AS(tokenizer->encode("a", "b", options), UsageError);  // longest_first of a pair
}

TEST_CASE("a maximum length alone truncates, with padding or an explicit no it does not",
          "[text]") {
  const auto tokenizer = SmallTokenizer().load();
  EncodeOptions options;
  options.max_length = 3;
  CHECK(tokenizer->encode("a b c", options).input_ids.at(0).size() == 3);
  options.padding = PaddingStrategy::longest;
  CHECK(tokenizer->encode("a b c", options).input_ids.at(0).size() == 5);
  options.padding.reset();
  options.truncation = TruncationStrategy::do_not_truncate;
  CHECK(tokenizer->encode("a b c", options).input_ids.at(0).size() == 5);
}

TEST_CASE("text longer than the model takes is a warning, or an error on request", "[text]") {
  auto small = SmallTokenizer();
  const auto tokenizer = small.load();
  const std::string text = "a a a a a a a a a a a a a a a";  // 15 tokens and 2
  const auto encoding = tokenizer->encode(text);
  REQUIRE(encoding.warnings.size() == 1);
  CHECK(encoding.warnings[0] == "text 0 has 17 tokens, more than the 16 that the model takes");
  EncodeOptions options;
  options.refuse_too_long = true;
  CHECK_THROWS_WITH(
      tokenizer->encode_batch(std::vector<std::string>{"a", text}, options),
      "[tokenizer] text 1: expected at most 16 tokens, got 17. Truncation cuts longer texts.");
  options.truncation = TruncationStrategy::longest_first;
  const auto cut = tokenizer->encode(text, options);
  CHECK(cut.input_ids.at(0).size() == 16);
  CHECK(cut.input_ids.at(0).back() == kEos);
  CHECK(cut.removed_tokens == Ids{1});

  small.config.erase("model_max_length");
  const auto unlimited = small.load()->encode(text, options);
  CHECK(unlimited.input_ids.at(0).size() == 17);
  REQUIRE(unlimited.warnings.size() == 1);
  CHECK(unlimited.warnings[0].find("no truncation") == 0);
}

TEST_CASE("single texts and batches differ where Transformers' do", "[text]") {
  const auto fast = SmallTokenizer().load();
  const auto slow = SmallTokenizer().load(false);
  // A fast tokenizer takes an empty second sequence for none.
  CHECK(fast->encode("a", "").input_ids == Rows{{kBos, a, kEos}});
  const std::vector<TextInput> pair_with_nothing{{std::string("a"), std::string("")}};
  CHECK(fast->encode_batch(pair_with_nothing).input_ids == Rows{{kBos, a, kEos, kEos, kEos}});
  CHECK(slow->encode("a", "").input_ids == Rows{{kBos, a, kEos, kEos, kEos}});
  // A slow one counts a batch's tokens before it pads, and pads nothing to nothing.
  EncodeOptions options;
  options.padding = PaddingStrategy::max_length;
  options.max_length = 5;
  options.return_length = true;
  CHECK(slow->encode("a", options).length == Ids{5});
  CHECK(slow->encode_batch(std::vector<std::string>{"a"}, options).length == Ids{3});
  CHECK(fast->encode_batch(std::vector<std::string>{"a"}, options).length == Ids{5});
  options.add_special_tokens = false;
  CHECK(slow->encode("", options).input_ids == Rows{{}});
  CHECK(slow->encode_batch(std::vector<std::string>{""}, options).input_ids ==
        Rows{{0, 0, 0, 0, 0}});
}

TEST_CASE("words that were split before are tokenized one by one", "[text]") {
  const auto tokenizer = SmallTokenizer().load();
  EncodeOptions options;
  options.return_offsets_mapping = true;
  const std::vector<std::string> words{"ca", "t", "", "the"};
  const auto encoding = tokenizer->encode(words, options);
  CHECK(encoding.input_ids.at(0) != tokenizer->encode("cat the").input_ids.at(0));
  CHECK(encoding.offset_mapping.at(0).back() == std::pair<int64_t, int64_t>{0, 0});
  CHECK(encoding.offset_mapping.at(0).rbegin()[1] == std::pair<int64_t, int64_t>{0, 3});
  const std::vector<std::string> none;
  CHECK(tokenizer->encode(none).input_ids == Rows{{kBos, kEos}});
  CHECK_THROWS_AS(SmallTokenizer().load(false)->encode(none), UsageError);
}

TEST_CASE("token type ids are zeros, on request or by the files", "[text]") {
  auto small = SmallTokenizer();
  EncodeOptions options;
  options.return_token_type_ids = true;
  for (const bool use_fast : {true, false}) {
    CHECK(small.load(use_fast)->encode("a", "b", options).token_type_ids ==
          Rows{{0, 0, 0, 0, 0, 0}});
  }
  small.config["model_input_names"] = {"input_ids", "token_type_ids"};
  const auto encoding = small.load()->encode("a");
  CHECK(encoding.token_type_ids == Rows{{0, 0, 0}});
  CHECK(encoding.attention_mask.empty());
}

TEST_CASE("options that make no sense are refused", "[text]") {
  const auto fast = SmallTokenizer().load();
  const auto slow = SmallTokenizer().load(false);
  const auto refused = [](const Tokenizer& tokenizer, auto change) {
    EncodeOptions options;
    change(options);
    CHECK_THROWS_AS(tokenizer.encode("a b c d e f", options), UsageError);
  };
  refused(*fast, [](auto& o) { o.max_length = -1; });
  refused(*fast, [](auto& o) { o.stride = -1; });
  refused(*fast, [](auto& o) { o.pad_to_multiple_of = 0; });
  refused(*fast, [](auto& o) { o = truncated(4), o.stride = 3; });
  refused(*fast, [](auto& o) { o = truncated(4), o.stride = 2; });
  refused(*fast, [](auto& o) {
    o = truncated(5);
    o.padding = PaddingStrategy::longest;
    o.pad_to_multiple_of = 4;
  });
  refused(*slow, [](auto& o) { o.return_offsets_mapping = true; });
  refused(*slow, [](auto& o) { o.return_overflowing_tokens = true; });
  refused(*slow, [](auto& o) {
    o.return_token_type_ids = true;
    o.add_special_tokens = false;
  });
  CHECK_THROWS_AS(fast->encode_batch(std::vector<std::string>{}), UsageError);

  auto small = SmallTokenizer();
  small.config["pad_token"] = nullptr;
  refused(*small.load(), [](auto& o) { o.padding = PaddingStrategy::longest; });
}

TEST_CASE("options cannot ask for endless memory", "[text]") {
  const auto fast = SmallTokenizer().load();
  const auto slow = SmallTokenizer().load(false);
  EncodeOptions padded;
  padded.padding = PaddingStrategy::max_length;
  padded.max_length = int64_t{1} << 60U;
  EncodeOptions multiple;
  multiple.padding = PaddingStrategy::longest;
  multiple.pad_to_multiple_of = int64_t{1} << 62U;
  for (const auto* tokenizer : {fast.get(), slow.get()}) {
    CHECK_THROWS_AS(tokenizer->encode("a", padded), UsageError);
    CHECK_THROWS_AS(tokenizer->encode("a", multiple), UsageError);
  }
  // Windows that overlap all but for one token, and pairs of windows.
  std::string text;
  for (int i = 0; i < 200000; ++i) text += "a ";
  auto windows = truncated(1002);
  windows.stride = 999;
  windows.return_overflowing_tokens = true;
  CHECK_THROWS_AS(fast->encode(text, windows), UsageError);
  auto pairs = truncated(8);
  pairs.return_overflowing_tokens = true;
  CHECK_THROWS_AS(fast->encode(text, text, pairs), UsageError);
}

}  // namespace
}  // namespace vizoo::test
