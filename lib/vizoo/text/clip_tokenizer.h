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

/// CLIP's byte-pair tokenizer by the rules of the `tokenizers` library, which Transformers loads by
/// default. `!` is the padding token of OWLv2's files and, in a text, becomes its id.
/// Source: Transformers 4.37.2, models/clip/tokenization_clip_fast.py and CLIPConverter.
class CLIPTokenizerFast : public Tokenizer {
 public:
  /// Reads a model folder; AutoTokenizer says which files. Throws TokenizerError.
  static std::unique_ptr<CLIPTokenizerFast> from_pretrained(const std::filesystem::path& folder);
  ~CLIPTokenizerFast() override;

  std::optional<int64_t> token_to_id(std::string_view token) const override;
  std::optional<std::string> id_to_token(int64_t id) const override;
  const char* class_name() const override { return "CLIPTokenizerFast"; }
  bool is_fast() const override { return true; }
  int64_t vocab_size() const override;
  int64_t size() const override;

 protected:
  TokenSequence tokenize(std::string_view text, bool with_offsets) const override;
  const SpecialTokensTemplate& special_tokens_template() const override;
  std::string decode_ids(const std::vector<int64_t>& ids, bool skip_special_tokens) const override;

 private:
  struct Data;
  CLIPTokenizerFast(TokenizerSettings settings, std::unique_ptr<const Data> data);

  std::unique_ptr<const Data> data_;
};

/// CLIP's byte-pair tokenizer by the rules of Transformers' slow class, as it works without ftfy:
/// no controls, ideographs one by one, contractions and special tokens whatever their case. Source:
/// Transformers 4.37.2, models/clip/tokenization_clip.py.
class CLIPTokenizer : public Tokenizer {
 public:
  /// Reads a model folder; AutoTokenizer says which files. Throws TokenizerError.
  static std::unique_ptr<CLIPTokenizer> from_pretrained(const std::filesystem::path& folder);
  ~CLIPTokenizer() override;

  std::optional<int64_t> token_to_id(std::string_view token) const override;
  std::optional<std::string> id_to_token(int64_t id) const override;
  const char* class_name() const override { return "CLIPTokenizer"; }
  bool is_fast() const override { return false; }
  int64_t vocab_size() const override;
  int64_t size() const override;

 protected:
  TokenSequence tokenize(std::string_view text, bool with_offsets) const override;
  const SpecialTokensTemplate& special_tokens_template() const override;
  std::string decode_ids(const std::vector<int64_t>& ids, bool skip_special_tokens) const override;

 private:
  struct Data;
  CLIPTokenizer(TokenizerSettings settings, std::unique_ptr<const Data> data);

  std::unique_ptr<const Data> data_;
};

}  // namespace vizoo
