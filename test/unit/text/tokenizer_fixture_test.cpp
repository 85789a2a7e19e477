// Replays what Transformers 4.37.2 answered (scripts/parity/tokenizer_fixtures.py).
#include <filesystem>
#include <optional>
#include <string>

#include "support/catch.h"
#include "vizoo/core/error.h"
#include "vizoo/io/json.h"
#include "vizoo/text/auto_tokenizer.h"

namespace vizoo::test {
namespace {

TextSequence sequence_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  return value.get<std::vector<std::string>>();
}

template <class T>
std::optional<T> optional(const Json& call, const char* key) {
  if (!call.contains(key)) return std::nullopt;
  return call[key].get<T>();
}

EncodeOptions options_of(const Json& call) {
  EncodeOptions options;
  options.add_special_tokens = call.value("add_special_tokens", true);
  if (const auto name = optional<std::string>(call, "padding")) {
    options.padding = *enum_value<PaddingStrategy>(*name);
  }
  if (const auto name = optional<std::string>(call, "truncation")) {
    options.truncation = *enum_value<TruncationStrategy>(*name);
  }
  options.max_length = optional<int64_t>(call, "max_length");
  options.stride = call.value("stride", int64_t{0});
  options.pad_to_multiple_of = optional<int64_t>(call, "pad_to_multiple_of");
  options.return_token_type_ids = optional<bool>(call, "return_token_type_ids");
  options.return_attention_mask = optional<bool>(call, "return_attention_mask");
  options.return_overflowing_tokens = call.value("return_overflowing_tokens", false);
  options.return_special_tokens_mask = call.value("return_special_tokens_mask", false);
  options.return_offsets_mapping = call.value("return_offsets_mapping", false);
  options.return_length = call.value("return_length", false);
  return options;
}

BatchEncoding encode(const Tokenizer& tokenizer, const Json& row) {
  const auto options = options_of(row["call"]);
  const auto& texts = row["texts"];
  const auto& pairs = row["pairs"];
  if (row["single"] == true) {
    if (pairs.is_null()) return tokenizer.encode(sequence_of(texts[0]), options);
    return tokenizer.encode(sequence_of(texts[0]), sequence_of(pairs[0]), options);
  }
  std::vector<TextInput> inputs;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    inputs.push_back({sequence_of(texts[i]), std::nullopt});
    if (!pairs.is_null()) inputs.back().text_pair = sequence_of(pairs[i]);
  }
  return tokenizer.encode_batch(inputs, options);
}

template <class T>
void add(Json& row, const char* name, const std::vector<T>& rows, std::size_t index) {
  if (!rows.empty()) row[name] = rows.at(index);
}

Json as_json(const BatchEncoding& encoding) {
  auto rows = Json::array();
  for (std::size_t i = 0; i < encoding.rows(); ++i) {
    Json row = Json::object();
    add(row, "input_ids", encoding.input_ids, i);
    add(row, "token_type_ids", encoding.token_type_ids, i);
    add(row, "attention_mask", encoding.attention_mask, i);
    add(row, "special_tokens_mask", encoding.special_tokens_mask, i);
    add(row, "offset_mapping", encoding.offset_mapping, i);
    add(row, "length", encoding.length, i);
    add(row, "overflow_to_sample_mapping", encoding.overflow_to_sample_mapping, i);
    add(row, "overflowing_tokens", encoding.overflowing_tokens, i);
    add(row, "num_truncated_tokens", encoding.num_truncated_tokens, i);
    rows.push_back(row);
  }
  return rows;
}

// What we make of a case, in the form of the file.
Json answer(const Tokenizer& tokenizer, const Json& row) {
  try {
    if (row.contains("texts")) return {{"rows", as_json(encode(tokenizer, row))}};
    DecodeOptions options;
    options.skip_special_tokens = row["skip"].get<bool>();
    if (!row["clean_up"].is_null()) {
      options.clean_up_tokenization_spaces = row["clean_up"].get<bool>();
    }
    return {{"text", tokenizer.decode(row["ids"].get<std::vector<int64_t>>(), options)}};
  } catch (const Error&) {
    return {{"error", true}};
  }
}

TEST_CASE("tokenizers answer as Transformers does", "[text][fixture]") {
  const auto name = GENERATE(as<std::string>(), "owlv2", "tiny", "flags", "perceiver");
  const auto folder = std::filesystem::path("test/fixtures/tokenizers") / name;
  TokenizerLoadOptions slow;
  slow.use_fast = false;
  const auto fast_tokenizer = AutoTokenizer::from_pretrained(folder);
  const auto slow_tokenizer = AutoTokenizer::from_pretrained(folder, slow);
  const auto cases = read_json_file(folder / "expected.json");
  REQUIRE(cases.size() > 50);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const auto& row = cases[i];
    const auto& tokenizer = row["fast"] == true ? *fast_tokenizer : *slow_tokenizer;
    const Json given = answer(tokenizer, row);
    for (const auto* key : {"rows", "text", "error"}) {
      INFO(name << " case " << i << ": " << row.dump().substr(0, 400));
      CHECK(given.value(key, Json()) == row.value(key, Json()));
    }
  }
}

}  // namespace
}  // namespace vizoo::test
