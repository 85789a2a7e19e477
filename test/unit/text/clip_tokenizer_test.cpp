#include "vizoo/text/clip_tokenizer.h"

#include "support/catch.h"
#include "support/small_tokenizer.h"
#include "vizoo/core/error.h"

namespace vizoo::test {
namespace {

using Ids = std::vector<int64_t>;

// Ids of SmallTokenizer.
constexpr int64_t kBos = 519;
constexpr int64_t kEos = 520;
constexpr int64_t kCat = 515;
constexpr int64_t kThe = 517;
constexpr int64_t kApostropheS = 518;
int64_t symbol(char c) { return c - '!'; }
int64_t last(char c) { return 256 + c - '!'; }

TEST_CASE("the tiny vocabulary of Transformers' own tests", "[text]") {
  const auto tokenizer = AutoTokenizer::from_pretrained("test/fixtures/tokenizers/tiny");
  CHECK(ids_of(*tokenizer, "lower newer") == Ids{10, 2, 16, 9, 3, 2, 16});
  CHECK(ids_of(*tokenizer, "z") == Ids{20});  // unknown
}

TEST_CASE("special tokens stand around a text and a pair", "[text]") {
  const auto tokenizer = SmallTokenizer().load();
  CHECK(tokenizer->encode("cat").input_ids == std::vector<Ids>{{kBos, kCat, kEos}});
  CHECK(tokenizer->encode("cat", "the").input_ids ==
        std::vector<Ids>{{kBos, kCat, kEos, kEos, kThe, kEos}});
  CHECK(tokenizer->encode("cat").attention_mask == std::vector<Ids>{{1, 1, 1}});
  CHECK(tokenizer->encode("cat").token_type_ids.empty());
}

TEST_CASE("empty text and white space give no token", "[text]") {
  const bool use_fast = GENERATE(true, false);
  const auto tokenizer = SmallTokenizer().load(use_fast);
  EncodeOptions options;
  options.padding = PaddingStrategy::max_length;
  for (const char* text : {"", " ", " \t\n ", "\xe3\x80\x80"}) {
    Ids expected(16, 0);
    expected[0] = kBos;
    expected[1] = kEos;
    const auto encoding = tokenizer->encode(text, options);
    CHECK(encoding.input_ids == std::vector<Ids>{expected});
    CHECK(encoding.attention_mask[0][1] == 1);
    CHECK(encoding.attention_mask[0][2] == 0);
  }
}

TEST_CASE("an exclamation mark is the padding token", "[text]") {
  const auto tokenizer = SmallTokenizer().load();
  CHECK(ids_of(*tokenizer, "cat!") == Ids{kCat, 0});
  CHECK(ids_of(*tokenizer, "!!") == Ids{0, 0});
  DecodeOptions skip;
  skip.skip_special_tokens = true;
  CHECK(tokenizer->decode({kBos, kCat, 0, kEos, 0, 0}, skip) == "cat");

  SmallTokenizer without;
  without.config["pad_token"] = "<|endoftext|>";
  without.config["added_tokens_decoder"].erase("0");
  CHECK(ids_of(*without.load(), "!") == Ids{256});
}

TEST_CASE("special tokens are matched after lower case, those that are not normalised before",
          "[text]") {
  auto small = SmallTokenizer();
  CHECK(ids_of(*small.load(), "<|ENDOFTEXT|>") == Ids{kEos});
  CHECK(ids_of(*small.load(false), "<|ENDOFTEXT|>") == Ids{kEos});
  small.config["added_tokens_decoder"]["520"]["normalized"] = false;
  CHECK(ids_of(*small.load(), "<|ENDOFTEXT|>").size() > 1);
  CHECK(ids_of(*small.load(), "<|endoftext|>") == Ids{kEos});
}

TEST_CASE("words end at contractions, numbers and white space", "[text]") {
  const auto tokenizer = SmallTokenizer().load();
  CHECK(ids_of(*tokenizer, "the cat's 42") == Ids{kThe, kCat, kApostropheS, last('4'), last('2')});
  CHECK(ids_of(*tokenizer, "THE\u00a0\u2003Cat") == Ids{kThe, kCat});
  // A contraction counts only where it begins.
  CHECK(ids_of(*tokenizer, "''s") == Ids{symbol('\''), last('\''), last('s')});
  CHECK(ids_of(*tokenizer, "cat.the") == Ids{kCat, last('.'), kThe});
}

TEST_CASE("composed and decomposed letters are the same", "[text]") {
  const auto tokenizer = SmallTokenizer().load();
  CHECK(ids_of(*tokenizer, "e\u0301") == ids_of(*tokenizer, "\u00e9"));
  CHECK(ids_of(*tokenizer, "\u00c9") == ids_of(*tokenizer, "\u00e9"));
}

TEST_CASE("lower case of the fast tokenizer has no context", "[text]") {
  const std::string word = "\u039f\u03a3";  // OMICRON SIGMA
  const auto fast = SmallTokenizer().load();
  const auto slow = SmallTokenizer().load(false);
  CHECK(ids_of(*fast, word) == ids_of(*fast, "\u03bf\u03c3"));
  CHECK(ids_of(*slow, word) == ids_of(*slow, "\u03bf\u03c2"));
}

TEST_CASE("the slow tokenizer drops controls and takes ideographs one by one", "[text]") {
  const auto fast = SmallTokenizer().load();
  const auto slow = SmallTokenizer().load(false);
  CHECK(ids_of(*slow, "ca\x07t") == Ids{kCat});
  CHECK(ids_of(*fast, "ca\x07t") != Ids{kCat});
  CHECK(ids_of(*slow, std::string("c\0at", 4)) == Ids{kCat});
  CHECK(ids_of(*slow, "\u4e2d\u6587") == ids_of(*slow, "\u4e2d \u6587"));
  CHECK(ids_of(*fast, "\u4e2d\u6587") != ids_of(*fast, "\u4e2d \u6587"));
  CHECK(ids_of(*slow, "cat\u0345") == Ids{kCat});  // a mark that no word has without regard to case
}

TEST_CASE("the slow tokenizer knows contractions and special tokens whatever their case",
          "[text]") {
  const auto slow = SmallTokenizer().load(false);
  const auto fast = SmallTokenizer().load();
  const auto words = ids_of(*slow, "'\u017fx");  // a long s is an s
  CHECK(words.back() == last('x'));
  CHECK(words == ids_of(*slow, "'\u017f x"));
  CHECK(ids_of(*fast, "'\u017fx") != ids_of(*fast, "'\u017f x"));
}

TEST_CASE("decoding joins words with spaces and cleans them up", "[text]") {
  const auto tokenizer = SmallTokenizer().load();
  const Ids ids{kThe, kCat, kApostropheS, last('.')};
  CHECK(tokenizer->decode(ids) == "the cat's.");
  DecodeOptions as_is;
  as_is.clean_up_tokenization_spaces = false;
  CHECK(tokenizer->decode(ids, as_is) == "the cat 's .");
  CHECK(tokenizer->decode({}) == "");
  CHECK(tokenizer->batch_decode({{kCat}, {kThe}}) == std::vector<std::string>{"cat", "the"});
  // A byte that is no UTF-8 by itself, and an id that no token has.
  const auto lead_byte = SmallTokenizer().vocabulary.at(byte_symbols()[0xc3]);
  CHECK(tokenizer->decode({lead_byte}) == "\ufffd");
  CHECK(tokenizer->decode({kCat, 100000}) == "cat");
  CHECK_THROWS_AS(tokenizer->decode({-1}), TokenizerError);
  CHECK_THROWS_AS(SmallTokenizer().load(false)->decode({100000}), TokenizerError);
}

TEST_CASE("errors of decoding bytes follow the files", "[text]") {
  auto small = SmallTokenizer();
  const Ids broken{small.vocabulary.at(byte_symbols()[0xc3]), kCat};
  CHECK(small.load(false)->decode(broken) == "\ufffdcat");
  small.config["errors"] = "ignore";
  CHECK(small.load(false)->decode(broken) == "cat");
  small.config["errors"] = "strict";
  CHECK_THROWS_AS(small.load(false)->decode(broken), TokenizerError);
}

TEST_CASE("offsets count code points of the text as it was given", "[text]") {
  const auto tokenizer = SmallTokenizer().load();
  EncodeOptions options;
  options.return_offsets_mapping = true;
  const auto offsets = tokenizer->encode("  THE e\u0301 \u00e9!", options).offset_mapping.at(0);
  using Offsets = std::vector<std::pair<int64_t, int64_t>>;
  // Both parts of the letter belong to its base; each byte of it is a token here.
  CHECK(offsets == Offsets{{0, 0}, {2, 5}, {6, 7}, {6, 7}, {9, 10}, {9, 10}, {10, 11}, {0, 0}});
  CHECK_THROWS_AS(SmallTokenizer().load(false)->encode("a", options), UsageError);
}

TEST_CASE("vocabulary sizes, names and special ids", "[text]") {
  auto small = SmallTokenizer();
  small.config["mask_token"] = "<mask>";
  for (const bool use_fast : {true, false}) {
    const auto tokenizer = small.load(use_fast);
    CHECK(tokenizer->vocab_size() == 521);
    CHECK(tokenizer->size() == 522);
    CHECK(tokenizer->mask_token_id() == 521);
    CHECK(tokenizer->bos_token_id() == kBos);
    CHECK(tokenizer->eos_token_id() == kEos);
    CHECK(tokenizer->unk_token_id() == kEos);
    CHECK(tokenizer->pad_token_id() == 0);
    CHECK_FALSE(tokenizer->cls_token_id());
    CHECK(tokenizer->token_to_id("cat</w>") == kCat);
    CHECK(tokenizer->token_to_id("no such token") == kEos);
    CHECK(tokenizer->id_to_token(kCat) == "cat</w>");
    CHECK_FALSE(tokenizer->id_to_token(522));
    CHECK(tokenizer->is_fast() == use_fast);
  }
  CHECK(std::string(small.load()->class_name()) == "CLIPTokenizerFast");
  CHECK(std::string(small.load(false)->class_name()) == "CLIPTokenizer");
}

TEST_CASE("text that is not UTF-8 is an error that says which byte", "[text]") {
  const auto tokenizer = SmallTokenizer().load();
  const auto message = [&](const std::string& text) {
    return message_of([&] { tokenizer->encode_batch(std::vector<std::string>{"cat", text}); });
  };
  CHECK(message("ab\xff") == "[tokenizer] text 1: expected valid UTF-8, got \"\\xff\" at byte 2.");
  CHECK(message("\xc0\x80").find("at byte 0") != std::string::npos);
  CHECK(message("a\xed\xa0\x80").find("at byte 1") != std::string::npos);
  CHECK(message("caf\xc3").find("at byte 3") != std::string::npos);
  CHECK_THROWS_AS(tokenizer->encode("a", "\xff"), TokenizerError);
}

TEST_CASE("a long word, and long runs of anything, take linear time", "[text]") {
  constexpr std::size_t kLength = 1U << 20U;
  const bool use_fast = GENERATE(true, false);
  const auto tokenizer = SmallTokenizer().load(use_fast);
  // Quadratic time would take hours.
  CHECK(ids_of(*tokenizer, std::string(kLength, 'z')).size() == kLength);
  CHECK(ids_of(*tokenizer, std::string(kLength, ' ')).empty());
  std::string word;
  std::string marks = "e";
  std::string sigmas;
  while (word.size() < kLength) word += "abc";
  while (marks.size() < kLength) marks += "\u0301\u0323";
  while (sigmas.size() < kLength) sigmas += "\u03a3'";
  CHECK(ids_of(*tokenizer, word).size() == word.size() / 3 + 1);
  CHECK_FALSE(ids_of(*tokenizer, marks).empty());
  CHECK_FALSE(ids_of(*tokenizer, sigmas).empty());
  CHECK(tokenizer->decode(Ids(kLength, kCat)).size() == 4 * kLength - 1);
}

}  // namespace
}  // namespace vizoo::test
