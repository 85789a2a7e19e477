#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace vizoo {

/// Sequences of units (bytes or code points), arranged by their common beginnings.
class TokenTrie {
 public:
  using Node = uint32_t;
  static constexpr Node kRoot = 0;

  /// Of equal sequences the first one keeps its value. Empty sequences are left out.
  template <class Units>
  void insert(const Units& units, uint32_t value) {
    Node node = kRoot;
    for (const auto unit : units) {
      const auto next = static_cast<Node>(values_.size());
      const auto [edge, is_new] = children_.try_emplace({node, static_cast<uint32_t>(unit)}, next);
      if (is_new) values_.emplace_back();
      node = edge->second;
    }
    if (node != kRoot && !values_[node]) values_[node] = value;
  }

  std::optional<Node> child(Node node, uint32_t unit) const {
    const auto edge = children_.find({node, unit});
    return edge == children_.end() ? std::nullopt : std::make_optional(edge->second);
  }

  /// Value of the sequence that ends at `node`, if one does.
  const std::optional<uint32_t>& value(Node node) const { return values_[node]; }

 private:
  std::map<std::pair<Node, uint32_t>, Node> children_;
  std::vector<std::optional<uint32_t>> values_ = {std::nullopt};
};

}  // namespace vizoo
