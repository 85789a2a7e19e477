#include "vizoo/tasks/masked_language_modeling.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "vizoo/core/error.h"

namespace vizoo {
namespace {

int64_t mask_id(const Tokenizer& tokenizer) {
  const auto id = tokenizer.mask_token_id();
  if (!id) throw TokenizerError("tokenizer", "mask_token", "a token", "none");
  return *id;
}

std::vector<int64_t> encode_text(const MaskedLanguageModel& model,
                                 const Tokenizer& tokenizer,
                                 const std::string& text) {
  auto ids = tokenizer.encode(text).input_ids.at(0);
  const auto longest =
      std::min(model.max_tokens, tokenizer.model_max_length().value_or(model.max_tokens));
  if (static_cast<int64_t>(ids.size()) > longest) {
    throw TokenizerError(
        "tokenizer",
        "text",
        "at most " + std::to_string(longest) + " tokens, with the special ones around it",
        std::to_string(ids.size()));
  }
  return ids;
}

std::vector<int64_t> find_masks(const std::vector<int64_t>& ids, const Tokenizer& tokenizer) {
  const auto mask = mask_id(tokenizer);
  std::vector<int64_t> positions;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] == mask) positions.push_back(static_cast<int64_t>(i));
  }
  if (positions.empty()) {
    throw TokenizerError("tokenizer",
                         "text",
                         "at least one " + printable(*tokenizer.settings().mask_token),
                         "none",
                         "Each stands for one token to be filled in");
  }
  return positions;
}

// [P, vocab_size]
torch::Tensor mask_scores(const MaskedLanguageModel& model,
                          const std::vector<int64_t>& ids,
                          const std::vector<int64_t>& positions) {
  const auto logits = model.logits(torch::tensor(ids, torch::kLong).unsqueeze(0),
                                   torch::tensor(positions, torch::kLong));
  return logits.detach().to(torch::kCPU, torch::kFloat32).softmax(-1).contiguous();
}

std::vector<int64_t> best_ids(const float* scores, int64_t known, int64_t count) {
  std::vector<int64_t> ids(static_cast<std::size_t>(known));
  std::iota(ids.begin(), ids.end(), int64_t{0});
  std::partial_sort(ids.begin(), ids.begin() + count, ids.end(), [&](int64_t a, int64_t b) {
    return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
  });
  ids.resize(static_cast<std::size_t>(count));
  return ids;
}

}  // namespace

MaskedLanguageModel::MaskedLanguageModel(const PerceiverForMaskedLMImpl& model)
    : MaskedLanguageModel(model.config.max_position_embeddings,
                          [&model](const torch::Tensor& input_ids, const torch::Tensor& positions) {
                            const auto device = model.embedding_decoder->bias.device();
                            const auto encoding = model.encode(input_ids.to(device));
                            return model.decode(encoding, positions.to(device)).squeeze(0);
                          }) {}

MaskedLanguageModel::MaskedLanguageModel(int64_t longest, Logits call)
    : max_tokens(longest), logits(std::move(call)) {}

FilledText fill_mask(const MaskedLanguageModel& model,
                     const Tokenizer& tokenizer,
                     const std::string& text,
                     int64_t top_k) {
  if (top_k < 1) throw UsageError("task", "top_k", "at least 1", std::to_string(top_k));
  auto ids = encode_text(model, tokenizer, text);
  const auto positions = find_masks(ids, tokenizer);
  const auto scores = mask_scores(model, ids, positions);
  const auto known = std::min(scores.size(1), tokenizer.size());

  DecodeOptions as_it_is;
  as_it_is.clean_up_tokenization_spaces = false;
  FilledText filled;
  for (std::size_t i = 0; i < positions.size(); ++i) {
    const float* row = scores.const_data_ptr<float>() + static_cast<int64_t>(i) * scores.size(1);
    auto& mask = filled.masks.emplace_back();
    mask.position = positions[i];
    for (const auto id : best_ids(row, known, std::min(top_k, known))) {
      mask.candidates.push_back(
          {id, tokenizer.decode({id}, as_it_is), static_cast<double>(row[id])});
    }
    ids[static_cast<std::size_t>(positions[i])] = mask.candidates.front().id;
  }
  as_it_is.skip_special_tokens = true;
  filled.text = tokenizer.decode(ids, as_it_is);
  return filled;
}

}  // namespace vizoo
