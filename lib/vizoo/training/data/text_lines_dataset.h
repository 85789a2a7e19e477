#pragma once

#include <torch/arg.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vizoo/text/tokenizer.h"
#include "vizoo/training/dataset.h"

namespace vizoo {

/// Options of TextLinesDataset. Defaults are BERT's (Devlin et al. 2019,
/// https://arxiv.org/abs/1810.04805, section 3.1 and appendix A.1).
struct TextLinesOptions {
  /// Tokens of a sample, special tokens included; without it as many as the model takes.
  TORCH_ARG(std::optional<int64_t>, length);
  /// Share of the tokens that are to be predicted, in [0, 1].
  TORCH_ARG(double, mask_probability) = 0.15;
  /// Of these the shares that become the mask token and a random token; the rest stay. At least 0,
  /// together at most 1.
  TORCH_ARG(double, replace_by_mask) = 0.8;
  TORCH_ARG(double, replace_by_random) = 0.1;
};

/// Lines of a text file as samples of masked language modelling.
///
/// A line is what `\n` ends; `\r` before it is dropped, and so are lines without a character. Each
/// becomes the tokens that the tokenizer makes of it, cut to `length` and padded to it: arguments
/// input_ids and attention_mask, int64 [length], and labels, int64 [length], the tokens to be
/// predicted, -100 elsewhere. Each token but special ones and padding is chosen on its own
/// with mask_probability; if that chooses none, one is chosen at random, so that every line
/// teaches. A random token is one of the vocabulary that is not special.
class TextLinesDataset : public Dataset {
 public:
  /// Reads the file, of at most 4 GiB. Throws TokenizerError for a file that cannot be read, is not
  /// UTF-8 (it names the line) or has no lines, and for a tokenizer without mask or padding token;
  /// UsageError for options out of range, and without a length if the tokenizer has no limit.
  TextLinesDataset(const std::filesystem::path& path,
                   std::shared_ptr<const Tokenizer> tokenizer,
                   const TextLinesOptions& options = {});

  int64_t size() const override { return static_cast<int64_t>(lines_.size()); }
  Sample get(int64_t index, RandomStream& random) const override;

  /// "corpus.txt:12".
  std::string describe(int64_t index) const override;

 private:
  struct Line {
    std::size_t begin;
    std::size_t size;
    int64_t number;  // in the file, from 1
  };

  void find_lines(const std::filesystem::path& path);

  std::string name_;
  std::string text_;
  std::vector<Line> lines_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  TextLinesOptions options_;
  int64_t length_ = 0;
  std::vector<int64_t> random_tokens_;  // those that are not special, sorted
};

}  // namespace vizoo
