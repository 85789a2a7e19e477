#include <functional>
#include <string>

#include "support/catch.h"
#include "support/small_tokenizer.h"
#include "unit/io/hostile_case.h"
#include "vizoo/core/error.h"

namespace vizoo::test {
namespace {

struct FileCase {
  const char* name;
  const char* file;
  std::string bytes;
  std::string message;  // a part of it
  bool slow_too = true;
};

// A good folder with one bad file.
std::string message_for(const FileCase& row, bool use_fast) {
  const TemporaryFolder folder;
  SmallTokenizer().write(folder);
  SmallTokenizer::write_text(folder / row.file, row.bytes);
  TokenizerLoadOptions options;
  options.use_fast = use_fast;
  const MemoryMeter meter;
  std::string message = "accepted";
  try {
    AutoTokenizer::from_pretrained(folder.path(), options);
  } catch (const TokenizerError& error) {
    message = error.what();
  }
  if (MemoryMeter::measures()) {
    CHECK(meter.peak_bytes() <= 4 * row.bytes.size() + (std::size_t{64} << 20U));
  }
  CHECK(message.size() < 4096);
  CHECK(message.find('\n') == message.npos);
  return message;
}

std::string config_with(const std::string& members) {
  return R"({"tokenizer_class": "CLIPTokenizer", )" + members + "}";
}

std::string numbered_tokens(int count) {
  std::string tokens;
  for (int i = 0; i < count; ++i)
    tokens += (i == 0 ? "\"<token " : ",\"<token ") + std::to_string(i) + ">\"";
  return tokens;
}

std::vector<FileCase> cases() {
  std::string many = "{";
  for (int i = 0; i < 200000; ++i) {
    many += '"' + std::to_string(i) + "\":" + std::to_string(i) + ',';
  }
  return {
      {"empty vocabulary file", "vocab.json", "", "vocab.json"},
      {"vocabulary that is cut", "vocab.json", R"({"a": 1, "b")", "vocab.json:1:"},
      {"vocabulary that is an array", "vocab.json", "[1]", "expected an object of tokens and ids"},
      {"id of the wrong type", "vocab.json", R"({"a": "1"})", "vocab.json: /a: expected an id"},
      {"negative id", "vocab.json", R"({"a": -1})", "expected an id from 0 to 4294967295, got -1"},
      {"id beyond 32 bits", "vocab.json", R"({"a": 4294967296})", "expected an id from 0"},
      {"fraction for an id", "vocab.json", R"({"a": 1.5})", "expected an id from 0"},
      {"one id twice", "vocab.json", R"({"a": 1, "b": 1})", R"(id 1 for "a" and for "b")"},
      {"one token twice", "vocab.json", R"({"a": 1, "a": 2})", "vocab.json:1:"},
      {"vocabulary that is no UTF-8", "vocab.json", "{\"\xff\": 1}", "vocab.json:1:"},
      {"many tokens", "vocab.json", many + "\"x\":0}", R"(id 0 for "0" and for "x")"},
      {"deep nesting", "vocab.json", std::string(100000, '['), "vocab.json:1:"},
      {"merge of one symbol", "merges.txt", "#v\na b\nab\n", "merges.txt: line 3: expected two"},
      {"merge of three symbols", "merges.txt", "#v\na b c\n", "merges.txt: line 2: expected two"},
      {"empty line among merges", "merges.txt", "#v\na b\n\nc a\n", "merges.txt: line 3"},
      {"merges that are no UTF-8", "merges.txt", "#v\na \xff\n", "got \"\\xff\" at byte 5"},
      {"merge of unknown symbols",
       "merges.txt",
       "#v\na b\nfoo bar\n",
       R"(merges.txt: line 3: expected symbols of the vocabulary, got "foo")",
       false},
      {"merge into an unknown symbol",
       "merges.txt",
       "#v\na b\ne e\n",
       R"(merges.txt: line 3: expected symbols of the vocabulary, got "ee")",
       false},
      {"configuration that is no object", "tokenizer_config.json", "3", "tokenizer_c"},
      {"token of the wrong type",
       "tokenizer_config.json",
       config_with(R"("pad_token": 3)"),
       "tokenizer_config.json: /pad_token: expected an added token"},
      {"token without content",
       "tokenizer_config.json",
       config_with(R"("pad_token": {"a": 1})"),
       "/pad_token: expected an added token"},
      {"flag of the wrong type",
       "tokenizer_config.json",
       config_with(R"("pad_token": {"content": "x", "lstrip": 1})"),
       "/pad_token/lstrip"},
      {"side that is none",
       "tokenizer_config.json",
       config_with(R"("padding_side": "up")"),
       R"(expected right or left, got "up")"},
      {"length that is none",
       "tokenizer_config.json",
       config_with(R"("model_max_length": -4)"),
       "/model_max_length: expected a length, got -4"},
      {"errors that are none",
       "tokenizer_config.json",
       config_with(R"("errors": "pray")"),
       "expected one of replace|ignore|strict"},
      {"id that is none",
       "tokenizer_config.json",
       config_with(R"("added_tokens_decoder": {"x": {"content": "y"}})"),
       "a token id as key"},
      {"id too large",
       "tokenizer_config.json",
       config_with(R"("added_tokens_decoder": {"9999999999": {"content": "y"}})"),
       "a token id as key"},
      {"long added token",
       "tokenizer_config.json",
       config_with(R"("pad_token": ")" + std::string(5000, 'x') + "\""),
       "a token of at most 1024 bytes, got 5000 bytes"},
      {"too many added tokens",
       "tokenizer_config.json",
       config_with(R"("additional_special_tokens": [)" + numbered_tokens(200000) + "]"),
       "added and special tokens of at most 1048576 bytes"},
      {"no special tokens",
       "tokenizer_config.json",
       config_with(R"("bos_token": null)"),
       "a bos_token and an eos_token"},
      {"names of the wrong type",
       "tokenizer_config.json",
       config_with(R"("model_input_names": [1])"),
       "/model_input_names"},
      {"tokenizer.json that is empty",
       "tokenizer.json",
       "{}",
       "tokenizer.json: /normalizer",
       false},
      {"tokenizer.json that is cut", "tokenizer.json", "{\"model\": {", "tokenizer.json:1:"},
  };
}

TEST_CASE("broken tokenizer files are one clear error", "[text]") {
  for (const auto& row : cases()) {
    for (const bool use_fast : {true, false}) {
      if (!use_fast && !row.slow_too) continue;
      INFO(row.name << (use_fast ? ", fast" : ", slow"));
      const auto message = message_for(row, use_fast);
      INFO(message);
      CHECK(message.find("[tokenizer] ") == 0);
      CHECK(message.find(row.message) != std::string::npos);
    }
  }
}

TEST_CASE("missing files are named", "[text]") {
  for (const char* name : {"vocab.json", "merges.txt"}) {
    const TemporaryFolder folder;
    SmallTokenizer().write(folder);
    std::filesystem::remove(folder / name);
    for (const bool use_fast : {true, false}) {
      TokenizerLoadOptions options;
      options.use_fast = use_fast;
      CHECK(message_of([&] {
              AutoTokenizer::from_pretrained(folder.path(), options);
            }).find(name) != std::string::npos);
    }
  }
}

TEST_CASE("huge files are refused before they are read", "[text]") {
  for (const char* name : {"vocab.json", "merges.txt", "tokenizer_config.json", "tokenizer.json"}) {
    const TemporaryFolder folder;
    SmallTokenizer().write(folder);
    SmallTokenizer::write_text(folder / name, "x");
    std::filesystem::resize_file(folder / name, std::uintmax_t{1} << 40U);
    const MemoryMeter meter;
    CHECK_THROWS_AS(AutoTokenizer::from_pretrained(folder.path()), TokenizerError);
    if (MemoryMeter::measures()) CHECK(meter.peak_bytes() < std::size_t{64} << 20U);
  }
}

// tokenizer.json files of other tokenizers would give other ids.
TEST_CASE("a tokenizer.json that is not CLIP's is refused at the part that differs", "[text]") {
  const auto good = read_json_file("test/fixtures/tokenizers/flags/tokenizer.json");
  const auto message = [](const Json& json) {
    const TemporaryFolder folder;
    SmallTokenizer::write_text(folder / "tokenizer.json", json.dump());
    SmallTokenizer::write_text(folder / "config.json", R"({"model_type": "owlv2"})");
    return message_of([&] { AutoTokenizer::from_pretrained(folder.path()); });
  };
  CHECK(message(good) == "nothing");
  const std::vector<std::pair<const char*, Json>> changes = {
      {"/version", "2.0"},
      {"/normalizer", nullptr},
      {"/normalizer/normalizers/0/type", "NFKC"},
      {"/pre_tokenizer/pretokenizers/0/pattern/Regex", "\\w+"},
      {"/pre_tokenizer/pretokenizers/0/invert", false},
      {"/pre_tokenizer/pretokenizers/1/add_prefix_space", true},
      {"/post_processor/type", "BertProcessing"},
      {"/post_processor/cls", 3},
      {"/post_processor/trim_offsets", true},  // beside tokens that take white space along
      {"/decoder/type", "WordPiece"},
      {"/model/type", "WordPiece"},
      {"/model/end_of_word_suffix", nullptr},
      {"/model/continuing_subword_prefix", "##"},
      {"/model/dropout", 0.5},
      {"/model/byte_fallback", true},
      {"/model/unk_token", 3},
      {"/model/vocab", Json::array()},
      {"/model/merges", "a b"},
      {"/model/merges/0", "a b c"},
      {"/model/merges/0", 3},
      {"/added_tokens", 3},
      {"/added_tokens/0", Json::object()},
      {"/added_tokens/0/special", 1}};
  for (const auto& [path, value] : changes) {
    Json changed = good;
    changed[Json::json_pointer(path)] = value;
    INFO(path);
    const auto text = message(changed);
    INFO(text);
    CHECK(text.find("[tokenizer] tokenizer.json: /") == 0);
  }
}

TEST_CASE("a vocabulary that misses symbols is an error only where they are needed", "[text]") {
  auto small = SmallTokenizer();
  small.vocabulary.erase("z</w>");
  CHECK(ids_of(*small.load(), "cat z") == std::vector<int64_t>{515, 520});  // unknown
  small.config["unk_token"] = "<none>";
  small.config["added_tokens_decoder"] = Json::object();
  for (const bool use_fast : {true, false}) {
    const auto tokenizer = small.load(use_fast);
    CHECK(ids_of(*tokenizer, "cat") == std::vector<int64_t>{515});
    CHECK_THROWS_AS(ids_of(*tokenizer, "z"), TokenizerError);
  }
}

}  // namespace
}  // namespace vizoo::test
