#include <algorithm>

#include "vizoo/core/error.h"
#include "vizoo/text/encode_rows.h"

namespace vizoo {
namespace {

struct Window {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t size() const { return end - begin; }
};

// The part of a sequence that is kept, and after it the windows over the rest.
using Windows = std::vector<Window>;

Windows cut(std::size_t size, std::size_t keep, const EncodePlan& plan) {
  if (keep >= size) return {{0, size}};
  const bool wants_all = plan.options.return_overflowing_tokens;
  if (keep == 0) return wants_all ? Windows{{0, 0}, {0, size}} : Windows{{0, 0}};
  const auto stride = static_cast<std::size_t>(plan.options.stride);
  if (stride >= keep) {
    throw UsageError("usage",
                     "stride",
                     "less than the " + std::to_string(keep) + " tokens that truncation keeps",
                     std::to_string(stride));
  }
  const std::size_t step = keep - stride;
  const std::size_t count = wants_all ? (size - keep + step - 1) / step + 1 : 1;
  check_encoded_size(count, keep, size);
  Windows windows(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (plan.truncation_side == Side::right) {
      windows[i] = {i * step, std::min(i * step + keep, size)};
    } else {
      const std::size_t end = size - i * step;
      windows[i] = {end > keep ? end - keep : 0, end};
    }
  }
  return windows;
}

[[noreturn]] void refuse_truncation(const std::string& expected, const std::string& got) {
  throw TokenizerError("tokenizer", "truncation", expected, got);
}

struct InputWindows {
  Windows first;
  Windows second;  // empty without a second sequence
};

InputWindows truncate_longest(std::size_t first,
                              std::size_t second,
                              std::size_t limit,
                              const EncodePlan& plan) {
  std::size_t shorter = std::min(first, second);
  std::size_t longer = shorter > limit ? shorter : std::max(shorter, limit - shorter);
  if (shorter + longer > limit) {
    shorter = limit / 2;
    longer = shorter + limit % 2;
  }
  if (first > second) std::swap(shorter, longer);
  return {cut(first, shorter, plan), cut(second, longer, plan)};
}

InputWindows truncate(const TokenizedInput& input,
                      const SpecialTokensTemplate& special,
                      const EncodePlan& plan) {
  const std::size_t first = input.first.ids.size();
  const std::size_t second = input.second ? input.second->ids.size() : 0;
  const auto whole = [](std::size_t size) { return Windows{{0, size}}; };
  const InputWindows all{whole(first), input.second ? whole(second) : Windows{}};
  if (plan.truncation == TruncationStrategy::do_not_truncate) return all;
  auto limit = static_cast<std::size_t>(*plan.max_length);
  if (plan.options.add_special_tokens) {
    const std::size_t added =
        special.before.size() + special.after.size() + (input.second ? special.between.size() : 0);
    if (added > limit) return all;  // upstream's length wraps around to one that cuts nothing
    limit -= added;
  }
  if (limit == 0) {
    return {cut(first, 0, plan), input.second ? cut(second, 0, plan) : Windows{}};
  }
  if (first + second <= limit) return all;
  const std::size_t excess = first + second - limit;
  switch (plan.truncation) {
    case TruncationStrategy::only_first:
      if (first <= excess) {
        refuse_truncation("a first sequence of more than " + std::to_string(excess) + " tokens",
                          std::to_string(first));
      }
      return {cut(first, first - excess, plan), all.second};
    case TruncationStrategy::only_second:
      if (!input.second) refuse_truncation("a second sequence", "none");
      if (second <= excess) {
        refuse_truncation("a second sequence of more than " + std::to_string(excess) + " tokens",
                          std::to_string(second));
      }
      return {all.first, cut(second, second - excess, plan)};
    default:
      if (input.second) return truncate_longest(first, second, limit, plan);
      return {cut(first, limit, plan), {}};
  }
}

class FastRows {
 public:
  FastRows(const SpecialTokensTemplate& special, const EncodePlan& plan, BatchEncoding& encoding)
      : special_(special), plan_(plan), encoding_(encoding) {}

  void add(const TokenizedInput& input, std::size_t index) {
    const auto windows = truncate(input, special_, plan_);
    const std::size_t first_row = encoding_.input_ids.size();
    const Window no_second{};
    const auto add_row = [&](std::size_t i, std::size_t j) {
      add_one(input, windows.first[i], windows.second.empty() ? no_second : windows.second[j]);
      // Only windows over the rest of a second sequence, without special tokens, keep their type.
      if (j > 0 && plan_.token_type_ids && !plan_.options.add_special_tokens) {
        auto& types = encoding_.token_type_ids.back();
        std::fill(
            types.begin() + static_cast<std::ptrdiff_t>(windows.first[i].size()), types.end(), 1);
      }
    };
    const std::size_t seconds = std::max<std::size_t>(windows.second.size(), 1);
    const std::size_t tokens =
        input.first.ids.size() + (input.second ? input.second->ids.size() : 0);
    check_encoded_size(windows.first.size(),
                       seconds * (windows.first[0].size() +
                                  (windows.second.empty() ? 0 : windows.second[0].size()) + 4),
                       tokens);
    add_row(0, 0);
    const auto removed =
        tokens - windows.first[0].size() - (windows.second.empty() ? 0 : windows.second[0].size());
    encoding_.removed_tokens.push_back(static_cast<int64_t>(removed));
    if (plan_.options.return_overflowing_tokens) {
      for (std::size_t i = 1; i < windows.first.size(); ++i) {
        for (std::size_t j = 0; j < seconds; ++j) add_row(i, j);
      }
      for (std::size_t j = 1; j < seconds; ++j) add_row(0, j);
      encoding_.overflow_to_sample_mapping.resize(encoding_.input_ids.size(),
                                                  static_cast<int64_t>(index));
    }
    longest_ = std::max(longest_, encoding_.input_ids[first_row].size());
  }

  void pad() {
    if (plan_.padding == PaddingStrategy::do_not_pad) return;
    const auto wanted = plan_.padding == PaddingStrategy::max_length
                            ? *plan_.max_length
                            : static_cast<int64_t>(longest_);
    const auto length =
        static_cast<std::size_t>(round_up(wanted, plan_.options.pad_to_multiple_of));
    check_encoded_size(encoding_.rows(), length, longest_ * encoding_.rows());
    pad_field(encoding_.input_ids, length, plan_.pad_token_id);
    pad_field(encoding_.token_type_ids, length, int64_t{0});
    pad_field(encoding_.attention_mask, length, int64_t{0});
    pad_field(encoding_.special_tokens_mask, length, int64_t{1});
    pad_field(encoding_.offset_mapping, length, std::pair<int64_t, int64_t>{0, 0});
  }

 private:
  void add_one(const TokenizedInput& input, Window first, Window second) {
    auto& ids = encoding_.input_ids.emplace_back();
    const bool special = plan_.options.add_special_tokens;
    ids.reserve(first.size() + second.size() + 4);
    const auto add_special = [&](const std::vector<int64_t>& tokens) {
      if (special) ids.insert(ids.end(), tokens.begin(), tokens.end());
    };
    const auto add_tokens = [&](const TokenSequence& tokens, Window window) {
      const auto begin = tokens.ids.begin();
      ids.insert(ids.end(),
                 begin + static_cast<std::ptrdiff_t>(window.begin),
                 begin + static_cast<std::ptrdiff_t>(window.end));
    };
    add_special(special_.before);
    const std::size_t first_begin = ids.size();
    add_tokens(input.first, first);
    if (input.second) add_special(special_.between);
    const std::size_t second_begin = ids.size();
    if (input.second) add_tokens(*input.second, second);
    add_special(special_.after);

    if (plan_.token_type_ids) encoding_.token_type_ids.emplace_back(ids.size());
    if (plan_.attention_mask) encoding_.attention_mask.emplace_back(ids.size(), 1);
    if (plan_.options.return_special_tokens_mask) {
      auto& mask = encoding_.special_tokens_mask.emplace_back(ids.size(), 1);
      const auto clear = [&mask](std::size_t begin, std::size_t count) {
        std::fill_n(mask.begin() + static_cast<std::ptrdiff_t>(begin), count, 0);
      };
      clear(first_begin, first.size());
      clear(second_begin, second.size());
    }
    if (plan_.options.return_offsets_mapping) {
      auto& offsets = encoding_.offset_mapping.emplace_back(ids.size());
      const auto copy = [&offsets](const TokenSequence& tokens, Window window, std::size_t begin) {
        std::copy(tokens.offsets.begin() + static_cast<std::ptrdiff_t>(window.begin),
                  tokens.offsets.begin() + static_cast<std::ptrdiff_t>(window.end),
                  offsets.begin() + static_cast<std::ptrdiff_t>(begin));
      };
      copy(input.first, first, first_begin);
      if (input.second) copy(*input.second, second, second_begin);
    }
  }

  template <class T>
  void pad_field(std::vector<std::vector<T>>& rows, std::size_t length, T value) const {
    for (auto& row : rows) {
      if (row.size() >= length) continue;
      const auto where = plan_.padding_side == Side::right ? row.end() : row.begin();
      row.insert(where, length - row.size(), value);
    }
  }

  const SpecialTokensTemplate& special_;
  const EncodePlan& plan_;
  BatchEncoding& encoding_;
  std::size_t longest_ = 0;  // of the inputs' main rows
};

// Upstream sets truncation up before it sees any text, and refuses this then.
void check_stride(const SpecialTokensTemplate& special, const EncodePlan& plan) {
  if (plan.truncation == TruncationStrategy::do_not_truncate) return;
  const auto added = static_cast<int64_t>(special.before.size() + special.after.size());
  const int64_t kept = *plan.max_length - added;
  if (kept >= 0 && kept < plan.options.stride) {
    throw UsageError("usage",
                     "stride",
                     "at most max_length without special tokens (" + std::to_string(kept) + ")",
                     std::to_string(plan.options.stride));
  }
}

}  // namespace

void add_fast_rows(const std::vector<TokenizedInput>& inputs,
                   const SpecialTokensTemplate& special,
                   const EncodePlan& plan,
                   BatchEncoding& encoding) {
  check_stride(special, plan);
  FastRows rows(special, plan, encoding);
  for (std::size_t i = 0; i < inputs.size(); ++i) rows.add(inputs[i], i);
  rows.pad();
  if (!plan.options.return_length) return;
  for (const auto& row : encoding.input_ids) {
    encoding.length.push_back(static_cast<int64_t>(row.size()));
  }
}

}  // namespace vizoo
