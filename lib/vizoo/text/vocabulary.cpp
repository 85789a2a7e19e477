#include "vizoo/text/vocabulary.h"

#include <algorithm>
#include <numeric>

#include "vizoo/core/error.h"

namespace vizoo {

Vocabulary::Vocabulary(std::vector<VocabularyEntry> entries, const std::string& source)
    : entries_(std::move(entries)), by_id_(entries_.size()) {
  std::sort(entries_.begin(), entries_.end(), [](const auto& left, const auto& right) {
    return left.token < right.token;
  });
  std::iota(by_id_.begin(), by_id_.end(), 0U);
  std::sort(by_id_.begin(), by_id_.end(), [this](uint32_t left, uint32_t right) {
    return entries_[left].id < entries_[right].id;
  });
  for (std::size_t i = 1; i < entries_.size(); ++i) {
    if (entries_[i].token == entries_[i - 1].token) {
      throw TokenizerError(
          "tokenizer", source, "each token once", quote(entries_[i].token) + " twice");
    }
    const auto& left = entries_[by_id_[i - 1]];
    const auto& right = entries_[by_id_[i]];
    if (left.id == right.id) {
      throw TokenizerError("tokenizer",
                           source,
                           "an id for each token",
                           "id " + std::to_string(left.id) + " for " + quote(left.token) +
                               " and for " + quote(right.token));
    }
  }
}

std::optional<uint32_t> Vocabulary::index_of(std::string_view token) const {
  const auto found = std::lower_bound(
      entries_.begin(), entries_.end(), token, [](const auto& entry, std::string_view value) {
        return entry.token < value;
      });
  if (found == entries_.end() || found->token != token) return std::nullopt;
  return static_cast<uint32_t>(found - entries_.begin());
}

std::optional<int64_t> Vocabulary::id_of(std::string_view token) const {
  const auto index = index_of(token);
  return index ? std::make_optional(entries_[*index].id) : std::nullopt;
}

const std::string* Vocabulary::token_of(int64_t id) const {
  const auto found =
      std::lower_bound(by_id_.begin(), by_id_.end(), id, [this](uint32_t index, int64_t value) {
        return entries_[index].id < value;
      });
  if (found == by_id_.end() || entries_[*found].id != id) return nullptr;
  return &entries_[*found].token;
}

}  // namespace vizoo
