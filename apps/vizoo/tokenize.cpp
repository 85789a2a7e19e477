// `vizoo tokenize`: texts to token ids, and back.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "commands.h"
#include "vizoo/core/error.h"
#include "vizoo/io/file.h"
#include "vizoo/io/json.h"
#include "vizoo/text/auto_tokenizer.h"

namespace vizoo::app {
namespace {

constexpr std::size_t kMaxTextFileBytes = std::size_t{1} << 30U;

struct TokenizeOptions {
  std::filesystem::path model;
  std::optional<std::string> first_text;
  std::vector<std::string> texts;
  std::vector<std::string> pairs;
  std::filesystem::path file;
  std::filesystem::path pair_file;
  std::string padding = "none";
  bool truncation = false;
  std::string truncation_strategy = "longest_first";
  std::optional<int64_t> max_length;
  std::optional<int64_t> pad_to_multiple_of;
  bool slow = false;
  bool split_into_words = false;
  bool no_special_tokens = false;
  bool no_attention_mask = false;
  bool token_type_ids = false;
  bool decode = false;
  bool skip_special_tokens = false;
  bool clean_up = false;
  bool no_clean_up = false;
  EncodeOptions call;
};

std::string read_standard_input() {
  std::string text;
  char buffer[1 << 16];
  while (std::cin.read(buffer, sizeof(buffer)) || std::cin.gcount() > 0) {
    text.append(buffer, static_cast<std::size_t>(std::cin.gcount()));
    if (text.size() > kMaxTextFileBytes) {
      throw TokenizerError("tokenizer",
                           "standard input",
                           "at most " + std::to_string(kMaxTextFileBytes) + " bytes",
                           "more");
    }
  }
  return text;
}

// Lines end with \n and nothing else, so that every other character may be part of a text.
std::vector<std::string> read_lines(const std::filesystem::path& path) {
  const auto text =
      path == "-" ? read_standard_input() : read_file(path, kMaxTextFileBytes, FileKind::tokenizer);
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

std::vector<std::string> texts_of(const std::vector<std::string>& texts,
                                  const std::filesystem::path& file) {
  return file.empty() ? texts : read_lines(file);
}

TextSequence sequence(const std::string& text, bool split_into_words) {
  if (!split_into_words) return text;
  const auto words = parse_json(text, "TEXT", FileKind::tokenizer);
  bool valid = words.is_array();
  for (const auto& word : words) valid = valid && word.is_string();
  if (!valid) {
    throw UsageError("usage",
                     "--is-split-into-words",
                     "a JSON array of strings, such as [\"a\", \"cat\"]",
                     quote(text));
  }
  return words.get<std::vector<std::string>>();
}

void append(std::string& line, int64_t value) { line += std::to_string(value); }

void append(std::string& line, const std::pair<int64_t, int64_t>& offsets) {
  line += '[' + std::to_string(offsets.first) + ',' + std::to_string(offsets.second) + ']';
}

template <class T>
void append(std::string& line, const std::vector<T>& values) {
  line += '[';
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) line += ',';
    append(line, values[i]);
  }
  line += ']';
}

template <class T>
void append_field(std::string& line,
                  const char* name,
                  const std::vector<T>& rows,
                  std::size_t row) {
  if (rows.empty()) return;
  line += line.size() == 1 ? "\"" : ",\"";
  line += name;
  line += "\":";
  append(line, rows[row]);
}

void print_encoding(const BatchEncoding& encoding) {
  std::string line;
  for (std::size_t row = 0; row < encoding.rows(); ++row) {
    line = "{";
    append_field(line, "input_ids", encoding.input_ids, row);
    append_field(line, "token_type_ids", encoding.token_type_ids, row);
    append_field(line, "attention_mask", encoding.attention_mask, row);
    append_field(line, "special_tokens_mask", encoding.special_tokens_mask, row);
    append_field(line, "offset_mapping", encoding.offset_mapping, row);
    append_field(line, "length", encoding.length, row);
    append_field(line, "overflow_to_sample_mapping", encoding.overflow_to_sample_mapping, row);
    append_field(line, "overflowing_tokens", encoding.overflowing_tokens, row);
    append_field(line, "num_truncated_tokens", encoding.num_truncated_tokens, row);
    line += "}\n";
    std::cout << line;
  }
}

void warn(const BatchEncoding& encoding) {
  for (const auto& line : encoding.warnings) std::cerr << "warning: " << line << ".\n";
  for (std::size_t i = 0; i < encoding.removed_tokens.size(); ++i) {
    if (encoding.removed_tokens[i] == 0) continue;
    std::cerr << "warning: text " << i << " lost " << encoding.removed_tokens[i]
              << " tokens to truncation.\n";
  }
}

int encode(const TokenizeOptions& options, const Tokenizer& tokenizer) {
  EncodeOptions call = options.call;
  call.add_special_tokens = !options.no_special_tokens;
  call.padding = options.padding == "none" ? PaddingStrategy::do_not_pad
                                           : *enum_value<PaddingStrategy>(options.padding);
  call.truncation = options.truncation
                        ? *enum_value<TruncationStrategy>(options.truncation_strategy)
                        : TruncationStrategy::do_not_truncate;
  call.max_length = options.max_length;
  call.pad_to_multiple_of = options.pad_to_multiple_of;
  if (options.no_attention_mask) call.return_attention_mask = false;
  if (options.token_type_ids) call.return_token_type_ids = true;
  call.refuse_too_long = true;

  const auto texts = texts_of(options.texts, options.file);
  const auto pairs = texts_of(options.pairs, options.pair_file);
  const bool has_pairs = !options.pairs.empty() || !options.pair_file.empty();
  if (has_pairs && pairs.size() != texts.size()) {
    throw UsageError("usage",
                     "--text-pair",
                     "one for each of the " + std::to_string(texts.size()) + " texts",
                     std::to_string(pairs.size()));
  }
  if (texts.empty()) return kOk;  // an empty file
  std::vector<TextInput> inputs;
  inputs.reserve(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    auto& input = inputs.emplace_back();
    input.text = sequence(texts[i], options.split_into_words);
    if (has_pairs) input.text_pair = sequence(pairs[i], options.split_into_words);
  }
  const auto encoding = tokenizer.encode_batch(inputs, call);
  warn(encoding);
  print_encoding(encoding);
  return kOk;
}

// `[1, 2]`, `{"input_ids": [1, 2]}` or `1 2`.
std::vector<int64_t> parse_ids(const std::string& text) {
  const auto first = text.find_first_not_of(" \t");
  Json ids = Json::array();
  if (first != text.npos && (text[first] == '[' || text[first] == '{')) {
    ids = parse_json(text, "ids", FileKind::tokenizer);
    if (ids.is_object() && ids.contains("input_ids")) ids = Json(ids["input_ids"]);
  } else if (first != text.npos) {
    std::string array = text;
    for (std::size_t i = array.find_first_of(" ,\t"); i != array.npos;) {
      const auto next = std::min(array.find_first_not_of(" ,\t", i), array.size());
      array.replace(i, next - i, next == array.size() ? "" : ",");
      i = array.find_first_of(" ,\t", i + 1);
    }
    ids = parse_json('[' + array + ']', "ids", FileKind::tokenizer);
  }
  bool valid = ids.is_array();
  for (const auto& id : ids) valid = valid && id.is_number_integer() && id <= INT64_MAX;
  if (!valid) {
    throw UsageError("usage", "--decode", "ids such as 320 2368 or [320, 2368]", quote(text));
  }
  return ids.get<std::vector<int64_t>>();
}

int decode(const TokenizeOptions& options, const Tokenizer& tokenizer) {
  DecodeOptions call;
  call.skip_special_tokens = options.skip_special_tokens;
  if (options.clean_up || options.no_clean_up) {
    call.clean_up_tokenization_spaces = options.clean_up;
  }
  for (const auto& text : texts_of(options.texts, options.file)) {
    const Json line = {{"text", tokenizer.decode(parse_ids(text), call)}};
    std::cout << line.dump() << '\n';
  }
  return kOk;
}

// Behind `--` a text may begin with a hyphen.
std::vector<std::string> collect_texts(const CLI::App& command, const TokenizeOptions& options) {
  std::vector<std::string> texts;
  if (options.first_text) texts.push_back(*options.first_text);
  bool all_are_texts = false;
  for (const auto& argument : command.remaining()) {
    if (!all_are_texts && argument == "--") {
      all_are_texts = true;
    } else if (!all_are_texts && argument.size() > 1 && argument[0] == '-') {
      throw UsageError(
          "usage", printable(argument), "an option", "none of that name", "Texts may follow --");
    } else {
      texts.push_back(argument);
    }
  }
  return texts;
}

int tokenize(const TokenizeOptions& options) {
  if (options.texts.empty() == options.file.empty()) {
    throw UsageError(
        "usage", "tokenize", "either TEXT or --file", options.file.empty() ? "neither" : "both");
  }
  TokenizerLoadOptions load;
  load.use_fast = !options.slow;
  const auto tokenizer = AutoTokenizer::from_pretrained(options.model, load);
  return options.decode ? decode(options, *tokenizer) : encode(options, *tokenizer);
}

void add_call_options(CLI::App& command, TokenizeOptions& options) {
  command.add_option("--max-length", options.max_length, "Length to pad and truncate to")
      ->type_name("N");
  command.add_option("--padding", options.padding, "max_length, longest or none")
      ->check(CLI::IsMember({"max_length", "longest", "none"}))
      ->capture_default_str();
  auto* truncation =
      command.add_flag("--truncation",
                       options.truncation,
                       "Cut what is longer than --max-length or than the model takes, which is an "
                       "error otherwise");
  command
      .add_option("--truncation-strategy",
                  options.truncation_strategy,
                  "Which text of a pair is cut: longest_first, only_first or only_second")
      ->check(CLI::IsMember({"longest_first", "only_first", "only_second"}))
      ->capture_default_str()
      ->needs(truncation);
  command.add_option("--stride", options.call.stride, "Tokens that overflowing windows share")
      ->type_name("N");
  command.add_option("--pad-to-multiple-of", options.pad_to_multiple_of, "Round lengths up")
      ->type_name("N");
  command.add_flag("--no-special-tokens", options.no_special_tokens, "Only the text's own tokens");
  command.add_flag("--no-attention-mask", options.no_attention_mask, "Leave attention_mask out");
  command.add_flag("--return-token-type-ids", options.token_type_ids, "Add token_type_ids");
  command.add_flag("--return-overflowing-tokens",
                   options.call.return_overflowing_tokens,
                   "Add what truncation cuts off: a line for each window, with --slow a field");
  command.add_flag("--return-special-tokens-mask",
                   options.call.return_special_tokens_mask,
                   "Add special_tokens_mask");
  command.add_flag("--return-offsets-mapping",
                   options.call.return_offsets_mapping,
                   "Add offset_mapping, in code points; not with --slow");
  command.add_flag("--return-length", options.call.return_length, "Add length");
}

}  // namespace

void add_tokenize(CLI::App& program, Run& run) {
  auto* command =
      program.add_subcommand("tokenize", "Turn texts into token ids; one JSON object a line");
  auto options = std::make_shared<TokenizeOptions>();
  command->add_option("--model", options->model, "Folder with the tokenizer's files")
      ->required()
      ->type_name("DIR");
  // A positional list would take a text in brackets for a list: all texts but the first are extras.
  command->add_option("text", options->first_text, "Texts; with --decode, ids")
      ->type_name("TEXT...");
  command->allow_extras();
  command->add_option("--file", options->file, "One text a line, \\n ends a line; - is stdin")
      ->type_name("LINES.txt");
  command->add_option("--text-pair", options->pairs, "Second text of a pair, once for each TEXT")
      ->type_name("TEXT")
      ->allow_extra_args(false);
  command->add_option("--pair-file", options->pair_file, "Second texts, one a line")
      ->type_name("LINES.txt")
      ->excludes("--text-pair");
  command->add_flag(
      "--is-split-into-words", options->split_into_words, "Each text is a JSON array of words");
  command->add_flag("--slow", options->slow, "The rules of the slow tokenizer, without ftfy");
  add_call_options(*command, *options);
  command->add_flag("--decode", options->decode, "Turn ids back into text");
  command->add_flag(
      "--skip-special-tokens", options->skip_special_tokens, "Decode without special tokens");
  auto* clean_up = command->add_flag(
      "--clean-up", options->clean_up, "Decode without spaces before punctuation");
  command
      ->add_flag("--no-clean-up", options->no_clean_up, "Decode with them (default: as files say)")
      ->excludes(clean_up);
  command->footer(
      "Example: vizoo tokenize --model owlv2 --padding max_length \"a photo of a cat\"\n"
      "         vizoo tokenize --model owlv2 --decode \"49406 2368 49407\"");
  command->callback([&run, command, options] {
    run = [command, options] {
      options->texts = collect_texts(*command, *options);
      return tokenize(*options);
    };
  });
}

}  // namespace vizoo::app
