#include "vizoo/text/perceiver_tokenizer.h"

#include <algorithm>
#include <array>
#include <map>

#include "vizoo/core/error.h"
#include "vizoo/io/utf8.h"
#include "vizoo/text/byte_symbols.h"
#include "vizoo/text/slow_special_tokens.h"

namespace vizoo {
namespace {

constexpr int64_t kBytes = 256;
constexpr int64_t kMaxLength = 2048;

struct ReservedToken {
  SpecialTokenName name;
  const char* attribute;
  const char* content;
};

// In the order of their ids.
constexpr ReservedToken kReserved[] = {{SpecialTokenName::pad, "pad_token", "[PAD]"},
                                       {SpecialTokenName::bos, "bos_token", "[BOS]"},
                                       {SpecialTokenName::eos, "eos_token", "[EOS]"},
                                       {SpecialTokenName::mask, "mask_token", "[MASK]"},
                                       {SpecialTokenName::cls, "cls_token", "[CLS]"},
                                       {SpecialTokenName::sep, "sep_token", "[SEP]"}};
constexpr auto kReservedTokens = static_cast<int64_t>(std::size(kReserved));

Vocabulary byte_vocabulary() {
  std::vector<VocabularyEntry> entries;
  for (int64_t byte = 0; byte < kBytes; ++byte) {
    std::string token;
    append_utf8(token, static_cast<uint32_t>(byte));
    entries.push_back({std::move(token), byte + kReservedTokens});
  }
  return Vocabulary(std::move(entries), "bytes");
}

SpecialTokens special_tokens(const TokenizerFiles& files) {
  SpecialTokens special;
  for (std::size_t i = 0; i < special.size(); ++i) {
    special[i] = files.special[i].value_or(std::nullopt);
  }
  for (const auto& reserved : kReserved) {
    auto& token = special[static_cast<std::size_t>(reserved.name)];
    token = files.special_or(reserved.name, reserved.content);
    if (token) token->is_text = false;  // plain texts get flags
  }
  return special;
}

// Tokens with an id: the reserved ones, unless the files give these ids to others.
std::map<int64_t, AddedTokenSpec> tokens_with_id(const TokenizerFiles& files,
                                                 const SpecialTokens& special) {
  auto tokens = files.added_tokens;
  for (int64_t id = 0; id < kReservedTokens; ++id) {
    const auto& reserved = kReserved[id];
    const auto& token = special[static_cast<std::size_t>(reserved.name)];
    if (token) tokens.emplace(id, token->spec);
    const auto found = tokens.find(id);
    if (found == tokens.end() || found->second.token.content.empty()) {
      throw_tokenizer_error(std::string("tokenizer_config.json: /") + reserved.attribute,
                            "a token for id " + std::to_string(id),
                            found == tokens.end() ? "null" : "an empty one");
    }
  }
  return tokens;
}

TokenizerSettings settings_of(const TokenizerFiles& files) {
  auto settings = settings_with(files, special_tokens(files));
  if (!files.names_model_max_length) settings.model_max_length = kMaxLength;
  return settings;
}

}  // namespace

struct PerceiverTokenizer::Data {
  Data(const TokenizerFiles& files, const SpecialTokens& special);

  std::optional<int64_t> id_of(std::string_view token) const;
  std::string_view token_of(int64_t id) const;
  std::string text_of(const std::vector<std::string_view>& tokens) const;

  Vocabulary vocabulary;
  SlowAddedTokens added;
  std::optional<int64_t> unk_id;
  std::array<int64_t, kBytes> byte_ids{};
  SpecialTokensTemplate special_template;
  SlowDecoding decoding;
  bool split_special_tokens;
};

PerceiverTokenizer::Data::Data(const TokenizerFiles& files, const SpecialTokens& special)
    : vocabulary(byte_vocabulary()),
      added(slow_added_tokens(
          tokens_with_id(files, special), special, files.additional_special_tokens, vocabulary)),
      split_special_tokens(files.split_special_tokens) {
  const auto special_id = [&](SpecialTokenName name) {
    const auto& token = special[static_cast<std::size_t>(name)];
    return token ? added.id_of(token->spec.token.content) : std::nullopt;
  };
  unk_id = special_id(SpecialTokenName::unk);
  for (std::size_t byte = 0; byte < byte_ids.size(); ++byte) {
    // An added token may be the very character that stands for a byte.
    std::string token;
    append_utf8(token, static_cast<uint32_t>(byte));
    byte_ids[byte] = *id_of(token);
  }
  const auto cls = special_id(SpecialTokenName::cls);
  const auto sep = special_id(SpecialTokenName::sep);
  if (!cls || !sep) {
    throw_tokenizer_error("tokenizer_config.json", "a cls_token and a sep_token", "none");
  }
  special_template = {{*cls}, {*sep}, {*sep}};
  decoding = slow_decoding(
      added, special, files.additional_special_tokens, kBytes, [this](std::string_view token) {
        return id_of(token);
      });
}

std::optional<int64_t> PerceiverTokenizer::Data::id_of(std::string_view token) const {
  if (const auto id = added.id_of(token)) return id;
  const auto id = vocabulary.id_of(token);
  return id ? id : unk_id;
}

// Upstream takes any id for the character id - 6, which only bytes and added tokens can be.
std::string_view PerceiverTokenizer::Data::token_of(int64_t id) const {
  if (const auto* token = added.token_of(id)) return token->content;
  if (const auto* token = vocabulary.token_of(id)) return *token;
  if (id >= kReservedTokens + kBytes && id <= kReservedTokens + 0x10ffff) {
    std::string content;
    append_utf8(content, static_cast<uint32_t>(id - kReservedTokens));
    const auto found = added.ids().find(content);
    if (found != added.ids().end()) return found->first;
  }
  throw TokenizerError("tokenizer", "ids", "ids of the vocabulary", std::to_string(id));
}

std::string PerceiverTokenizer::Data::text_of(const std::vector<std::string_view>& tokens) const {
  std::string bytes;
  for (const auto token : tokens) {
    if (added.id_of(token)) {
      bytes.append(token);
    } else {
      bytes.push_back(static_cast<char>(decode_utf8(token, 0).value));
    }
  }
  return decode_utf8_lossy(bytes);
}

PerceiverTokenizer::PerceiverTokenizer() : PerceiverTokenizer(TokenizerFiles()) {}

PerceiverTokenizer::PerceiverTokenizer(const TokenizerFiles& files)
    : Tokenizer(settings_of(files)),
      data_(std::make_unique<const Data>(files, special_tokens(files))) {}

PerceiverTokenizer::~PerceiverTokenizer() = default;

std::unique_ptr<PerceiverTokenizer> PerceiverTokenizer::from_pretrained(
    const std::filesystem::path& folder) {
  return std::unique_ptr<PerceiverTokenizer>(new PerceiverTokenizer(read_tokenizer_files(folder)));
}

TokenSequence PerceiverTokenizer::tokenize(std::string_view text, bool) const {
  const auto pieces = data_->split_special_tokens
                          ? std::vector<TextPiece>{{std::string(text), std::nullopt}}
                          : data_->added.split(text);
  TokenSequence tokens;
  tokens.ids.reserve(text.size());
  for (const auto& piece : pieces) {
    if (piece.id) {
      tokens.ids.push_back(*piece.id);
      continue;
    }
    for (const char byte : piece.text) {
      tokens.ids.push_back(data_->byte_ids[static_cast<unsigned char>(byte)]);
    }
  }
  return tokens;
}

const SpecialTokensTemplate& PerceiverTokenizer::special_tokens_template() const {
  return data_->special_template;
}

std::vector<int64_t> PerceiverTokenizer::token_type_ids(std::size_t first,
                                                        std::optional<std::size_t> second) const {
  std::vector<int64_t> types(first, 0);
  types.resize(first + second.value_or(0), 1);
  return types;
}

std::string PerceiverTokenizer::decode_ids(const std::vector<int64_t>& ids,
                                           bool skip_special_tokens) const {
  std::vector<std::string_view> tokens;
  tokens.reserve(ids.size());
  for (const int64_t id : ids) {
    if (skip_special_tokens && data_->decoding.special_ids.count(id) != 0) continue;
    tokens.push_back(data_->token_of(id));
  }
  return join_slow_tokens(
      tokens, data_->decoding, [this](const auto& run) { return data_->text_of(run); });
}

std::optional<int64_t> PerceiverTokenizer::token_to_id(std::string_view token) const {
  return data_->id_of(token);
}

std::optional<std::string> PerceiverTokenizer::id_to_token(int64_t id) const {
  if (const auto* token = data_->added.token_of(id)) return token->content;
  const auto* token = data_->vocabulary.token_of(id);
  return token == nullptr ? std::nullopt : std::make_optional(*token);
}

int64_t PerceiverTokenizer::vocab_size() const { return kBytes; }

int64_t PerceiverTokenizer::size() const {
  const auto& added = data_->added.ids();
  return kBytes + std::count_if(added.begin(), added.end(), [this](const auto& entry) {
           return !data_->vocabulary.index_of(entry.first);
         });
}

}  // namespace vizoo
