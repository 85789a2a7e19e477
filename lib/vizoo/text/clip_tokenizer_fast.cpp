#include <algorithm>
#include <array>
#include <set>

#include "vizoo/core/error.h"
#include "vizoo/io/utf8.h"
#include "vizoo/text/byte_pair_encoding.h"
#include "vizoo/text/byte_symbols.h"
#include "vizoo/text/clip_files.h"
#include "vizoo/text/clip_tokenizer.h"
#include "vizoo/text/fast_added_tokens.h"
#include "vizoo/text/python_text.h"
#include "vizoo/text/unicode.h"

namespace vizoo {
namespace {

constexpr uint32_t kNoSymbol = ~uint32_t{0};

bool is_ascii(std::string_view text) {
  return std::all_of(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// A text after NFC, with single spaces for white space, in lower case.
struct NormalizedText {
  std::string text;
  std::vector<uint32_t> origins;  // for each byte, the code point it stands for; only if asked for
};

void append(NormalizedText& result, AlignedCodePoint c, bool with_origins) {
  append_utf8(result.text, c.value);
  if (with_origins) result.origins.resize(result.text.size(), c.origin);
}

// `origin`: index of the first code point of `text`.
NormalizedText normalize(std::string_view text, uint32_t origin, bool with_origins) {
  NormalizedText result;
  result.text.reserve(text.size());
  if (is_ascii(text) && !with_origins) {
    for (std::size_t i = 0; i < text.size(); ++i) {
      const auto c = static_cast<unsigned char>(text[i]);
      if (c >= 'A' && c <= 'Z') {
        result.text.push_back(static_cast<char>(c | 0x20U));
      } else if (!is_white_space(c)) {
        result.text.push_back(text[i]);
      } else if (i + 1 == text.size() || !is_white_space(static_cast<unsigned char>(text[i + 1]))) {
        result.text.push_back(' ');
      }
    }
    return result;
  }
  auto code_points = decode_aligned(text, origin);
  normalize_nfc(code_points, NormalizationRules::unicode9);
  // A run of white space becomes one space, which takes the origin of the run's last character.
  std::size_t written = 0;
  for (std::size_t i = 0; i < code_points.size(); ++i) {
    const bool space = is_white_space(code_points[i].value);
    if (space && i + 1 < code_points.size() && is_white_space(code_points[i + 1].value)) continue;
    code_points[written] = code_points[i];
    if (space) code_points[written].value = ' ';
    ++written;
  }
  code_points.resize(written);
  to_lower(code_points);
  for (const auto& c : code_points) append(result, c, with_origins);
  return result;
}

std::vector<uint32_t> code_point_indices(std::string_view text) {
  std::vector<uint32_t> indices(text.size());
  uint32_t index = 0;
  for (std::size_t position = 0; position < text.size(); ++index) {
    const std::size_t length = decode_utf8(text, position).length;
    std::fill_n(indices.begin() + static_cast<std::ptrdiff_t>(position), length, index);
    position += length;
  }
  return indices;
}

}  // namespace

struct CLIPTokenizerFast::Data {
  explicit Data(FastClipParts parts);

  // `tokens`: added to those of tokenizer.json, if there is one, as Transformers does when it
  // loads.
  void add_tokens(const TokenizerFiles& files, const FastClipParts& parts);

  void check_that_nothing_is_trimmed() const;
  void encode_word(std::string_view word, std::vector<WordSymbol>& symbols) const;
  void encode_text(const NormalizedText& text,
                   std::size_t begin,
                   std::size_t end,
                   bool with_offsets,
                   TokenSequence& tokens) const;

  Vocabulary vocabulary;
  MergeTable merges;
  std::optional<std::string> unk_token;
  uint32_t unk_symbol = kNoSymbol;
  std::array<uint32_t, 256> symbols{};       // of each byte within a word
  std::array<uint32_t, 256> last_symbols{};  // of each byte at a word's end
  ClipWordPattern pattern;
  SpecialTokensTemplate special;
  std::optional<FastAddedTokens> added;
};

CLIPTokenizerFast::Data::Data(FastClipParts parts)
    : vocabulary(std::move(parts.vocabulary)),
      unk_token(parts.unk_token),
      pattern(parts.pattern),
      special{{parts.bos_id}, {parts.eos_id, parts.eos_id}, {parts.eos_id}} {
  std::vector<Merge> table;
  table.reserve(parts.merges.size());
  for (std::size_t i = 0; i < parts.merges.size(); ++i) {
    const auto& [left, right] = parts.merges[i];
    const auto symbol = [&, this](const std::string& token) {
      const auto index = vocabulary.index_of(token);
      if (index) return *index;
      const std::size_t line = parts.merges_source.back() == '/' ? i : i + 2;
      throw TokenizerError("tokenizer",
                           parts.merges_source + std::to_string(line),
                           "symbols of the vocabulary",
                           quote(token));
    };
    table.push_back({symbol(left), symbol(right), static_cast<uint32_t>(i), symbol(left + right)});
  }
  merges = MergeTable(std::move(table), static_cast<uint32_t>(vocabulary.size()));
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const auto& symbol = byte_symbols()[byte];
    symbols[byte] = vocabulary.index_of(symbol).value_or(kNoSymbol);
    last_symbols[byte] = vocabulary.index_of(symbol + std::string(kEndOfWord)).value_or(kNoSymbol);
  }
  if (unk_token) unk_symbol = vocabulary.index_of(*unk_token).value_or(kNoSymbol);
  added.emplace(vocabulary, [](std::string_view text) { return normalize(text, 0, false).text; });
  added->add(parts.added_tokens);
}

void CLIPTokenizerFast::Data::add_tokens(const TokenizerFiles& files, const FastClipParts& parts) {
  std::vector<AddedTokenSpec> specs;
  std::set<AddedToken> listed;
  std::set<std::string> listed_contents;
  for (const auto& [id, spec] : files.added_tokens) {
    specs.push_back(spec);
    listed.insert(spec.resolved());
    listed_contents.insert(spec.token.content);
  }
  std::set<std::string> special_contents;
  for (const auto& token : unique_special_tokens(parts.special, files.additional_special_tokens)) {
    const auto& content = token.spec.token.content;
    special_contents.insert(content);
    const auto id = added->id_of(content);
    const bool known = token.is_text
                           ? listed_contents.count(content) != 0 || (id && added->token_of(*id))
                           : listed.count(token.spec.resolved()) != 0;
    if (!known) specs.push_back(token.spec);
  }
  std::vector<AddedToken> tokens;
  for (auto& spec : specs) {
    spec.token.special = spec.token.special || special_contents.count(spec.token.content) != 0;
    tokens.push_back(spec.resolved());
  }
  added->add(tokens);
  if (parts.trim_offsets) check_that_nothing_is_trimmed();
}

// Words have no white space at their ends, so that only such tokens are trimmed.
void CLIPTokenizerFast::Data::check_that_nothing_is_trimmed() const {
  for (const auto& [id, token] : added->tokens()) {
    if (token.lstrip || token.rstrip || python_strip(token.content) != token.content) {
      throw TokenizerError("tokenizer",
                           "tokenizer.json: /post_processor/trim_offsets",
                           "false beside an added token that takes white space along",
                           "true beside " + quote(token.content));
    }
  }
}

void CLIPTokenizerFast::Data::encode_word(std::string_view word,
                                          std::vector<WordSymbol>& word_symbols) const {
  word_symbols.clear();
  for (std::size_t i = 0; i < word.size(); ++i) {
    const auto& table = i + 1 < word.size() ? symbols : last_symbols;
    uint32_t symbol = table[static_cast<unsigned char>(word[i])];
    if (symbol == kNoSymbol) {
      if (!unk_token) continue;
      if (unk_symbol == kNoSymbol) {
        throw TokenizerError("tokenizer",
                             "vocabulary",
                             "a symbol for byte " + quote(word.substr(i, 1)) + " or the unk_token",
                             "none");
      }
      symbol = unk_symbol;
    }
    word_symbols.push_back({symbol, 1});
  }
  merge_symbols(merges, MergeOrder::queue, word_symbols);
}

void CLIPTokenizerFast::Data::encode_text(const NormalizedText& text,
                                          std::size_t begin,
                                          std::size_t end,
                                          bool with_offsets,
                                          TokenSequence& tokens) const {
  ClipWordScanner words(std::string_view(text.text).substr(begin, end - begin), pattern);
  std::vector<WordSymbol> word_symbols;
  while (words.next()) {
    std::size_t first = begin + words.begin();
    encode_word(std::string_view(text.text).substr(first, words.end() - words.begin()),
                word_symbols);
    for (const auto& symbol : word_symbols) {
      tokens.ids.push_back(vocabulary[symbol.symbol].id);
      if (with_offsets) {
        const std::size_t last = first + symbol.length - 1;
        tokens.offsets.emplace_back(text.origins[first], int64_t{text.origins[last]} + 1);
      }
      first += symbol.length;
    }
  }
}

CLIPTokenizerFast::CLIPTokenizerFast(TokenizerSettings settings, std::unique_ptr<const Data> data)
    : Tokenizer(std::move(settings)), data_(std::move(data)) {}

CLIPTokenizerFast::~CLIPTokenizerFast() = default;

std::unique_ptr<CLIPTokenizerFast> CLIPTokenizerFast::from_pretrained(
    const std::filesystem::path& folder) {
  const auto files = read_tokenizer_files(folder);
  auto parts = read_fast_clip_parts(files);
  auto settings = settings_with(files, parts.special);
  auto data = std::make_unique<Data>(parts);
  data->add_tokens(files, parts);
  return std::unique_ptr<CLIPTokenizerFast>(
      new CLIPTokenizerFast(std::move(settings), std::move(data)));
}

TokenSequence CLIPTokenizerFast::tokenize(std::string_view text, bool with_offsets) const {
  TokenSequence tokens;
  const auto indices = with_offsets ? code_point_indices(text) : std::vector<uint32_t>();
  // Bytes [begin, end) of a text whose bytes have these origins.
  const auto add_token = [&](const TextSegment& token, const std::vector<uint32_t>& origins) {
    tokens.ids.push_back(*token.id);
    if (with_offsets) {
      tokens.offsets.emplace_back(origins[token.begin], int64_t{origins[token.end - 1]} + 1);
    }
  };
  for (const auto& raw : data_->added->split(text, false)) {
    if (raw.id) {
      add_token(raw, indices);
      continue;
    }
    const auto normalized = normalize(text.substr(raw.begin, raw.end - raw.begin),
                                      with_offsets ? indices[raw.begin] : 0,
                                      with_offsets);
    for (const auto& part : data_->added->split(normalized.text, true)) {
      if (part.id) {
        add_token(part, normalized.origins);
      } else {
        data_->encode_text(normalized, part.begin, part.end, with_offsets, tokens);
      }
    }
  }
  return tokens;
}

const SpecialTokensTemplate& CLIPTokenizerFast::special_tokens_template() const {
  return data_->special;
}

std::string CLIPTokenizerFast::decode_ids(const std::vector<int64_t>& ids,
                                          bool skip_special_tokens) const {
  std::string bytes;
  for (const int64_t id : ids) {
    if (id < 0 || id > 0xffffffff) {
      throw TokenizerError("tokenizer", "ids", "ids from 0 to 4294967295", std::to_string(id));
    }
    const auto token = id_to_token(id);
    if (!token || (skip_special_tokens && data_->added->is_special(*token))) continue;
    if (!append_bytes_of_symbols(*token, bytes)) bytes += *token;
  }
  const std::string text = replace_all(decode_utf8_lossy(bytes), kEndOfWord, " ");
  return std::string(python_strip(text));
}

std::optional<int64_t> CLIPTokenizerFast::token_to_id(std::string_view token) const {
  const auto id = data_->added->id_of(token);
  const auto& unk = settings().unk_token;
  return id || !unk ? id : data_->added->id_of(*unk);
}

std::optional<std::string> CLIPTokenizerFast::id_to_token(int64_t id) const {
  if (const auto* added = data_->added->token_of(id)) return added->content;
  const auto* token = data_->vocabulary.token_of(id);
  return token == nullptr ? std::nullopt : std::make_optional(*token);
}

int64_t CLIPTokenizerFast::vocab_size() const {
  return static_cast<int64_t>(data_->vocabulary.size());
}

int64_t CLIPTokenizerFast::size() const {
  return vocab_size() + static_cast<int64_t>(data_->added->beyond_vocabulary());
}

}  // namespace vizoo
