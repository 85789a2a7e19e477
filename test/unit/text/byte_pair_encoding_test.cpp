#include "vizoo/text/byte_pair_encoding.h"

#include <map>
#include <random>
#include <utility>

#include "support/catch.h"

namespace vizoo::test {
namespace {

using Symbols = std::vector<uint32_t>;

std::vector<WordSymbol> word_of(const Symbols& symbols) {
  std::vector<WordSymbol> word;
  for (const auto symbol : symbols) word.push_back({symbol, 1});
  return word;
}

Symbols merged(const MergeTable& table, MergeOrder order, const Symbols& symbols) {
  auto word = word_of(symbols);
  merge_symbols(table, order, word);
  Symbols result;
  std::size_t length = 0;
  for (const auto& symbol : word) {
    result.push_back(symbol.symbol);
    length += symbol.length;
  }
  CHECK(length == symbols.size());
  return result;
}

// The definition of either order, by looking through the whole word for each merge or round.
Symbols by_definition(const std::vector<Merge>& merges, MergeOrder order, Symbols word) {
  for (;;) {
    const Merge* best = nullptr;
    for (std::size_t i = 0; i + 1 < word.size(); ++i) {
      for (const auto& merge : merges) {
        if (merge.left == word[i] && merge.right == word[i + 1] &&
            (best == nullptr || merge.rank < best->rank)) {
          best = &merge;
        }
      }
    }
    if (best == nullptr) return word;
    Symbols next;
    bool done = false;
    for (std::size_t i = 0; i < word.size(); ++i) {
      const bool here =
          !done && i + 1 < word.size() && word[i] == best->left && word[i + 1] == best->right;
      next.push_back(here ? best->result : word[i]);
      if (here) ++i;
      done = done || (here && order == MergeOrder::queue);
    }
    word = std::move(next);
  }
}

TEST_CASE("pairs merge by rank, from left to right", "[text]") {
  const MergeTable table({{0, 0, 1, 2}, {2, 0, 0, 3}}, 4);
  CHECK(merged(table, MergeOrder::queue, {0, 0}) == Symbols{2});
  // The new pair is preferred to the other occurrences of the old one, or comes after them.
  CHECK(merged(table, MergeOrder::queue, {0, 0, 0, 0}) == Symbols{3, 0});
  CHECK(merged(table, MergeOrder::rounds, {0, 0, 0, 0}) == Symbols{2, 2});
  CHECK(merged(table, MergeOrder::rounds, {0, 0, 0}) == Symbols{3});
  CHECK(merged(table, MergeOrder::queue, {}) == Symbols{});
  CHECK(merged(MergeTable(), MergeOrder::queue, {0, 0}) == Symbols{0, 0});
}

TEST_CASE("of merges of one pair the last counts", "[text]") {
  const MergeTable table({{0, 1, 0, 2}, {0, 1, 7, 3}}, 4);
  REQUIRE(table.find(0, 1) != nullptr);
  CHECK(table.find(0, 1)->rank == 7);
  CHECK(table.find(0, 1)->result == 3);
  CHECK(table.find(1, 0) == nullptr);
  CHECK(table.find(9, 0) == nullptr);
}

TEST_CASE("merging agrees with its definition on random merges", "[text]") {
  std::mt19937 random(20240119);
  const auto below = [&random](std::size_t limit) {
    return static_cast<uint32_t>(random() % limit);
  };
  for (int round = 0; round < 400; ++round) {
    // Symbols stand for strings: a merge of the same string gives the same symbol.
    std::vector<std::string> strings{"a", "b", "c"};
    std::map<std::string, uint32_t> symbols{{"a", 0}, {"b", 1}, {"c", 2}};
    std::map<std::pair<uint32_t, uint32_t>, bool> known;
    std::vector<Merge> merges;
    while (merges.size() < 12) {
      const auto left = below(strings.size());
      const auto right = below(strings.size());
      if (strings[left].size() + strings[right].size() > 12) continue;
      if (!known.emplace(std::make_pair(left, right), true).second) continue;
      const auto text = strings[left] + strings[right];
      const auto next = static_cast<uint32_t>(strings.size());
      const auto [entry, is_new] = symbols.emplace(text, next);
      if (is_new) strings.push_back(text);
      merges.push_back({left, right, static_cast<uint32_t>(merges.size()), entry->second});
    }
    for (std::size_t i = merges.size() - 1; i > 0; --i) {
      std::swap(merges[i].rank, merges[below(i + 1)].rank);
    }
    const MergeTable table(merges, static_cast<uint32_t>(strings.size()));
    Symbols word(1 + below(60));
    for (auto& symbol : word) symbol = below(3);
    for (const auto order : {MergeOrder::queue, MergeOrder::rounds}) {
      CHECK(merged(table, order, word) == by_definition(merges, order, word));
    }
  }
}

}  // namespace
}  // namespace vizoo::test
