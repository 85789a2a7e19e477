#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "vizoo/text/added_token.h"
#include "vizoo/text/batch_encoding.h"
#include "vizoo/text/tokenizer_options.h"

namespace vizoo {

/// What every tokenizer knows beside its vocabulary: tokenizer_config.json's general attributes.
struct TokenizerSettings {
  std::optional<int64_t> model_max_length;  ///< none: not limited
  Side padding_side = Side::right;
  Side truncation_side = Side::right;
  bool clean_up_tokenization_spaces = true;
  std::vector<std::string> model_input_names{"input_ids", "attention_mask"};
  std::optional<std::string> bos_token;
  std::optional<std::string> eos_token;
  std::optional<std::string> unk_token;
  std::optional<std::string> sep_token;
  std::optional<std::string> pad_token;
  std::optional<std::string> cls_token;
  std::optional<std::string> mask_token;
  std::vector<std::string> additional_special_tokens;
};

/// Special tokens around one sequence (`before A after`) and a pair (`before A between B after`).
struct SpecialTokensTemplate {
  std::vector<int64_t> before;
  std::vector<int64_t> between;
  std::vector<int64_t> after;
};

/// Token ids of one sequence, without special tokens around it.
struct TokenSequence {
  std::vector<int64_t> ids;
  /// Code points [first, last) of the text; filled only by fast tokenizers, and if asked for.
  std::vector<std::pair<int64_t, int64_t>> offsets;
};

/// A text, or the words of a text that was split beforehand (`is_split_into_words`). UTF-8.
using TextSequence = std::variant<std::string, std::vector<std::string>>;

/// One input of a batch: a sequence, or a pair of them.
struct TextInput {
  TextSequence text;
  std::optional<TextSequence> text_pair;
};

/// Texts to token ids and back, as Transformers' PreTrainedTokenizer (slow) and
/// PreTrainedTokenizerFast do. Const members may be called from several threads at once.
///
/// Where the two differ a tokenizer follows its own kind: a fast one returns overflowing tokens as
/// rows and knows offsets, a slow one returns them as a field. Every text must be valid UTF-8 and
/// takes time and memory linear in its size (times the logarithm of its longest word).
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// One text: a batch of one row, except for what `return_overflowing_tokens` adds on a fast
  /// tokenizer. Throws TokenizerError for text that is not valid UTF-8 (it says which byte) and for
  /// truncation that cannot reach `max_length`, UsageError for options that contradict each other.
  BatchEncoding encode(const TextSequence& text, const EncodeOptions& options = {}) const;

  /// A pair of sequences. As in Transformers, a fast tokenizer takes an empty second one for none
  /// here, but not in a batch.
  BatchEncoding encode(const TextSequence& text,
                       const TextSequence& text_pair,
                       const EncodeOptions& options = {}) const;

  /// A batch; `longest` pads to its longest row. Throws UsageError if it is empty.
  BatchEncoding encode_batch(const std::vector<TextInput>& inputs,
                             const EncodeOptions& options = {}) const;
  BatchEncoding encode_batch(const std::vector<std::string>& texts,
                             const EncodeOptions& options = {}) const;

  /// The text that ids stand for; invalid UTF-8 that they may spell becomes U+FFFD. Throws
  /// TokenizerError for an id that no token has, where Transformers fails too; elsewhere such ids
  /// are left out.
  std::string decode(const std::vector<int64_t>& ids, const DecodeOptions& options = {}) const;
  std::vector<std::string> batch_decode(const std::vector<std::vector<int64_t>>& batch,
                                        const DecodeOptions& options = {}) const;

  /// Id of a token as the vocabulary spells it; that of the unknown token if there is no such
  /// token, and none if the unknown token has none.
  virtual std::optional<int64_t> token_to_id(std::string_view token) const = 0;
  /// The token as the vocabulary spells it; none if no token has the id.
  virtual std::optional<std::string> id_to_token(int64_t id) const = 0;

  /// Name of the class in Transformers, such as "CLIPTokenizerFast".
  virtual const char* class_name() const = 0;
  virtual bool is_fast() const = 0;

  /// Tokens without those that were added.
  virtual int64_t vocab_size() const = 0;
  /// Tokens with those that were added (Python's `len`).
  virtual int64_t size() const = 0;

  /// Longest row that the model takes; none if the files do not limit it.
  std::optional<int64_t> model_max_length() const { return settings_.model_max_length; }
  Side padding_side() const { return settings_.padding_side; }
  Side truncation_side() const { return settings_.truncation_side; }
  std::optional<int64_t> pad_token_id() const { return special_id(settings_.pad_token); }
  std::optional<int64_t> bos_token_id() const { return special_id(settings_.bos_token); }
  std::optional<int64_t> eos_token_id() const { return special_id(settings_.eos_token); }
  std::optional<int64_t> unk_token_id() const { return special_id(settings_.unk_token); }
  std::optional<int64_t> sep_token_id() const { return special_id(settings_.sep_token); }
  std::optional<int64_t> cls_token_id() const { return special_id(settings_.cls_token); }
  std::optional<int64_t> mask_token_id() const { return special_id(settings_.mask_token); }

  /// All of the above; the special tokens as text.
  const TokenizerSettings& settings() const { return settings_; }

 protected:
  explicit Tokenizer(TokenizerSettings settings) : settings_(std::move(settings)) {}

  /// Ids of `text`, which is valid UTF-8.
  virtual TokenSequence tokenize(std::string_view text, bool with_offsets) const = 0;
  virtual const SpecialTokensTemplate& special_tokens_template() const = 0;
  /// `token_type_ids` of a row of sequences of `first` and `second` tokens between special tokens;
  /// by default zeros, one for each token of the row.
  virtual std::vector<int64_t> token_type_ids(std::size_t first,
                                              std::optional<std::size_t> second) const;
  /// Text of `ids`, before spaces are cleaned up.
  virtual std::string decode_ids(const std::vector<int64_t>& ids,
                                 bool skip_special_tokens) const = 0;

 private:
  BatchEncoding encode_inputs(const std::vector<TextInput>& inputs,
                              const EncodeOptions& options,
                              bool is_batch) const;
  TokenSequence tokenize_sequence(const TextSequence& sequence,
                                  const std::string& name,
                                  bool with_offsets) const;
  std::optional<int64_t> special_id(const std::optional<std::string>& token) const;

  TokenizerSettings settings_;
};

}  // namespace vizoo
