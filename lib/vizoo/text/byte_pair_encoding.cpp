#include "vizoo/text/byte_pair_encoding.h"

#include <algorithm>
#include <functional>
#include <tuple>

namespace vizoo {
namespace {

constexpr uint32_t kNone = ~uint32_t{0};

// A pair that may merge: its rank above the position of its left symbol, so that the smallest one
// is next. One number each keeps the heap of a long word small and quick.
using Candidate = uint64_t;

Candidate make_candidate(uint32_t rank, uint32_t position) {
  return Candidate{rank} << 32U | position;
}
uint32_t rank_of(Candidate candidate) { return static_cast<uint32_t>(candidate >> 32U); }
uint32_t position_of(Candidate candidate) { return static_cast<uint32_t>(candidate); }

// A word as a doubly linked list in an array; a symbol that was merged into the one before it has
// length 0.
class WordMerger {
 public:
  WordMerger(const MergeTable& merges, MergeOrder order, std::vector<WordSymbol>& word)
      : merges_(merges), order_(order), word_(word) {
    const auto size = static_cast<uint32_t>(word.size());
    previous_.resize(size);
    next_.resize(size);
    for (uint32_t i = 0; i < size; ++i) {
      previous_[i] = i == 0 ? kNone : i - 1;
      next_[i] = i + 1 == size ? kNone : i + 1;
    }
    for (uint32_t i = 0; i + 1 < size; ++i) {
      if (const auto* merge = merge_at(i)) {
        candidates_.push_back(make_candidate(merge->rank, i));
      }
    }
    std::make_heap(candidates_.begin(), candidates_.end(), std::greater<>());
  }

  void run() {
    while (!candidates_.empty() || !next_round_.empty()) {
      if (candidates_.empty() || rank_of(candidates_.front()) != rank_) begin_round();
      const Candidate candidate = candidates_.front();
      std::pop_heap(candidates_.begin(), candidates_.end(), std::greater<>());
      candidates_.pop_back();
      const uint32_t position = position_of(candidate);
      if (word_[position].length == 0) continue;
      const auto* merge = merge_at(position);
      // The symbols may have been merged with others since, and then have another rank.
      if (merge != nullptr && merge->rank == rank_of(candidate)) apply(*merge, position);
    }
    word_.erase(std::remove_if(word_.begin(),
                               word_.end(),
                               [](const WordSymbol& symbol) { return symbol.length == 0; }),
                word_.end());
  }

 private:
  // Of the symbol at `position` and the next one.
  const Merge* merge_at(uint32_t position) const {
    const uint32_t right = next_[position];
    return right == kNone ? nullptr : merges_.find(word_[position].symbol, word_[right].symbol);
  }

  void push_heap(Candidate candidate) {
    candidates_.push_back(candidate);
    std::push_heap(candidates_.begin(), candidates_.end(), std::greater<>());
  }

  void push(uint32_t position) {
    const auto* merge = merge_at(position);
    if (merge == nullptr) return;
    const auto candidate = make_candidate(merge->rank, position);
    if (order_ == MergeOrder::rounds) {
      next_round_.push_back(candidate);
    } else {
      push_heap(candidate);
    }
  }

  void begin_round() {
    for (const Candidate candidate : next_round_) push_heap(candidate);
    next_round_.clear();
    rank_ = rank_of(candidates_.front());
  }

  void apply(const Merge& merge, uint32_t position) {
    const uint32_t right = next_[position];
    word_[position].symbol = merge.result;
    word_[position].length += word_[right].length;
    word_[right].length = 0;
    next_[position] = next_[right];
    if (next_[position] != kNone) previous_[next_[position]] = position;
    if (previous_[position] != kNone) push(previous_[position]);
    push(position);
  }

  const MergeTable& merges_;
  MergeOrder order_;
  std::vector<WordSymbol>& word_;
  std::vector<uint32_t> previous_;
  std::vector<uint32_t> next_;
  std::vector<Candidate> candidates_;
  std::vector<Candidate> next_round_;  // made by the merges of this rank, to be looked at after it
  uint32_t rank_ = 0;
};

// Finds the best pair by looking at all of them: the fastest way for the short words of real text.
void merge_short_word(const MergeTable& merges, std::vector<WordSymbol>& word) {
  for (;;) {
    std::size_t best = 0;
    const Merge* best_merge = nullptr;
    for (std::size_t i = 0; i + 1 < word.size(); ++i) {
      const Merge* merge = merges.find(word[i].symbol, word[i + 1].symbol);
      if (merge != nullptr && (best_merge == nullptr || merge->rank < best_merge->rank)) {
        best = i;
        best_merge = merge;
      }
    }
    if (best_merge == nullptr) return;
    word[best] = {best_merge->result, word[best].length + word[best + 1].length};
    word.erase(word.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

}  // namespace

MergeTable::MergeTable(std::vector<Merge> merges, uint32_t symbols)
    : merges_(std::move(merges)), begins_(std::size_t{symbols} + 1) {
  const auto pair = [](const Merge& merge) { return std::tie(merge.left, merge.right); };
  std::stable_sort(merges_.begin(), merges_.end(), [&](const Merge& left, const Merge& right) {
    return pair(left) < pair(right);
  });
  std::size_t kept = 0;
  for (const Merge& merge : merges_) {
    if (kept > 0 && pair(merges_[kept - 1]) == pair(merge)) --kept;
    merges_[kept++] = merge;
  }
  merges_.resize(kept);
  for (const Merge& merge : merges_) ++begins_[std::size_t{merge.left} + 1];
  for (std::size_t i = 1; i < begins_.size(); ++i) begins_[i] += begins_[i - 1];
}

const Merge* MergeTable::find(uint32_t left, uint32_t right) const {
  if (std::size_t{left} + 1 >= begins_.size()) return nullptr;
  const Merge* begin = merges_.data() + begins_[left];
  const Merge* end = merges_.data() + begins_[std::size_t{left} + 1];
  const Merge* found = std::lower_bound(
      begin, end, right, [](const Merge& merge, uint32_t value) { return merge.right < value; });
  return found != end && found->right == right ? found : nullptr;
}

void merge_symbols(const MergeTable& merges, MergeOrder order, std::vector<WordSymbol>& word) {
  constexpr std::size_t kShort = 24;
  if (order == MergeOrder::queue && word.size() <= kShort) {
    merge_short_word(merges, word);
    return;
  }
  if (word.size() > 1) WordMerger(merges, order, word).run();
}

}  // namespace vizoo
