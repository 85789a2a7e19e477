#include "vizoo/text/fast_added_tokens.h"

#include <algorithm>

#include "vizoo/io/utf8.h"
#include "vizoo/text/python_text.h"
#include "vizoo/text/unicode.h"

namespace vizoo {
namespace {

// Where the white space that ends at `position` begins, at least `lowest`.
std::size_t begin_of_space(std::string_view text, std::size_t position, std::size_t lowest) {
  while (position > lowest) {
    const std::size_t begin = previous_code_point(text, position);
    if (!is_white_space(decode_utf8(text, begin).value)) break;
    position = begin;
  }
  return position;
}

std::size_t end_of_space(std::string_view text, std::size_t position) {
  while (position < text.size()) {
    const auto code_point = decode_utf8(text, position);
    if (!is_white_space(code_point.value)) break;
    position += code_point.length;
  }
  return position;
}

}  // namespace

FastAddedTokens::FastAddedTokens(const Vocabulary& vocabulary,
                                 std::function<std::string(std::string_view)> normalize)
    : vocabulary_(vocabulary), normalize_(std::move(normalize)) {}

void FastAddedTokens::add(const std::vector<AddedToken>& tokens) {
  for (const auto& token : tokens) {
    if (token.special && !token.content.empty() && special_contents_.insert(token.content).second) {
      special_.push_back(token);
    }
  }
  for (const auto& token : tokens) {
    if (token.content.empty()) continue;
    auto id = id_of(token.content);
    if (id) {
      const auto* added = token_of(*id);
      if (added != nullptr && *added == token) continue;
    } else {
      const auto size = static_cast<int64_t>(vocabulary_.size());
      id = largest_id_ && (*largest_id_ >= size || size == 0) ? *largest_id_ + 1 : size;
    }
    ids_[token.content] = *id;
    tokens_[*id] = token;
    largest_id_ = std::max(largest_id_.value_or(*id), *id);
    if (!is_special(token.content)) ordinary_.push_back(token);
  }
  rebuild();
}

void FastAddedTokens::rebuild() {
  raw_ = {};
  normalized_ = {};
  const auto insert = [this](const AddedToken& token) {
    auto& matcher = token.normalized ? normalized_ : raw_;
    const std::string text = token.normalized ? normalize_(token.content) : token.content;
    const auto index = static_cast<uint32_t>(matcher.ids.size());
    matcher.ids.push_back(*id_of(token.content));
    std::vector<unsigned char> bytes(text.begin(), text.end());
    matcher.trie.insert(bytes, index);
    if (!bytes.empty()) matcher.begins[bytes.front()] = true;
  };
  std::for_each(special_.begin(), special_.end(), insert);
  std::for_each(ordinary_.begin(), ordinary_.end(), insert);
}

bool FastAddedTokens::stands_alone(std::string_view text,
                                   std::size_t begin,
                                   std::size_t end) const {
  const auto is_word_at = [text](std::size_t position) {
    return is_word_character(decode_utf8(text, position).value);
  };
  return (begin == 0 || !is_word_at(previous_code_point(text, begin))) &&
         (end == text.size() || !is_word_at(end));
}

std::vector<TextSegment> FastAddedTokens::split(std::string_view text, bool normalized) const {
  const Matcher& matcher = normalized ? normalized_ : raw_;
  std::vector<TextSegment> segments;
  std::size_t covered = 0;
  std::size_t space_end = 0;  // end of the last run of white space that was taken along
  for (std::size_t position = 0; position < text.size();) {
    if (!matcher.begins[static_cast<unsigned char>(text[position])]) {
      ++position;
      continue;
    }
    std::optional<uint32_t> match;
    std::size_t match_end = position;
    TokenTrie::Node node = TokenTrie::kRoot;
    for (std::size_t i = position; i < text.size(); ++i) {
      const auto child = matcher.trie.child(node, static_cast<unsigned char>(text[i]));
      if (!child) break;
      node = *child;
      if (const auto& value = matcher.trie.value(node)) {
        match = value;
        match_end = i + 1;
      }
    }
    if (!match) {
      ++position;
      continue;
    }
    std::size_t begin = position;
    std::size_t end = match_end;
    position = match_end;
    const int64_t id = matcher.ids[*match];
    const AddedToken& token = *token_of(id);
    if (token.single_word && !stands_alone(text, begin, end)) continue;
    if (token.lstrip) begin = std::max(begin_of_space(text, begin, covered), covered);
    if (token.rstrip) {
      // White space that a token within it has scanned is not scanned again.
      const bool known = end < space_end && is_white_space(decode_utf8(text, end).value);
      if (!known) space_end = end_of_space(text, end);
      end = std::max(end, space_end);
    }
    if (covered < begin) segments.push_back({covered, begin, std::nullopt});
    if (begin < end) segments.push_back({begin, end, id});
    covered = end;
  }
  if (covered < text.size()) segments.push_back({covered, text.size(), std::nullopt});
  return segments;
}

std::optional<int64_t> FastAddedTokens::id_of(std::string_view token) const {
  const auto found = ids_.find(token);
  return found == ids_.end() ? vocabulary_.id_of(token) : std::make_optional(found->second);
}

const AddedToken* FastAddedTokens::token_of(int64_t id) const {
  const auto found = tokens_.find(id);
  return found == tokens_.end() ? nullptr : &found->second;
}

std::size_t FastAddedTokens::beyond_vocabulary() const {
  return static_cast<std::size_t>(
      std::count_if(ids_.begin(), ids_.end(), [this](const auto& entry) {
        return !vocabulary_.id_of(entry.first);
      }));
}

}  // namespace vizoo
