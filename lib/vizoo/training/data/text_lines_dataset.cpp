#include "vizoo/training/data/text_lines_dataset.h"

#include <algorithm>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "vizoo/core/error.h"
#include "vizoo/io/file.h"
#include "vizoo/io/utf8.h"
#include "vizoo/training/label_checks.h"

namespace vizoo {
namespace {

constexpr std::size_t kMaxTextBytes = std::size_t{1} << 32U;

void check_share(double value, const char* name) {
  if (value >= 0.0 && value <= 1.0) return;
  throw UsageError("training", name, "a number from 0 to 1", std::to_string(value));
}

void check_text_options(const TextLinesOptions& options) {
  check_share(options.mask_probability(), "mask_probability");
  check_share(options.replace_by_mask(), "replace_by_mask");
  check_share(options.replace_by_random(), "replace_by_random");
  // 0.8 + 0.2 and the like are above 1 by rounding at most.
  check_share(options.replace_by_mask() + options.replace_by_random() - 1e-12,
              "replace_by_mask and replace_by_random together");
}

std::unordered_set<int64_t> special_ids(const Tokenizer& tokenizer) {
  std::unordered_set<int64_t> ids;
  for (const auto& id : {tokenizer.pad_token_id(),
                         tokenizer.bos_token_id(),
                         tokenizer.eos_token_id(),
                         tokenizer.unk_token_id(),
                         tokenizer.sep_token_id(),
                         tokenizer.cls_token_id(),
                         tokenizer.mask_token_id()}) {
    if (id) ids.insert(*id);
  }
  for (const auto& token : tokenizer.settings().additional_special_tokens) {
    if (const auto id = tokenizer.token_to_id(token)) ids.insert(*id);
  }
  return ids;
}

}  // namespace

TextLinesDataset::TextLinesDataset(const std::filesystem::path& path,
                                   std::shared_ptr<const Tokenizer> tokenizer,
                                   const TextLinesOptions& options)
    : name_(path.filename().string()),
      text_(read_file(path, kMaxTextBytes, FileKind::tokenizer)),
      tokenizer_(std::move(tokenizer)),
      options_(options) {
  check_text_options(options);
  if (!tokenizer_->mask_token_id() || !tokenizer_->pad_token_id()) {
    throw TokenizerError("tokenizer",
                         tokenizer_->class_name(),
                         "a token for masks and one for padding, for masked language modelling",
                         tokenizer_->mask_token_id() ? "none for padding" : "none for masks");
  }
  const auto longest = tokenizer_->model_max_length();
  if (!options.length() && !longest) {
    throw UsageError("training", "length", "a length", "none, nor does the tokenizer have one");
  }
  length_ = options.length().value_or(longest.value_or(0));
  // A token between two special ones is the least that can be learnt from.
  if (length_ < 3 || (longest && length_ > *longest)) {
    throw UsageError("training",
                     "length",
                     longest ? "3 to " + std::to_string(*longest) : "at least 3",
                     std::to_string(length_));
  }
  const auto special = special_ids(*tokenizer_);
  for (int64_t id = 0; id < tokenizer_->size(); ++id) {
    if (special.count(id) == 0 && tokenizer_->id_to_token(id)) random_tokens_.push_back(id);
  }
  find_lines(path);
}

void TextLinesDataset::find_lines(const std::filesystem::path& path) {
  const std::string_view text(text_);
  int64_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::size_t size = end - begin;
    if (size > 0 && text[end - 1] == '\r') --size;
    ++number;
    const std::string_view line = text.substr(begin, size);
    if (find_invalid_utf8(line) != line.size()) {
      throw TokenizerError("tokenizer",
                           printable(path.string()) + ":" + std::to_string(number),
                           "text in UTF-8",
                           "other bytes");
    }
    if (!line.empty()) lines_.push_back({begin, size, number});
    begin = end + 1;
  }
  if (lines_.empty()) {
    throw TokenizerError("tokenizer", printable(path.string()), "at least one line", "none");
  }
}

Sample TextLinesDataset::get(int64_t index, RandomStream& random) const {
  const Line& line = lines_.at(static_cast<std::size_t>(index));
  EncodeOptions encode;
  encode.padding = PaddingStrategy::max_length;
  encode.truncation = TruncationStrategy::longest_first;
  encode.max_length = length_;
  encode.return_attention_mask = true;
  const auto encoding = tokenizer_->encode(text_.substr(line.begin, line.size), encode);
  std::vector<int64_t> ids = encoding.input_ids.at(0);
  const auto& attention = encoding.attention_mask.at(0);

  std::vector<std::size_t> candidates;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const bool plain = std::binary_search(random_tokens_.begin(), random_tokens_.end(), ids[i]);
    if (plain && attention[i] != 0) candidates.push_back(i);
  }
  std::vector<std::size_t> chosen;
  for (const std::size_t i : candidates) {
    if (random.chance(options_.mask_probability())) chosen.push_back(i);
  }
  if (chosen.empty() && !candidates.empty() && options_.mask_probability() > 0.0) {
    const auto count = static_cast<int64_t>(candidates.size());
    chosen.push_back(candidates[static_cast<std::size_t>(random.integer(count))]);
  }
  std::vector<int64_t> labels(ids.size(), kIgnoredLabel);
  for (const std::size_t i : chosen) {
    labels[i] = ids[i];
    const double draw = random.uniform();
    if (draw < options_.replace_by_mask()) {
      ids[i] = *tokenizer_->mask_token_id();
    } else if (draw < options_.replace_by_mask() + options_.replace_by_random()) {
      const auto count = static_cast<int64_t>(random_tokens_.size());
      ids[i] = random_tokens_[static_cast<std::size_t>(random.integer(count))];
    }
  }
  Sample sample;
  sample.arguments["input_ids"] = torch::tensor(ids, torch::kInt64);
  sample.arguments["attention_mask"] = torch::tensor(attention, torch::kInt64);
  sample.labels = torch::tensor(labels, torch::kInt64);
  return sample;
}

std::string TextLinesDataset::describe(int64_t index) const {
  return name_ + ":" + std::to_string(lines_.at(static_cast<std::size_t>(index)).number);
}

}  // namespace vizoo
