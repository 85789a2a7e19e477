#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vizoo {

/// A token of a vocabulary file.
struct VocabularyEntry {
  std::string token;
  int64_t id = 0;
};

/// Tokens and their ids, both ways. Look-ups are binary searches: a file cannot choose tokens or
/// ids that make them slow, as it could with a hash table.
class Vocabulary {
 public:
  Vocabulary() = default;

  /// Throws TokenizerError, which begins with `source`, if a token or an id occurs twice.
  Vocabulary(std::vector<VocabularyEntry> entries, const std::string& source);

  std::size_t size() const { return entries_.size(); }
  const VocabularyEntry& operator[](std::size_t index) const { return entries_[index]; }

  /// Index of a token among all, sorted; none if it is not there.
  std::optional<uint32_t> index_of(std::string_view token) const;
  std::optional<int64_t> id_of(std::string_view token) const;
  /// The token with that id, or null.
  const std::string* token_of(int64_t id) const;

 private:
  std::vector<VocabularyEntry> entries_;  // sorted by token
  std::vector<uint32_t> by_id_;           // indices into entries_, sorted by id
};

}  // namespace vizoo
