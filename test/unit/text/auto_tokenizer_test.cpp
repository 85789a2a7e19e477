#include "vizoo/text/auto_tokenizer.h"

#include "support/catch.h"
#include "support/small_tokenizer.h"
#include "vizoo/core/error.h"

namespace vizoo::test {
namespace {

TEST_CASE("the class comes from tokenizer_class, else from the model type", "[text]") {
  auto small = SmallTokenizer();
  small.config["tokenizer_class"] = "CLIPTokenizerFast";
  CHECK(small.load(false)->class_name() == std::string("CLIPTokenizer"));
  small.config.erase("tokenizer_class");
  const TemporaryFolder folder;
  small.write(folder);
  CHECK_THROWS_AS(AutoTokenizer::from_pretrained(folder.path()), TokenizerError);
  for (const char* type : {"owlv2", "owlvit", "clip"}) {
    SmallTokenizer::write_text(folder / "config.json", Json{{"model_type", type}}.dump());
    CHECK(AutoTokenizer::from_pretrained(folder.path())->is_fast());
  }
  SmallTokenizer::write_text(folder / "config.json", R"({"model_type": "convnext"})");
  CHECK(message_of([&] {
          AutoTokenizer::from_pretrained(folder.path());
        }).find("got \"convnext\"") != std::string::npos);
  SmallTokenizer::write_text(folder / "config.json", R"({"tokenizer_class": "CLIPTokenizer"})");
  CHECK(AutoTokenizer::from_pretrained(folder.path())->is_fast());
  CHECK(tokenizer_types() == std::vector<std::string>{"CLIPTokenizer", "PerceiverTokenizer"});
}

TEST_CASE("an unknown class is an error that lists the known ones", "[text]") {
  auto small = SmallTokenizer();
  small.config["tokenizer_class"] = "BertTokenizer";
  CHECK(message_of([&] {
          small.load();
        }).find("expected one of CLIPTokenizer|PerceiverTokenizer, got \"BertTokenizer\"") !=
        std::string::npos);
  CHECK_THROWS_AS(AutoTokenizer::from_pretrained("no/such/folder"), TokenizerError);
}

TEST_CASE("tokenizer.json is preferred to vocab.json and merges.txt", "[text]") {
  const auto tokenizer = AutoTokenizer::from_pretrained("test/fixtures/tokenizers/flags");
  CHECK(tokenizer->padding_side() == Side::left);
  CHECK(tokenizer->truncation_side() == Side::left);
  CHECK_FALSE(tokenizer->model_max_length());
}

TEST_CASE("folders from before added_tokens_decoder", "[text]") {
  const TemporaryFolder folder;
  auto small = SmallTokenizer();
  small.config = {{"tokenizer_class", "CLIPTokenizer"}, {"max_len", 77}};
  small.write(folder);
  SmallTokenizer::write_text(folder / "added_tokens.json", R"({"<new>": 521, "<|pad|>": 522})");
  SmallTokenizer::write_text(folder / "special_tokens_map.json",
                             R"({"pad_token": "<|pad|>",
          "eos_token": {"content": "<|endoftext|>", "lstrip": true, "rstrip": false,
                        "single_word": false, "normalized": false},
          "additional_special_tokens": ["<new>"]})");
  for (const bool use_fast : {true, false}) {
    TokenizerLoadOptions options;
    options.use_fast = use_fast;
    const auto tokenizer = AutoTokenizer::from_pretrained(folder.path(), options);
    CHECK(tokenizer->model_max_length() == 77);
    CHECK(tokenizer->pad_token_id() == 522);
    CHECK(tokenizer->token_to_id("<new>") == 521);
    CHECK(ids_of(*tokenizer, "cat<new>") == std::vector<int64_t>{515, 521});
    DecodeOptions skip;
    skip.skip_special_tokens = true;
    CHECK(tokenizer->decode({515, 521, 522}, skip) == "cat");
  }
}

TEST_CASE("a length of 1e30 is no limit", "[text]") {
  auto small = SmallTokenizer();
  const TemporaryFolder folder;
  small.write(folder);
  SmallTokenizer::write_text(folder / "tokenizer_config.json",
                             R"({"tokenizer_class": "CLIPTokenizer",
                                 "model_max_length": 1000000000000000019884624838656})");
  CHECK_FALSE(AutoTokenizer::from_pretrained(folder.path())->model_max_length());
}

TEST_CASE("paths in tokenizer_config.json are not followed", "[text]") {
  auto small = SmallTokenizer();
  small.config["vocab_file"] = "/etc/passwd";
  small.config["merges_file"] = "../../merges.txt";
  small.config["tokenizer_file"] = "/dev/zero";
  CHECK(ids_of(*small.load(), "cat") == std::vector<int64_t>{515});
}

}  // namespace
}  // namespace vizoo::test
