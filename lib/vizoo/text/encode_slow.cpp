#include <algorithm>

#include "vizoo/core/error.h"
#include "vizoo/text/encode_rows.h"

namespace vizoo {
namespace {

using Ids = std::vector<int64_t>;

// Takes `count` tokens (all of them if there are fewer) from the end that truncation cuts.
void remove(Ids& ids, std::size_t count, Side side) {
  const auto removed = static_cast<std::ptrdiff_t>(std::min(count, ids.size()));
  if (side == Side::right) {
    ids.erase(ids.end() - removed, ids.end());
  } else {
    ids.erase(ids.begin(), ids.begin() + removed);
  }
}

class SlowRows {
 public:
  SlowRows(const SpecialTokensTemplate& special,
           const TokenTypeIds& token_type_ids,
           const EncodePlan& plan,
           BatchEncoding& encoding)
      : special_(special), token_type_ids_(token_type_ids), plan_(plan), encoding_(encoding) {}

  void add(TokenizedInput& input) {
    const auto& options = plan_.options;
    if (options.return_overflowing_tokens && input.second &&
        plan_.truncation == TruncationStrategy::longest_first) {
      throw UsageError("usage",
                       "return_overflowing_tokens",
                       "truncation by only_first or only_second for pairs",
                       "longest_first");
    }
    const auto total = static_cast<int64_t>(size_of(input) + special_tokens(input));
    Ids overflowing;
    const std::size_t tokens = size_of(input);
    if (plan_.truncation != TruncationStrategy::do_not_truncate && *plan_.max_length != 0 &&
        total > *plan_.max_length) {
      overflowing = truncate(input, static_cast<std::size_t>(total - *plan_.max_length));
    }
    encoding_.removed_tokens.push_back(static_cast<int64_t>(tokens - size_of(input)));
    if (options.return_overflowing_tokens) {
      encoding_.overflowing_tokens.push_back(std::move(overflowing));
      encoding_.num_truncated_tokens.push_back(total - *plan_.max_length);
    }
    add_row(input);
  }

  void pad() {
    auto& rows = encoding_.input_ids;
    if (plan_.attention_mask) {
      for (const auto& row : rows) encoding_.attention_mask.emplace_back(row.size(), 1);
    }
    // A single text without any token is left alone, in a batch it is padded.
    const bool nothing = !plan_.is_batch && rows[0].empty();
    if (plan_.padding == PaddingStrategy::do_not_pad || nothing) return;
    std::size_t longest = 0;
    for (const auto& row : rows) longest = std::max(longest, row.size());
    const int64_t wanted = plan_.padding == PaddingStrategy::max_length
                               ? *plan_.max_length
                               : static_cast<int64_t>(longest);
    const auto length =
        static_cast<std::size_t>(round_up(wanted, plan_.options.pad_to_multiple_of));
    check_encoded_size(rows.size(), length, longest * rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::size_t missing = length > rows[i].size() ? length - rows[i].size() : 0;
      pad_row(encoding_.input_ids, i, missing, plan_.pad_token_id);
      pad_row(encoding_.token_type_ids, i, missing, 0);
      pad_row(encoding_.attention_mask, i, missing, 0);
      pad_row(encoding_.special_tokens_mask, i, missing, 1);
    }
  }

  void add_lengths() {
    for (const auto& row : encoding_.input_ids) {
      encoding_.length.push_back(static_cast<int64_t>(row.size()));
    }
  }

 private:
  static std::size_t size_of(const TokenizedInput& input) {
    return input.first.ids.size() + (input.second ? input.second->ids.size() : 0);
  }

  std::size_t special_tokens(const TokenizedInput& input) const {
    if (!plan_.options.add_special_tokens) return 0;
    return special_.before.size() + special_.after.size() +
           (input.second ? special_.between.size() : 0);
  }

  // Returns the overflowing tokens. A sequence that is too short for it is left as it is.
  Ids truncate(TokenizedInput& input, std::size_t excess) {
    const auto strategy = plan_.truncation;
    if (strategy == TruncationStrategy::only_second) {
      return input.second ? truncate_one(input.second->ids, excess, "second") : Ids{};
    }
    if (strategy == TruncationStrategy::longest_first && input.second) {
      truncate_both(input, excess);
      return {};
    }
    return truncate_one(input.first.ids, excess, "first");
  }

  Ids truncate_one(Ids& ids, std::size_t excess, const char* which) {
    if (ids.size() <= excess) {
      warn("no truncation: " + std::to_string(excess) + " tokens are too many, the " + which +
           " sequence has " + std::to_string(ids.size()));
      return {};
    }
    const auto stride = static_cast<std::size_t>(plan_.options.stride);
    const std::size_t kept = ids.size() - excess;
    const auto window = static_cast<std::ptrdiff_t>(excess + std::min(stride, kept));
    const auto side = plan_.truncation_side;
    const Ids overflowing = side == Side::right ? Ids(ids.end() - window, ids.end())
                                                : Ids(ids.begin(), ids.begin() + window);
    remove(ids, excess, side);
    return overflowing;
  }

  void truncate_both(TokenizedInput& input, std::size_t excess) {
    Ids& first = input.first.ids;
    Ids& second = input.second->ids;
    const bool first_is_longer = first.size() > second.size();
    const std::size_t difference =
        first_is_longer ? first.size() - second.size() : second.size() - first.size();
    const std::size_t from_longer = std::min(difference, excess);
    const std::size_t rest = excess - from_longer;
    remove(first, rest / 2 + (first_is_longer ? from_longer : 0), plan_.truncation_side);
    remove(second, rest - rest / 2 + (first_is_longer ? 0 : from_longer), plan_.truncation_side);
  }

  void add_row(const TokenizedInput& input) {
    auto& ids = encoding_.input_ids.emplace_back();
    Ids mask;
    const auto add_special = [&](const Ids& tokens) {
      if (!plan_.options.add_special_tokens) return;
      ids.insert(ids.end(), tokens.begin(), tokens.end());
      mask.resize(ids.size(), 1);
    };
    const auto add_tokens = [&](const Ids& tokens) {
      ids.insert(ids.end(), tokens.begin(), tokens.end());
      mask.resize(ids.size(), 0);
    };
    add_special(special_.before);
    add_tokens(input.first.ids);
    if (input.second) {
      add_special(special_.between);
      add_tokens(input.second->ids);
    }
    add_special(special_.after);
    if (plan_.token_type_ids) {
      const auto second =
          input.second ? std::make_optional(input.second->ids.size()) : std::nullopt;
      encoding_.token_type_ids.push_back(plan_.options.add_special_tokens
                                             ? token_type_ids_(input.first.ids.size(), second)
                                             : Ids(ids.size()));
    }
    if (plan_.options.return_special_tokens_mask) {
      encoding_.special_tokens_mask.push_back(std::move(mask));
    }
  }

  void pad_row(std::vector<Ids>& rows, std::size_t row, std::size_t count, int64_t value) const {
    if (rows.empty()) return;
    auto& ids = rows[row];
    ids.insert(plan_.padding_side == Side::right ? ids.end() : ids.begin(), count, value);
  }

  void warn(std::string line) {
    auto& warnings = encoding_.warnings;
    if (std::find(warnings.begin(), warnings.end(), line) == warnings.end()) {
      warnings.push_back(std::move(line));
    }
  }

  const SpecialTokensTemplate& special_;
  const TokenTypeIds& token_type_ids_;
  const EncodePlan& plan_;
  BatchEncoding& encoding_;
};

}  // namespace

void add_slow_rows(std::vector<TokenizedInput> inputs,
                   const SpecialTokensTemplate& special,
                   const TokenTypeIds& token_type_ids,
                   const EncodePlan& plan,
                   BatchEncoding& encoding) {
  SlowRows rows(special, token_type_ids, plan, encoding);
  for (auto& input : inputs) rows.add(input);
  // Upstream counts the tokens of a batch before it pads, those of a single text after.
  if (plan.options.return_length && plan.is_batch) rows.add_lengths();
  rows.pad();
  if (plan.options.return_length && !plan.is_batch) rows.add_lengths();
}

}  // namespace vizoo
