#include "vizoo/text/slow_special_tokens.h"

#include <utility>

namespace vizoo {

SlowAddedTokens slow_added_tokens(const std::map<int64_t, AddedTokenSpec>& with_id,
                                  const SpecialTokens& special,
                                  const std::vector<SpecialToken>& additional,
                                  const Vocabulary& vocabulary) {
  SlowAddedTokens added;
  for (const auto& [id, spec] : with_id) added.set(id, spec.resolved());
  // The next free id is the number of different tokens.
  std::size_t size = vocabulary.size();
  for (const auto& [content, id] : added.ids()) size += vocabulary.index_of(content) ? 0 : 1;
  auto next_id = static_cast<int64_t>(size);
  for (const auto& token : unique_special_tokens(special, additional)) {
    const auto& content = token.spec.token.content;
    auto id = added.id_of(content);
    if (token.is_text && id) continue;
    if (!id) id = vocabulary.id_of(content);
    if (!id) id = next_id++;
    auto resolved = token.spec.resolved();
    resolved.special = true;
    added.set(*id, resolved);
  }
  added.finish();
  return added;
}

SlowDecoding slow_decoding(const SlowAddedTokens& added,
                           const SpecialTokens& special,
                           const std::vector<SpecialToken>& additional,
                           int64_t vocab_size,
                           const std::function<std::optional<int64_t>(std::string_view)>& id_of) {
  SlowDecoding decoding;
  for (const auto& [content, id] : added.ids()) decoding.set_off.insert(content);
  for (const auto& token : unique_special_tokens(special, additional)) {
    const auto& content = token.spec.token.content;
    if (const auto id = id_of(content)) decoding.special_ids.insert(*id);
    decoding.set_off.erase(content);
  }
  for (const auto& token : additional) {
    const auto& content = token.spec.token.content;
    const auto id = id_of(content);
    if (id && *id >= vocab_size) decoding.set_off.insert(content);
  }
  return decoding;
}

std::string join_slow_tokens(
    const std::vector<std::string_view>& tokens,
    const SlowDecoding& decoding,
    const std::function<std::string(const std::vector<std::string_view>&)>& text_of) {
  std::string text;
  bool is_first = true;
  const auto add = [&](std::string_view part) {
    if (!is_first) text.push_back(' ');
    text.append(part);
    is_first = false;
  };
  std::vector<std::string_view> run;
  for (const auto token : tokens) {
    if (decoding.set_off.count(token) == 0) {
      run.push_back(token);
      continue;
    }
    if (!run.empty()) {
      const auto part = text_of(run);
      if (!part.empty()) add(part);
      run.clear();
    }
    add(token);
  }
  if (!run.empty()) add(text_of(run));
  return text;
}

}  // namespace vizoo
