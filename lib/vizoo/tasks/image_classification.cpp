#include "vizoo/tasks/image_classification.h"

#include <algorithm>
#include <numeric>
#include <sstream>

#include "vizoo/core/error.h"

namespace vizoo {

torch::Tensor classification_scores(const PretrainedConfig& config, const torch::Tensor& logits) {
  if (!logits.defined() || logits.dim() != 2) {
    std::ostringstream got;
    if (logits.defined()) got << logits.sizes();
    throw ShapeError("task", "logits", "[B, num_labels]", logits.defined() ? got.str() : "none");
  }
  const auto x = logits.detach().to(torch::kCPU, torch::kFloat32);
  const bool independent =
      config.problem_type == ProblemType::multi_label_classification || config.num_labels() == 1;
  return independent ? x.sigmoid() : x.softmax(-1);
}

std::vector<std::vector<Classification>> top_k_labels(const PretrainedConfig& config,
                                                      const torch::Tensor& logits,
                                                      int64_t top_k) {
  const auto scores = classification_scores(config, logits).contiguous();
  const auto table = scores.accessor<float, 2>();
  std::vector<std::vector<Classification>> answers(static_cast<std::size_t>(scores.size(0)));
  const auto count = std::min(std::max<int64_t>(top_k, 0), scores.size(1));
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const auto row = table[static_cast<int64_t>(i)];
    std::vector<int64_t> ids(static_cast<std::size_t>(scores.size(1)));
    std::iota(ids.begin(), ids.end(), int64_t{0});
    std::partial_sort(ids.begin(), ids.begin() + count, ids.end(), [&](int64_t a, int64_t b) {
      return row[a] != row[b] ? row[a] > row[b] : a < b;
    });
    for (int64_t k = 0; k < count; ++k) {
      const auto id = ids[static_cast<std::size_t>(k)];
      answers[i].push_back({id, config.label(id), static_cast<double>(row[id])});
    }
  }
  return answers;
}

}  // namespace vizoo
