#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace vizoo {

/// What a tokenizer makes of one text or a batch: Transformers' BatchEncoding with plain vectors.
///
/// A field that was not asked for is empty; the others have one element for each row. A row is an
/// input, or, on a fast tokenizer with `return_overflowing_tokens`, a window of one.
struct BatchEncoding {
  std::vector<std::vector<int64_t>> input_ids;  ///< [rows][tokens]
  /// [rows][tokens]; PerceiverTokenizer has none for its special tokens.
  std::vector<std::vector<int64_t>> token_type_ids;
  std::vector<std::vector<int64_t>> attention_mask;       ///< [rows][tokens], 0 on padding
  std::vector<std::vector<int64_t>> special_tokens_mask;  ///< [rows][tokens], 1 on special tokens
  /// [rows][tokens]: first and one past the last code point of the text that the token stands for;
  /// (0, 0) for tokens that the tokenizer added. Fast tokenizers only.
  std::vector<std::vector<std::pair<int64_t, int64_t>>> offset_mapping;
  std::vector<int64_t> length;  ///< [rows] tokens, on a slow tokenizer's batch without padding

  /// [rows] the input that a row comes from. Fast tokenizers, with `return_overflowing_tokens`.
  std::vector<int64_t> overflow_to_sample_mapping;
  /// [rows] what truncation cut off, preceded by `stride` tokens of what it kept, and how many
  /// tokens there were beyond `max_length` (negative: fewer). Slow tokenizers, with
  /// `return_overflowing_tokens`.
  std::vector<std::vector<int64_t>> overflowing_tokens;
  std::vector<int64_t> num_truncated_tokens;

  /// [inputs] tokens that truncation took from each input, 0 for one that fits. Always filled.
  std::vector<int64_t> removed_tokens;
  /// What Transformers would log, one line each, no line twice: a row longer than the model takes,
  /// padding or truncation to a length that nothing gives.
  std::vector<std::string> warnings;

  std::size_t rows() const { return input_ids.size(); }

  /// Tokens in each row, for `[rows, tokens]` tensors (`return_tensors`). Throws TokenizerError if
  /// rows differ: padding, truncation or both are to be switched on.
  int64_t row_length() const;
};

}  // namespace vizoo
