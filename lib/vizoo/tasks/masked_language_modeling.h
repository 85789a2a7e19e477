#pragma once

#include <cstdint>
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

/// Fills in the mask tokens of `text` (`[MASK]`, one for each byte, with PerceiverTokenizer), each
/// by itself, as Transformers' fill-mask pipeline scores them. The text is encoded once, without
/// the padding of upstream's examples, which attention leaves out; of the model's outputs only
/// those of the masks are decoded.
///
/// `top_k`: candidates for each mask, at least 1; fewer if there are fewer tokens. Tokens that the
/// model has and the tokenizer has not are no candidates. Throws TokenizerError for a text that is
/// not valid UTF-8, has no mask, or has more tokens than model or tokenizer take, and for a
/// tokenizer without a mask token; UsageError for top_k; ShapeError for ids that the model lacks.
FilledText fill_mask(const PerceiverForMaskedLMImpl& model,
                     const Tokenizer& tokenizer,
                     const std::string& text,
                     int64_t top_k = 5);

}  // namespace vizoo
