#include "vizoo/text/perceiver_tokenizer.h"

#include "support/catch.h"
#include "support/small_tokenizer.h"
#include "vizoo/core/error.h"

namespace vizoo::test {
namespace {

using Ids = std::vector<int64_t>;
using Rows = std::vector<Ids>;

constexpr int64_t kPad = 0;
constexpr int64_t kMask = 3;
constexpr int64_t kCls = 4;
constexpr int64_t kSep = 5;
int64_t byte(char c) { return static_cast<unsigned char>(c) + 6; }

// The tokenizer of a folder whose tokenizer_config.json adds these keys.
std::unique_ptr<Tokenizer> load(const Json& keys = Json::object()) {
  const TemporaryFolder folder;
  Json config = keys;
  config["tokenizer_class"] = "PerceiverTokenizer";
  SmallTokenizer::write_text(folder / "tokenizer_config.json", config.dump());
  return AutoTokenizer::from_pretrained(folder.path());
}

std::string load_error(const Json& keys) {
  return message_of([&] { load(keys); });
}

DecodeOptions decoding(std::optional<bool> clean_up, bool skip_special_tokens = false) {
  DecodeOptions options;
  options.clean_up_tokenization_spaces = clean_up;
  options.skip_special_tokens = skip_special_tokens;
  return options;
}

// The numbers of Transformers' own tests (test_tokenization_perceiver.py, 4.37.2).
TEST_CASE("PerceiverTokenizer gives the ids of Transformers' tests", "[text]") {
  const PerceiverTokenizer tokenizer;
  const Ids euro{4, 91, 116, 111, 105, 117, 106, 107, 38, 232, 136, 178, 52, 5};
  CHECK(tokenizer.encode("Unicode \u20ac.").input_ids == Rows{euro});
  CHECK(tokenizer.decode(euro) == "[CLS]Unicode \u20ac.[SEP]");
  const Ids letters{4, 107, 38, 201, 174, 38, 201, 175, 38, 201, 176, 38, 201, 177, 5};
  CHECK(tokenizer.encode("e \u00e8 \u00e9 \u00ea \u00eb").input_ids == Rows{letters});
  CHECK(tokenizer.decode(letters) == "[CLS]e \u00e8 \u00e9 \u00ea \u00eb[SEP]");
  CHECK(tokenizer.decode({178}) == "\ufffd");

  EncodeOptions options;
  options.padding = PaddingStrategy::longest;
  const auto batch =
      tokenizer.encode_batch(std::vector<std::string>{"A long paragraph for summarization.",
                                                      "Another paragraph for summarization."},
                             options);
  CHECK(batch.row_length() == 38);
  CHECK(batch.input_ids[0] == Ids{4,   71,  38,  114, 117, 116, 109, 38,  118, 103, 120, 103, 109,
                                  120, 103, 118, 110, 38,  108, 117, 120, 38,  121, 123, 115, 115,
                                  103, 120, 111, 128, 103, 122, 111, 117, 116, 52,  5,   0});
  CHECK(batch.attention_mask[0].back() == 0);
  CHECK(batch.attention_mask[1].back() == 1);
}

TEST_CASE("every byte is a token, every special token too", "[text]") {
  const PerceiverTokenizer tokenizer;
  CHECK(tokenizer.vocab_size() == 256);
  CHECK(tokenizer.size() == 262);
  CHECK(tokenizer.model_max_length() == 2048);
  CHECK(std::string(tokenizer.class_name()) == "PerceiverTokenizer");
  CHECK_FALSE(tokenizer.is_fast());
  CHECK(tokenizer.pad_token_id() == 0);
  CHECK(tokenizer.bos_token_id() == 1);
  CHECK(tokenizer.eos_token_id() == 2);
  CHECK(tokenizer.mask_token_id() == 3);
  CHECK(tokenizer.cls_token_id() == 4);
  CHECK(tokenizer.sep_token_id() == 5);
  CHECK_FALSE(tokenizer.unk_token_id());
  CHECK(tokenizer.settings().mask_token == "[MASK]");
  CHECK(tokenizer.token_to_id("[EOS]") == 2);
  CHECK(tokenizer.token_to_id("\u00ff") == 261);
  CHECK_FALSE(tokenizer.token_to_id("ab"));
  CHECK(tokenizer.id_to_token(5) == "[SEP]");
  CHECK(tokenizer.id_to_token(6) == std::string(1, '\0'));
  CHECK(tokenizer.id_to_token(261) == "\u00ff");
  CHECK_FALSE(tokenizer.id_to_token(262));
  CHECK_FALSE(tokenizer.id_to_token(-1));
  for (int c = 0; c < 128; ++c) {
    const std::string text(1, static_cast<char>(c));
    CHECK(ids_of(tokenizer, text) == Ids{c + 6});
    CHECK(tokenizer.decode({c + 6}) == text);
  }
}

TEST_CASE("special tokens are found in a text as they stand, nothing else is changed", "[text]") {
  const PerceiverTokenizer tokenizer;
  CHECK(ids_of(tokenizer, "a [MASK] b") == Ids{byte('a'), byte(' '), kMask, byte(' '), byte('b')});
  CHECK(ids_of(tokenizer, "[CLS][SEP][PAD]") == Ids{kCls, kSep, kPad});
  CHECK(ids_of(tokenizer, "[mask]").size() == 6);
  CHECK(ids_of(tokenizer, "[[MASK]") == Ids{byte('['), kMask});
  CHECK(ids_of(tokenizer, "[MASK") == Ids{byte('['), byte('M'), byte('A'), byte('S'), byte('K')});
  CHECK(ids_of(tokenizer, " A\t\n ") ==
        Ids{byte(' '), byte('A'), byte('\t'), byte('\n'), byte(' ')});
  // Not composed: the letter and the mark keep their bytes.
  CHECK(ids_of(tokenizer, "e\u0301") == Ids{byte('e'), byte('\xcc'), byte('\x81')});
  CHECK(ids_of(tokenizer, "").empty());
  CHECK(tokenizer.encode("").input_ids == Rows{{kCls, kSep}});
  CHECK(ids_of(*load({{"split_special_tokens", true}}), "[CLS]").size() == 5);
}

TEST_CASE("a pair stands between three special tokens", "[text]") {
  const PerceiverTokenizer tokenizer;
  EncodeOptions options;
  options.return_special_tokens_mask = true;
  options.return_length = true;
  const auto pair = tokenizer.encode("a", "bc", options);
  CHECK(pair.input_ids == Rows{{kCls, byte('a'), kSep, byte('b'), byte('c'), kSep}});
  CHECK(pair.special_tokens_mask == Rows{{1, 0, 1, 0, 0, 1}});
  CHECK(pair.length == Ids{6});
  CHECK(tokenizer.encode("a", "").input_ids == Rows{{kCls, byte('a'), kSep, kSep}});
  CHECK(tokenizer.encode("a", std::vector<std::string>{"b", "c"}).input_ids == pair.input_ids);
}

TEST_CASE("token type ids leave the special tokens out", "[text]") {
  const PerceiverTokenizer tokenizer;
  EncodeOptions options;
  CHECK(tokenizer.encode("ab", options).token_type_ids.empty());
  options.return_token_type_ids = true;
  CHECK(tokenizer.encode("ab", options).token_type_ids == Rows{{0, 0}});
  CHECK(tokenizer.encode("ab", "c", options).token_type_ids == Rows{{0, 0, 1}});
  options.padding = PaddingStrategy::max_length;
  options.max_length = 7;
  CHECK(tokenizer.encode("ab", options).input_ids[0].size() == 7);
  CHECK(tokenizer.encode("ab", options).token_type_ids == Rows{{0, 0, 0, 0, 0}});
  options.add_special_tokens = false;
  CHECK_THROWS_AS(tokenizer.encode("ab", options), UsageError);
}

TEST_CASE("padding and truncation take the model's 2048", "[text]") {
  const PerceiverTokenizer tokenizer;
  EncodeOptions options;
  options.padding = PaddingStrategy::max_length;
  const auto padded = tokenizer.encode("a", options);
  CHECK(padded.row_length() == 2048);
  CHECK(padded.input_ids[0][3] == kPad);
  CHECK(padded.attention_mask[0][3] == 0);
  const std::string text(3000, 'x');
  CHECK(tokenizer.encode(text).row_length() == 3002);
  CHECK(tokenizer.encode(text).warnings.size() == 1);
  options = {};
  options.truncation = TruncationStrategy::longest_first;
  const auto cut = tokenizer.encode(text, options);
  CHECK(cut.row_length() == 2048);
  CHECK(cut.input_ids[0].back() == kSep);
  CHECK(cut.removed_tokens == Ids{954});
  options = {};
  options.refuse_too_long = true;
  CHECK(message_of([&] {
          tokenizer.encode(text, options);
        }).find("expected at most 2048 tokens, got 3002") != std::string::npos);
  options = {};
  options.return_overflowing_tokens = true;
  options.truncation = TruncationStrategy::only_first;
  options.max_length = 4;
  options.stride = 1;
  const auto overflow = tokenizer.encode("abcd", options);
  CHECK(overflow.input_ids == Rows{{kCls, byte('a'), byte('b'), kSep}});
  CHECK(overflow.overflowing_tokens == Rows{{byte('b'), byte('c'), byte('d')}});
  CHECK(overflow.num_truncated_tokens == Ids{2});
}

TEST_CASE("offsets are refused, as on any slow tokenizer", "[text]") {
  EncodeOptions options;
  options.return_offsets_mapping = true;
  CHECK_THROWS_AS(PerceiverTokenizer().encode("a", options), UsageError);
  TokenizerLoadOptions load_options;
  load_options.use_fast = true;
  const TemporaryFolder folder;
  SmallTokenizer::write_text(folder / "config.json", R"({"model_type": "perceiver"})");
  CHECK_FALSE(AutoTokenizer::from_pretrained(folder.path(), load_options)->is_fast());
}

TEST_CASE("decoding joins bytes before it reads them, with and without clean-up", "[text]") {
  const PerceiverTokenizer tokenizer;
  const std::string text = "Don 't go . It 's \u4e2d , \U0001f600 !";
  const auto ids = ids_of(tokenizer, text);
  CHECK(tokenizer.decode(ids) == "Don 't go. It's \u4e2d, \U0001f600!");
  CHECK(tokenizer.decode(ids, decoding(true)) == tokenizer.decode(ids));
  CHECK(tokenizer.decode(ids, decoding(false)) == text);
  CHECK(load({{"clean_up_tokenization_spaces", false}})->decode(ids) == text);
  const auto row = tokenizer.encode("a[MASK]b").input_ids[0];
  CHECK(tokenizer.decode(row) == "[CLS]a[MASK]b[SEP]");
  CHECK(tokenizer.decode(row, decoding(false, true)) == "ab");
  CHECK(tokenizer.batch_decode({row, {}, {0, 1, 2}}) ==
        std::vector<std::string>{"[CLS]a[MASK]b[SEP]", "", "[PAD][BOS][EOS]"});
  // A special token between the bytes of a letter leaves two that are none.
  CHECK(tokenizer.decode({byte('\xc3'), kMask, byte('\xa9')}) == "\ufffd[MASK]\ufffd");
  CHECK(tokenizer.decode({byte('\xc3'), kMask, byte('\xa9')}, decoding(false, true)) == "\u00e9");
  // One replacement character for each maximal part.
  CHECK(tokenizer.decode({byte('\xe2'), byte('\x82'), byte('a'), byte('\xff'), byte('\xff')}) ==
        "\ufffda\ufffd\ufffd");
}

TEST_CASE("ids that no token has cannot be decoded", "[text]") {
  const PerceiverTokenizer tokenizer;
  CHECK(message_of([&] { tokenizer.decode({262}); }) ==
        "[tokenizer] ids: expected ids of the vocabulary, got 262.");
  for (const int64_t id : {int64_t{-1}, INT64_MIN, INT64_MAX, int64_t{55302}, int64_t{0x110006}}) {
    CHECK_THROWS_AS(tokenizer.decode({id}), TokenizerError);
  }
}

TEST_CASE("added tokens of PerceiverTokenizer follow the bytes", "[text]") {
  Json config;
  config["added_tokens_decoder"] = {{"262", SmallTokenizer::flags("<x>", false, false)},
                                    {"263", SmallTokenizer::flags("<y>", false, true)}};
  config["added_tokens_decoder"]["262"]["lstrip"] = true;
  config["additional_special_tokens"] = {"<y>", "<z>"};
  config["model_max_length"] = 100;
  const auto tokenizer = load(config);
  CHECK(tokenizer->size() == 265);
  CHECK(tokenizer->model_max_length() == 100);
  CHECK(tokenizer->token_to_id("<z>") == 264);
  CHECK(ids_of(*tokenizer, "a <x> <z>") == Ids{byte('a'), 262, byte(' '), 264});
  // Tokens that were added by the user are set off.
  CHECK(tokenizer->decode({byte('a'), 262, 264, kCls, byte('b')}) == "a <x> <z> [CLS]b");
  CHECK(tokenizer->decode({byte('a'), 262, 263, 264, byte('b')}, decoding(false, true)) ==
        "a <x> b");
}

TEST_CASE("the reserved ids follow the files' special tokens", "[text]") {
  const auto tokenizer = load({{"pad_token", "<pad>"}, {"unk_token", "<unk>"}});
  CHECK(tokenizer->pad_token_id() == 0);
  CHECK(tokenizer->id_to_token(0) == "<pad>");
  CHECK(tokenizer->unk_token_id() == 262);
  CHECK(tokenizer->token_to_id("no such token") == 262);
  CHECK(ids_of(*tokenizer, "<pad>") == Ids{0});
  CHECK(ids_of(*tokenizer, "[PAD]").size() == 5);

  const auto moved =
      load({{"pad_token", "<pad>"},
            {"added_tokens_decoder", {{"0", SmallTokenizer::flags("[PAD]", true)}}}});
  CHECK(moved->pad_token_id() == 262);
  CHECK(moved->id_to_token(0) == "[PAD]");

  CHECK(load_error({{"mask_token", nullptr}}) ==
        "[tokenizer] tokenizer_config.json: /mask_token: expected a token for id 3, got null.");
  CHECK(load_error({{"cls_token", ""}}) ==
        "[tokenizer] tokenizer_config.json: /cls_token: expected a token for id 4, got an empty "
        "one.");
  CHECK(load_error({{"cls_token", nullptr},
                    {"added_tokens_decoder", {{"4", SmallTokenizer::flags("[CLS]", true)}}}}) ==
        "[tokenizer] tokenizer_config.json: expected a cls_token and a sep_token, got none.");
}

TEST_CASE("an added token may be the character that stands for a byte", "[text]") {
  const auto tokenizer = load({{"additional_special_tokens", {"a", "\u00c3", "\u4e2d"}}});
  CHECK(tokenizer->size() == 263);
  CHECK(ids_of(*tokenizer, "ba") == Ids{byte('b'), byte('a')});
  CHECK(ids_of(*tokenizer, "\u00c3") == Ids{byte('\xc3')});
  CHECK(ids_of(*tokenizer, "\u4e2d") == Ids{262});
  // Then its id stands for the character, no longer for the byte.
  CHECK(tokenizer->decode({byte('\xc3')}) == "\u00c3");
  CHECK(tokenizer->decode({0x4e2d + 6}) == "\u4e2d");
  CHECK(tokenizer->decode({byte('b'), byte('a')}, decoding(false, true)) == "b");

  const auto moved =
      load({{"added_tokens_decoder", {{"300", SmallTokenizer::flags("a", false, false)}}}});
  CHECK(ids_of(*moved, "ba") == Ids{byte('b'), 300});
  CHECK(moved->decode({byte('a')}) == "a");
}

TEST_CASE("PerceiverTokenizer reads folders from before added_tokens_decoder", "[text]") {
  const TemporaryFolder folder;
  SmallTokenizer::write_text(folder / "tokenizer_config.json",
                             R"({"tokenizer_class": "PerceiverTokenizer", "max_len": 77})");
  SmallTokenizer::write_text(folder / "added_tokens.json", R"({"<new>": 262})");
  SmallTokenizer::write_text(folder / "special_tokens_map.json",
                             R"({"mask_token": {"content": "[MASK]", "lstrip": true, "rstrip": true,
                                 "single_word": false, "normalized": false}})");
  const auto tokenizer = AutoTokenizer::from_pretrained(folder.path());
  CHECK(tokenizer->model_max_length() == 2048);  // the class has its own, which wins
  CHECK(ids_of(*tokenizer, "a [MASK] <new>") == Ids{byte('a'), kMask, 262});
  CHECK_FALSE(load({{"model_max_length", nullptr}})->model_max_length());
}

TEST_CASE("AutoTokenizer finds PerceiverTokenizer by class and by model type", "[text]") {
  CHECK(load()->class_name() == std::string("PerceiverTokenizer"));
  const TemporaryFolder folder;
  for (const char* config :
       {R"({"model_type": "perceiver"})", R"({"tokenizer_class": "PerceiverTokenizer"})"}) {
    SmallTokenizer::write_text(folder / "config.json", config);
    const auto tokenizer = AutoTokenizer::from_pretrained(folder.path());
    CHECK(tokenizer->class_name() == std::string("PerceiverTokenizer"));
    CHECK(tokenizer->model_max_length() == 2048);
  }
}

TEST_CASE("PerceiverTokenizer refuses text that is not UTF-8", "[text]") {
  const PerceiverTokenizer tokenizer;
  CHECK(message_of([&] { tokenizer.encode("ab\xff"); }) ==
        "[tokenizer] text 0: expected valid UTF-8, got \"\\xff\" at byte 2.");
  CHECK_THROWS_AS(tokenizer.encode("a\xed\xa0\x80"), TokenizerError);
  CHECK_THROWS_AS(tokenizer.encode("a", "\xc0\x80"), TokenizerError);
  CHECK_THROWS_AS(tokenizer.encode(std::vector<std::string>{"a", "\xe2\x82"}), TokenizerError);
}

TEST_CASE("PerceiverTokenizer takes linear time", "[text]") {
  constexpr std::size_t kLength = 1U << 21U;
  const PerceiverTokenizer tokenizer;
  // Quadratic time would take hours.
  CHECK(ids_of(tokenizer, std::string(kLength, '[')).size() == kLength);
  std::string near;
  while (near.size() < kLength) near += "[MASK";
  CHECK(ids_of(tokenizer, near).size() == near.size());
  std::string masks;
  while (masks.size() < kLength) masks += "[MASK]";
  CHECK(ids_of(tokenizer, masks).size() == masks.size() / 6);
  CHECK(tokenizer.decode(Ids(kLength, kMask)).size() == 6 * kLength);
  CHECK(tokenizer.decode(Ids(kLength, byte('\xff'))).size() == 3 * kLength);
}

}  // namespace
}  // namespace vizoo::test
