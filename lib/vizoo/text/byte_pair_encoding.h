#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace vizoo {

/// A pair of symbols that merges into a third. The smallest rank goes first.
struct Merge {
  uint32_t left = 0;
  uint32_t right = 0;
  uint32_t rank = 0;
  uint32_t result = 0;
};

/// Which pairs of symbols merge. Look-ups take logarithmic time whatever the merges are.
class MergeTable {
 public:
  MergeTable() = default;

  /// Of merges of the same pair the last one counts. `symbols`: one more than the largest symbol.
  MergeTable(std::vector<Merge> merges, uint32_t symbols);

  /// Null if the pair does not merge.
  const Merge* find(uint32_t left, uint32_t right) const;

 private:
  std::vector<Merge> merges_;     // sorted by left, then right
  std::vector<uint32_t> begins_;  // where the merges of each left symbol begin; one entry more
};

/// A symbol of a word, and how many of the word's first symbols it covers.
struct WordSymbol {
  uint32_t symbol = 0;
  uint32_t length = 1;
};

/// Which merge comes next when a merge makes new pairs.
enum class MergeOrder {
  queue,   ///< the lowest rank of all pairs, the leftmost of equals (`tokenizers`)
  rounds,  ///< all pairs of the lowest rank, from left to right, before any pair that this makes
           ///< (Transformers' slow tokenizers)
};

/// Merges the symbols of one word in place until no pair merges. O(n log n) for n symbols.
void merge_symbols(const MergeTable& merges, MergeOrder order, std::vector<WordSymbol>& word);

}  // namespace vizoo
