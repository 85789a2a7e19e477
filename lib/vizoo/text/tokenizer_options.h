#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "vizoo/core/config.h"

namespace vizoo {

/// To which length rows are padded.
enum class PaddingStrategy {
  longest,     ///< that of the longest row (`padding=True`)
  max_length,  ///< `max_length`, or without it the model's
  do_not_pad,  ///< rows keep their lengths (`padding=False`)
};

/// Where tokens beyond the maximum length are taken away.
enum class TruncationStrategy {
  longest_first,    ///< one after the other from the longer of two sequences (`truncation=True`)
  only_first,       ///< from the first sequence
  only_second,      ///< from the second sequence
  do_not_truncate,  ///< nowhere (`truncation=False`)
};

/// An end of a sequence.
enum class Side { right, left };

template <>
struct EnumNames<PaddingStrategy> {
  static constexpr std::pair<PaddingStrategy, const char*> table[] = {
      {PaddingStrategy::longest, "longest"},
      {PaddingStrategy::max_length, "max_length"},
      {PaddingStrategy::do_not_pad, "do_not_pad"},
  };
};

template <>
struct EnumNames<TruncationStrategy> {
  static constexpr std::pair<TruncationStrategy, const char*> table[] = {
      {TruncationStrategy::longest_first, "longest_first"},
      {TruncationStrategy::only_first, "only_first"},
      {TruncationStrategy::only_second, "only_second"},
      {TruncationStrategy::do_not_truncate, "do_not_truncate"},
  };
};

template <>
struct EnumNames<Side> {
  static constexpr std::pair<Side, const char*> table[] = {{Side::right, "right"},
                                                           {Side::left, "left"}};
};

/// Arguments of one call of a tokenizer, named and meant as those of Transformers' `__call__`.
///
/// Of that call's other arguments, `is_split_into_words` is the type of the sequence
/// (TextSequence), `text_target` is a second call whose `input_ids` are the labels, and
/// `return_tensors` is `BatchEncoding::row_length`.
struct EncodeOptions {
  /// Puts the model's special tokens around the text.
  bool add_special_tokens = true;
  /// Not set: no padding.
  std::optional<PaddingStrategy> padding;
  /// Not set: `longest_first` if `max_length` is set and `padding` is not, else no truncation.
  std::optional<TruncationStrategy> truncation;
  /// At least 0 (0: as if there were none, on a slow tokenizer); not set: the model's maximum
  /// length where padding or truncation needs one.
  std::optional<int64_t> max_length;
  /// Tokens that a window of `return_overflowing_tokens` shares with the one before. At least 0.
  int64_t stride = 0;
  /// Rounds the padded length up. At least 1.
  std::optional<int64_t> pad_to_multiple_of;
  /// Not set: as the tokenizer's `model_input_names` say.
  std::optional<bool> return_token_type_ids;
  std::optional<bool> return_attention_mask;
  bool return_overflowing_tokens = false;
  bool return_special_tokens_mask = false;
  /// Fast tokenizers only: a UsageError on the others.
  bool return_offsets_mapping = false;
  bool return_length = false;

  /// Not in Transformers: a row longer than the model's maximum length is a TokenizerError that
  /// says which, instead of a warning.
  bool refuse_too_long = false;
};

/// Arguments of `decode`.
struct DecodeOptions {
  bool skip_special_tokens = false;
  /// Removes spaces before punctuation and English contractions; not set: as the tokenizer's files
  /// say (true if they do not).
  std::optional<bool> clean_up_tokenization_spaces;
};

}  // namespace vizoo
