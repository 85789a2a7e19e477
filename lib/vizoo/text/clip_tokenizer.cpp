#include "vizoo/text/clip_tokenizer.h"

#include <algorithm>
#include <array>
#include <map>

#include "vizoo/core/error.h"
#include "vizoo/io/utf8.h"
#include "vizoo/text/byte_pair_encoding.h"
#include "vizoo/text/byte_symbols.h"
#include "vizoo/text/clip_files.h"
#include "vizoo/text/python_text.h"
#include "vizoo/text/slow_special_tokens.h"
#include "vizoo/text/unicode.h"

namespace vizoo {
namespace {

constexpr std::string_view kStartOfText = "<|startoftext|>";
constexpr std::string_view kEndOfText = "<|endoftext|>";

struct Range {
  uint32_t first;
  uint32_t last;
};

// Source: BasicTokenizer._is_chinese_char.
bool is_ideograph(uint32_t code_point) {
  static constexpr Range kIdeographs[] = {{0x3400, 0x4dbf},
                                          {0x4e00, 0x9fff},
                                          {0xf900, 0xfaff},
                                          {0x20000, 0x2a6df},
                                          {0x2a700, 0x2b73f},
                                          {0x2b740, 0x2b81f},
                                          {0x2b820, 0x2ceaf},
                                          {0x2f800, 0x2fa1f}};
  return std::any_of(std::begin(kIdeographs), std::end(kIdeographs), [code_point](Range range) {
    return code_point >= range.first && code_point <= range.last;
  });
}

// Without controls and U+FFFD, ideographs between spaces.
AlignedText clean(std::string_view text) {
  AlignedText result;
  result.reserve(text.size());
  for (const auto& c : decode_aligned(text)) {
    if (c.value == '\t' || c.value == '\n' || c.value == '\r') {
      result.push_back({' ', 0});
    } else if (c.value == 0xfffd || is_control_or_unassigned(c.value)) {
      continue;
    } else if (is_ideograph(c.value)) {
      result.insert(result.end(), {{' ', 0}, c, {' ', 0}});
    } else {
      result.push_back(c);
    }
  }
  return result;
}

// Words in lower case with a space between them. Source: BasicTokenizer.tokenize.
std::string normalize(std::string_view text) {
  auto code_points = clean(text);
  normalize_nfc(code_points, NormalizationRules::current);
  std::string result;
  std::u32string word;
  const auto finish_word = [&] {
    if (word.empty()) return;
    if (!result.empty()) result.push_back(' ');
    for (const char32_t c : python_lower(word)) append_utf8(result, c);
    word.clear();
  };
  for (const auto& c : code_points) {
    if (is_python_space(c.value)) {
      finish_word();
    } else {
      word.push_back(c.value);
    }
  }
  finish_word();
  return result;
}

}  // namespace

struct CLIPTokenizer::Data {
  Data(const TokenizerFiles& files, const SpecialTokens& special);

  std::optional<int64_t> id_of(std::string_view token) const;
  void encode_word(std::string_view word, std::vector<int64_t>& ids) const;
  std::string decode_symbols(const std::vector<std::string_view>& tokens) const;

  Vocabulary vocabulary;
  SlowAddedTokens added;
  std::optional<int64_t> unk_id;  // among the vocabulary's tokens, not the added ones
  MergeTable merges;
  std::array<uint32_t, 256> symbols{};
  std::array<uint32_t, 256> last_symbols{};
  std::vector<std::optional<int64_t>> symbol_ids;
  SpecialTokensTemplate special_template;
  SlowDecoding decoding;
  std::string errors;
  bool split_special_tokens;
};

CLIPTokenizer::Data::Data(const TokenizerFiles& files, const SpecialTokens& special)
    : vocabulary(read_clip_vocabulary(files.folder)),
      added(slow_added_tokens(
          files.added_tokens, special, files.additional_special_tokens, vocabulary)),
      errors(files.errors),
      split_special_tokens(files.split_special_tokens) {
  const auto& unk = special[static_cast<std::size_t>(SpecialTokenName::unk)];
  if (unk) unk_id = vocabulary.id_of(unk->spec.token.content);

  // Merges may make symbols that the vocabulary does not have: they become the unknown token.
  std::map<std::string, uint32_t> further;
  for (std::size_t i = 0; i < vocabulary.size(); ++i) {
    symbol_ids.push_back(id_of(vocabulary[i].token));
  }
  const auto symbol = [&](const std::string& token) {
    if (const auto index = vocabulary.index_of(token)) return *index;
    const auto next = static_cast<uint32_t>(symbol_ids.size());
    const auto [entry, is_new] = further.try_emplace(token, next);
    if (is_new) symbol_ids.push_back(id_of(token));
    return entry->second;
  };
  std::vector<Merge> table;
  uint32_t rank = 0;
  for (const auto& [left, right] : read_clip_merges(files.folder)) {
    table.push_back({symbol(left), symbol(right), rank++, symbol(left + right)});
  }
  for (std::size_t byte = 0; byte < 256; ++byte) {
    symbols[byte] = symbol(byte_symbols()[byte]);
    last_symbols[byte] = symbol(byte_symbols()[byte] + std::string(kEndOfWord));
  }
  merges = MergeTable(std::move(table), static_cast<uint32_t>(symbol_ids.size()));

  const auto special_id = [&](SpecialTokenName name) {
    const auto& token = special[static_cast<std::size_t>(name)];
    const auto id = token ? id_of(token->spec.token.content) : std::nullopt;
    if (!id) throw_tokenizer_error("tokenizer_config.json", "a bos_token and an eos_token", "none");
    return *id;
  };
  const int64_t bos = special_id(SpecialTokenName::bos);
  const int64_t eos = special_id(SpecialTokenName::eos);
  special_template = {{bos}, {eos, eos}, {eos}};

  decoding = slow_decoding(added,
                           special,
                           files.additional_special_tokens,
                           static_cast<int64_t>(vocabulary.size()),
                           [this](std::string_view token) { return id_of(token); });
}

std::optional<int64_t> CLIPTokenizer::Data::id_of(std::string_view token) const {
  if (const auto id = added.id_of(token)) return id;
  const auto id = vocabulary.id_of(token);
  return id ? id : unk_id;
}

void CLIPTokenizer::Data::encode_word(std::string_view word, std::vector<int64_t>& ids) const {
  const auto add = [&](std::optional<int64_t> id) {
    if (!id) {
      throw TokenizerError(
          "tokenizer", "vocabulary", "tokens for " + quote(word) + " or the unk_token", "none");
    }
    ids.push_back(*id);
  };
  if (word == kStartOfText || word == kEndOfText) {
    add(id_of(word));
    return;
  }
  std::vector<WordSymbol> word_symbols;
  word_symbols.reserve(word.size());
  for (std::size_t i = 0; i < word.size(); ++i) {
    const auto& table = i + 1 < word.size() ? symbols : last_symbols;
    word_symbols.push_back({table[static_cast<unsigned char>(word[i])], 1});
  }
  merge_symbols(merges, MergeOrder::rounds, word_symbols);
  for (const auto& symbol : word_symbols) add(symbol_ids[symbol.symbol]);
}

std::string CLIPTokenizer::Data::decode_symbols(const std::vector<std::string_view>& tokens) const {
  std::string bytes;
  for (const auto token : tokens) {
    if (!append_bytes_of_symbols(token, bytes)) {
      throw TokenizerError("tokenizer", "ids", "tokens of byte symbols", quote(token));
    }
  }
  const std::size_t invalid = errors == "strict" ? find_invalid_utf8(bytes) : bytes.size();
  if (invalid != bytes.size()) {
    throw TokenizerError(
        "tokenizer",
        "ids",
        "tokens that spell UTF-8",
        quote(std::string_view(bytes).substr(invalid, 1)) + " at byte " + std::to_string(invalid));
  }
  const auto text = replace_all(decode_utf8_lossy(bytes, errors == "ignore"), kEndOfWord, " ");
  return std::string(python_strip(text));
}

CLIPTokenizer::CLIPTokenizer(TokenizerSettings settings, std::unique_ptr<const Data> data)
    : Tokenizer(std::move(settings)), data_(std::move(data)) {}

CLIPTokenizer::~CLIPTokenizer() = default;

std::unique_ptr<CLIPTokenizer> CLIPTokenizer::from_pretrained(const std::filesystem::path& folder) {
  const auto files = read_tokenizer_files(folder);
  const auto special = slow_clip_special_tokens(files);
  auto data = std::make_unique<const Data>(files, special);
  return std::unique_ptr<CLIPTokenizer>(
      new CLIPTokenizer(settings_with(files, special), std::move(data)));
}

TokenSequence CLIPTokenizer::tokenize(std::string_view text, bool) const {
  const auto pieces = data_->split_special_tokens
                          ? std::vector<TextPiece>{{std::string(text), std::nullopt}}
                          : data_->added.split(text);
  TokenSequence tokens;
  for (const auto& piece : pieces) {
    if (piece.id) {
      tokens.ids.push_back(*piece.id);
      continue;
    }
    const auto normalized = normalize(piece.text);
    ClipWordScanner words(normalized, ClipWordPattern::ignore_case);
    while (words.next()) {
      data_->encode_word(
          std::string_view(normalized).substr(words.begin(), words.end() - words.begin()),
          tokens.ids);
    }
  }
  return tokens;
}

const SpecialTokensTemplate& CLIPTokenizer::special_tokens_template() const {
  return data_->special_template;
}

std::string CLIPTokenizer::decode_ids(const std::vector<int64_t>& ids,
                                      bool skip_special_tokens) const {
  std::vector<std::string_view> tokens;
  tokens.reserve(ids.size());
  for (const int64_t id : ids) {
    if (skip_special_tokens && data_->decoding.special_ids.count(id) != 0) continue;
    const auto* added = data_->added.token_of(id);
    const auto* token = added == nullptr ? data_->vocabulary.token_of(id) : &added->content;
    if (token == nullptr) {
      throw TokenizerError("tokenizer", "ids", "ids of the vocabulary", std::to_string(id));
    }
    tokens.push_back(*token);
  }
  return join_slow_tokens(tokens, data_->decoding, [this](const auto& symbols) {
    return data_->decode_symbols(symbols);
  });
}

std::optional<int64_t> CLIPTokenizer::token_to_id(std::string_view token) const {
  return data_->id_of(token);
}

std::optional<std::string> CLIPTokenizer::id_to_token(int64_t id) const {
  if (const auto* added = data_->added.token_of(id)) return added->content;
  const auto* token = data_->vocabulary.token_of(id);
  return token == nullptr ? std::nullopt : std::make_optional(*token);
}

int64_t CLIPTokenizer::vocab_size() const { return static_cast<int64_t>(data_->vocabulary.size()); }

int64_t CLIPTokenizer::size() const {
  const auto& added = data_->added.ids();
  return vocab_size() + std::count_if(added.begin(), added.end(), [this](const auto& entry) {
           return !data_->vocabulary.index_of(entry.first);
         });
}

}  // namespace vizoo
