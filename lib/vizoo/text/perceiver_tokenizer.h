#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vizoo/text/tokenizer.h"

namespace vizoo {

struct TokenizerFiles;

/// The bytes of a text: byte b of its UTF-8 form is token b + 6. Before them come [PAD] 0, [BOS] 1,
/// [EOS] 2, [MASK] 3, [CLS] 4 and [SEP] 5, which are found in a text as they stand; further added
/// tokens follow from 262 on. Nothing is normalised, stripped or unknown.
///
/// A text becomes `[CLS] text [SEP]`, a pair `[CLS] first [SEP] second [SEP]`. It is a slow
/// tokenizer, so it knows no offsets. One [MASK] stands for one byte. Decoding joins all bytes
/// before it reads them as UTF-8; its clean-up turns " ." into ".".
/// Source: Transformers 4.37.2, models/perceiver/tokenization_perceiver.py.
class PerceiverTokenizer : public Tokenizer {
 public:
  /// As the published checkpoints have it: the tokens above, rows of at most 2048.
  PerceiverTokenizer();

  /// Reads a model folder; AutoTokenizer says which files, none of which need be there. Throws
  /// TokenizerError.
  static std::unique_ptr<PerceiverTokenizer> from_pretrained(const std::filesystem::path& folder);
  ~PerceiverTokenizer() override;

  /// A byte's token is the character U+0000 to U+00FF of that number.
  std::optional<int64_t> token_to_id(std::string_view token) const override;
  std::optional<std::string> id_to_token(int64_t id) const override;
  const char* class_name() const override { return "PerceiverTokenizer"; }
  bool is_fast() const override { return false; }
  /// 256: the bytes alone.
  int64_t vocab_size() const override;
  int64_t size() const override;

 protected:
  TokenSequence tokenize(std::string_view text, bool with_offsets) const override;
  const SpecialTokensTemplate& special_tokens_template() const override;
  /// 0 for each token of the first sequence and 1 for each of the second. As in Transformers there
  /// are none for the special tokens, so that these rows are shorter than those of `input_ids`.
  std::vector<int64_t> token_type_ids(std::size_t first,
                                      std::optional<std::size_t> second) const override;
  std::string decode_ids(const std::vector<int64_t>& ids, bool skip_special_tokens) const override;

 private:
  struct Data;
  explicit PerceiverTokenizer(const TokenizerFiles& files);

  std::unique_ptr<const Data> data_;
};

}  // namespace vizoo
