#pragma once

// From token sequences to the rows of a BatchEncoding: truncation, special tokens, padding.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "vizoo/text/batch_encoding.h"
#include "vizoo/text/tokenizer.h"
#include "vizoo/text/tokenizer_options.h"

namespace vizoo {

/// The tokens of one input.
struct TokenizedInput {
  TokenSequence first;
  std::optional<TokenSequence> second;
};

/// EncodeOptions with everything decided.
struct EncodePlan {
  EncodeOptions options;
  PaddingStrategy padding = PaddingStrategy::do_not_pad;
  TruncationStrategy truncation = TruncationStrategy::do_not_truncate;
  std::optional<int64_t> max_length;
  bool attention_mask = true;
  bool token_type_ids = false;
  bool is_batch = false;
  int64_t pad_token_id = 0;
  Side padding_side = Side::right;
  Side truncation_side = Side::right;
};

/// Decides what `options` leave open; what Transformers would log goes to `warnings`. Throws
/// UsageError for options that contradict each other or the tokenizer.
EncodePlan plan_encoding(const Tokenizer& tokenizer,
                         const EncodeOptions& options,
                         bool is_batch,
                         std::vector<std::string>& warnings);

/// What rows may hold in all, padding and overlaps included; more is a UsageError. Such numbers
/// come from options, not from long texts.
constexpr int64_t kMaxEncodedTokens = int64_t{1} << 26U;

/// Throws UsageError if rows * length tokens are more than kMaxEncodedTokens and than `tokens`,
/// those of the texts.
void check_encoded_size(std::size_t rows, std::size_t length, std::size_t tokens);

/// `length`, rounded up to a multiple.
int64_t round_up(int64_t length, const std::optional<int64_t>& multiple);

/// Rows as the `tokenizers` library makes them. Source: tokenizers v0.15.2, utils/truncation.rs,
/// tokenizer/encoding.rs, processors/roberta.rs, utils/padding.rs.
void add_fast_rows(const std::vector<TokenizedInput>& inputs,
                   const SpecialTokensTemplate& special,
                   const EncodePlan& plan,
                   BatchEncoding& encoding);

/// How a slow tokenizer fills `token_type_ids`.
using TokenTypeIds =
    std::function<std::vector<int64_t>(std::size_t first, std::optional<std::size_t> second)>;

/// Rows as Transformers' slow tokenizers make them. Source: Transformers 4.37.2,
/// tokenization_utils_base.py (prepare_for_model, truncate_sequences, pad).
void add_slow_rows(std::vector<TokenizedInput> inputs,
                   const SpecialTokensTemplate& special,
                   const TokenTypeIds& token_type_ids,
                   const EncodePlan& plan,
                   BatchEncoding& encoding);

}  // namespace vizoo
