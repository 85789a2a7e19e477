#include "vizoo/text/tokenizer.h"

#include <algorithm>
#include <array>

#include "vizoo/core/error.h"
#include "vizoo/io/utf8.h"
#include "vizoo/text/encode_rows.h"
#include "vizoo/text/python_text.h"

namespace vizoo {
namespace {

// Positions of tokens are 32 bits wide.
constexpr std::size_t kMaxTextBytes = std::size_t{1} << 30U;

void check_text(std::string_view text, const std::string& name) {
  if (text.size() > kMaxTextBytes) {
    throw TokenizerError("tokenizer",
                         name,
                         "at most " + std::to_string(kMaxTextBytes) + " bytes",
                         std::to_string(text.size()));
  }
  const std::size_t invalid = find_invalid_utf8(text);
  if (invalid == text.size()) return;
  throw TokenizerError("tokenizer",
                       name,
                       "valid UTF-8",
                       quote(text.substr(invalid, 1)) + " at byte " + std::to_string(invalid));
}

// Source: PreTrainedTokenizerBase.clean_up_tokenization.
std::string clean_up_spaces(std::string text) {
  static constexpr std::array<std::pair<const char*, const char*>, 10> kReplacements = {
      {{" .", "."},
       {" ?", "?"},
       {" !", "!"},
       {" ,", ","},
       {" ' ", "'"},
       {" n't", "n't"},
       {" 'm", "'m"},
       {" 's", "'s"},
       {" 've", "'ve"},
       {" 're", "'re"}}};
  for (const auto& [from, to] : kReplacements) text = replace_all(text, from, to);
  return text;
}

bool is_empty(const TextSequence& sequence) {
  return std::visit([](const auto& value) { return value.empty(); }, sequence);
}

void check_lengths(const BatchEncoding& encoding,
                   int64_t model_max_length,
                   bool refuse,
                   bool length_was_given,
                   std::vector<std::string>& warnings) {
  for (std::size_t i = 0; i < encoding.rows(); ++i) {
    const auto length = static_cast<int64_t>(encoding.input_ids[i].size());
    if (length <= model_max_length) continue;
    if (refuse) {
      throw TokenizerError("tokenizer",
                           "text " + std::to_string(i),
                           "at most " + std::to_string(model_max_length) + " tokens",
                           std::to_string(length),
                           "Truncation cuts longer texts");
    }
    if (length_was_given) return;
    warnings.push_back("text " + std::to_string(i) + " has " + std::to_string(length) +
                       " tokens, more than the " + std::to_string(model_max_length) +
                       " that the model takes");
    return;
  }
}

}  // namespace

int64_t BatchEncoding::row_length() const {
  const std::size_t tokens = input_ids.empty() ? 0 : input_ids.front().size();
  for (std::size_t i = 0; i < input_ids.size(); ++i) {
    if (input_ids[i].size() == tokens) continue;
    throw TokenizerError("tokenizer",
                         "text " + std::to_string(i),
                         std::to_string(tokens) + " tokens as in text 0",
                         std::to_string(input_ids[i].size()),
                         "Padding and truncation make rows equally long");
  }
  return static_cast<int64_t>(tokens);
}

BatchEncoding Tokenizer::encode(const TextSequence& text, const EncodeOptions& options) const {
  return encode_inputs({{text, std::nullopt}}, options, false);
}

BatchEncoding Tokenizer::encode(const TextSequence& text,
                                const TextSequence& text_pair,
                                const EncodeOptions& options) const {
  if (is_fast() && is_empty(text_pair)) return encode(text, options);
  return encode_inputs({{text, text_pair}}, options, false);
}

BatchEncoding Tokenizer::encode_batch(const std::vector<TextInput>& inputs,
                                      const EncodeOptions& options) const {
  return encode_inputs(inputs, options, true);
}

BatchEncoding Tokenizer::encode_batch(const std::vector<std::string>& texts,
                                      const EncodeOptions& options) const {
  std::vector<TextInput> inputs;
  inputs.reserve(texts.size());
  for (const auto& text : texts) inputs.push_back({text, std::nullopt});
  return encode_inputs(inputs, options, true);
}

BatchEncoding Tokenizer::encode_inputs(const std::vector<TextInput>& inputs,
                                       const EncodeOptions& options,
                                       bool is_batch) const {
  if (inputs.empty()) throw UsageError("usage", "texts", "at least one", "none");
  BatchEncoding encoding;
  const auto plan = plan_encoding(*this, options, is_batch, encoding.warnings);
  std::vector<TokenizedInput> tokenized(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto name = "text " + std::to_string(i);
    const bool with_offsets = options.return_offsets_mapping;
    tokenized[i].first = tokenize_sequence(inputs[i].text, name, with_offsets);
    if (inputs[i].text_pair) {
      tokenized[i].second =
          tokenize_sequence(*inputs[i].text_pair, name + ", second sequence", with_offsets);
    }
  }
  if (is_fast()) {
    add_fast_rows(tokenized, special_tokens_template(), plan, encoding);
  } else {
    add_slow_rows(
        std::move(tokenized),
        special_tokens_template(),
        [this](std::size_t first, std::optional<std::size_t> second) {
          return token_type_ids(first, second);
        },
        plan,
        encoding);
  }
  if (settings_.model_max_length) {
    check_lengths(encoding,
                  *settings_.model_max_length,
                  options.refuse_too_long,
                  plan.max_length.has_value(),
                  encoding.warnings);
  }
  return encoding;
}

TokenSequence Tokenizer::tokenize_sequence(const TextSequence& sequence,
                                           const std::string& name,
                                           bool with_offsets) const {
  if (const auto* text = std::get_if<std::string>(&sequence)) {
    check_text(*text, name);
    return tokenize(*text, with_offsets);
  }
  const auto& words = std::get<std::vector<std::string>>(sequence);
  if (words.empty() && !is_fast()) {
    throw UsageError("usage", name, "at least one word", "none");
  }
  TokenSequence all;
  for (std::size_t i = 0; i < words.size(); ++i) {
    check_text(words[i], name + ", word " + std::to_string(i));
    const auto tokens = tokenize(words[i], with_offsets);
    all.ids.insert(all.ids.end(), tokens.ids.begin(), tokens.ids.end());
    all.offsets.insert(all.offsets.end(), tokens.offsets.begin(), tokens.offsets.end());
  }
  return all;
}

std::vector<int64_t> Tokenizer::token_type_ids(std::size_t first,
                                               std::optional<std::size_t> second) const {
  const auto& special = special_tokens_template();
  const std::size_t added =
      special.before.size() + special.after.size() + (second ? special.between.size() : 0);
  return std::vector<int64_t>(first + second.value_or(0) + added);
}

std::string Tokenizer::decode(const std::vector<int64_t>& ids, const DecodeOptions& options) const {
  auto text = decode_ids(ids, options.skip_special_tokens);
  const bool clean_up =
      options.clean_up_tokenization_spaces.value_or(settings_.clean_up_tokenization_spaces);
  return clean_up ? clean_up_spaces(std::move(text)) : text;
}

std::vector<std::string> Tokenizer::batch_decode(const std::vector<std::vector<int64_t>>& batch,
                                                 const DecodeOptions& options) const {
  std::vector<std::string> texts;
  texts.reserve(batch.size());
  for (const auto& ids : batch) texts.push_back(decode(ids, options));
  return texts;
}

std::optional<int64_t> Tokenizer::special_id(const std::optional<std::string>& token) const {
  return token ? token_to_id(*token) : std::nullopt;
}

}  // namespace vizoo
