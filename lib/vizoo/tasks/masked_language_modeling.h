#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "vizoo/models/perceiver/perceiver_language.h"
#include "vizoo/text/tokenizer.h"

namespace vizoo {

/// A token that may stand where a mask is.
struct MaskCandidate {
  int64_t id = 0;
  std::string token;   ///< decoded by itself, UTF-8: U+FFFD for a byte that is no character alone
  double score = 0.0;  ///< probability, over all tokens of the model
};

/// What a model expects in place of one mask.
struct MaskedPosition {
  int64_t position = 0;                   ///< in the token ids, special tokens included
  std::vector<MaskCandidate> candidates;  ///< best first; equal scores in the order of the ids
};

/// A text with its masks filled in.
struct FilledText {
  /// The best token in each mask's place, decoded without special tokens and without clean-up, so
  /// that all else is as it was; invalid UTF-8 that the tokens may spell becomes U+FFFD.
  std::string text;
  std::vector<MaskedPosition> masks;  ///< in the order of the text
};

/// A masked language model, however it is run.
struct MaskedLanguageModel {
  /// Takes token ids [1, L] and the positions of masks among them [P], int64 on the CPU; returns
  /// logits [P, vocab_size] for these positions.
  using Logits =
      std::function<torch::Tensor(const torch::Tensor& input_ids, const torch::Tensor& positions)>;

  /// One that must live as long as this; it decodes the outputs at the positions only.
  MaskedLanguageModel(const PerceiverForMaskedLMImpl& model);  // NOLINT: meant to convert
  MaskedLanguageModel(int64_t longest, Logits call);

  int64_t max_tokens;
  Logits logits;
};

/// Fills in the mask tokens of `text` (`[MASK]`, one for each byte, with PerceiverTokenizer), each
/// by itself, as Transformers' fill-mask pipeline scores them. The text is encoded once, without
/// the padding of upstream's examples, which attention leaves out.
///
/// `top_k`: candidates for each mask, at least 1; fewer if there are fewer tokens. Tokens that the
/// model has and the tokenizer has not are no candidates. Throws TokenizerError for a text that is
/// not valid UTF-8, has no mask, or has more tokens than model or tokenizer take, and for a
/// tokenizer without a mask token; UsageError for top_k; ShapeError for ids that the model lacks.
FilledText fill_mask(const MaskedLanguageModel& model,
                     const Tokenizer& tokenizer,
                     const std::string& text,
                     int64_t top_k = 5);

}  // namespace vizoo
