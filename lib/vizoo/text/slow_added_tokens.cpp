#include "vizoo/text/slow_added_tokens.h"

#include <algorithm>
#include <cstddef>

#include "vizoo/io/utf8.h"
#include "vizoo/text/python_text.h"

namespace vizoo {
namespace {

std::vector<uint32_t> code_points(std::string_view text) {
  std::vector<uint32_t> result;
  result.reserve(text.size());
  for (std::size_t position = 0; position < text.size();) {
    const auto code_point = decode_utf8(text, position);
    result.push_back(code_point.value);
    position += code_point.length;
  }
  return result;
}

// Finds tokens as Transformers' Trie.split does: all beginnings of tokens that the text could be in
// are followed at once; when one is complete, the earliest that can be completed wins, as long as
// possible.
class TrieScan {
 public:
  TrieScan(const TokenTrie& trie, const std::vector<uint32_t>& text) : trie_(trie), text_(text) {}

  /// Positions to cut at, in code points, from 0 to the end of the text.
  std::vector<std::size_t> run() {
    std::vector<std::size_t> cuts{0};
    for (std::size_t current = 0; current < text_.size(); ++current) {
      if (current < resume_) continue;
      if (advance(current)) {
        cuts.push_back(match_begin_);
        cuts.push_back(match_end_);
        begun_.clear();
      }
      if (current < resume_) continue;
      if (const auto child = trie_.child(TokenTrie::kRoot, text_[current])) {
        begun_.push_back({current, *child, false});
      }
    }
    for (const auto& token : begun_) {
      if (!trie_.value(token.node)) continue;
      cuts.push_back(token.begin);
      break;
    }
    cuts.push_back(text_.size());
    return cuts;
  }

 private:
  struct Begun {
    std::size_t begin;
    TokenTrie::Node node;
    bool broken_off;
  };

  // Reads one code point; true if it finds a token to be complete.
  bool advance(std::size_t current) {
    for (std::size_t i = 0; i < begun_.size(); ++i) {
      auto& token = begun_[i];
      if (trie_.value(token.node)) {
        choose(i, current);
        return true;
      }
      if (const auto child = trie_.child(token.node, text_[current])) {
        token.node = *child;
      } else {
        token.broken_off = true;
      }
    }
    begun_.erase(
        std::remove_if(
            begun_.begin(), begun_.end(), [](const Begun& token) { return token.broken_off; }),
        begun_.end());
    return false;
  }

  // begun_[complete] is a token up to `current`; those before it have been asked for text_[current]
  // already, and go on behind it even if it broke them off.
  void choose(std::size_t complete, std::size_t current) {
    for (std::size_t i = 0; i <= complete; ++i) {
      const std::size_t next = i < complete ? current + 1 : current;
      if (const auto end = longest(begun_[i].node, next)) {
        match_begin_ = begun_[i].begin;
        match_end_ = resume_ = *end;
        return;
      }
    }
  }

  std::optional<std::size_t> longest(TokenTrie::Node node, std::size_t next) const {
    std::optional<std::size_t> end;
    for (;;) {
      if (trie_.value(node)) end = next;
      const auto child = next < text_.size() ? trie_.child(node, text_[next]) : std::nullopt;
      if (!child) return end;
      node = *child;
      ++next;
    }
  }

  const TokenTrie& trie_;
  const std::vector<uint32_t>& text_;
  std::vector<Begun> begun_;
  std::size_t resume_ = 0;
  std::size_t match_begin_ = 0;
  std::size_t match_end_ = 0;
};

}  // namespace

void SlowAddedTokens::set(int64_t id, const AddedToken& token) {
  if (token.content.empty()) return;
  tokens_[id] = token;
  ids_[token.content] = id;
}

void SlowAddedTokens::finish() {
  trie_ = {};
  for (const auto& [id, token] : tokens_) trie_.insert(code_points(token.content), 0);
}

std::vector<std::string> SlowAddedTokens::cut(std::string_view text) const {
  const auto units = code_points(text);
  std::vector<std::string> pieces;
  std::size_t begin = 0;
  for (const std::size_t end : TrieScan(trie_, units).run()) {
    if (end <= begin) continue;
    std::string& piece = pieces.emplace_back();
    for (; begin < end; ++begin) append_utf8(piece, units[begin]);
  }
  return pieces;
}

std::vector<TextPiece> SlowAddedTokens::split(std::string_view text) const {
  auto pieces = cut(text);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const auto id = id_of(pieces[i]);
    if (!id) continue;
    const AddedToken& token = *token_of(*id);
    std::string* left = i > 0 ? &pieces[i - 1] : nullptr;
    std::string* right = i + 1 < pieces.size() ? &pieces[i + 1] : nullptr;
    // Upstream asks for the neighbours' ends as they were before stripping.
    const bool joins_left = left != nullptr && !left->empty() && left->back() != ' ';
    const bool joins_right = right != nullptr && !right->empty() && right->front() != ' ';
    if (token.rstrip && right != nullptr) *right = std::string(python_lstrip(*right));
    if (token.lstrip && left != nullptr) *left = std::string(python_rstrip(*left));
    if (!token.single_word) continue;
    if (joins_left) {
      *left += pieces[i];
      pieces[i].clear();
    } else if (joins_right) {
      *right = pieces[i] + *right;
      pieces[i].clear();
    }
  }
  std::vector<TextPiece> result;
  for (auto& piece : pieces) {
    if (piece.empty()) continue;
    const auto id = id_of(piece);
    result.push_back({std::move(piece), id});
  }
  return result;
}

std::optional<int64_t> SlowAddedTokens::id_of(std::string_view token) const {
  const auto found = ids_.find(token);
  return found == ids_.end() ? std::nullopt : std::make_optional(found->second);
}

const AddedToken* SlowAddedTokens::token_of(int64_t id) const {
  const auto found = tokens_.find(id);
  return found == tokens_.end() ? nullptr : &found->second;
}

}  // namespace vizoo
