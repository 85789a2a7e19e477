#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vizoo/core/config.h"
#include "vizoo/nn/torch.h"

namespace vizoo {

/// One answer of an image classifier.
struct Classification {
  int64_t id = 0;      ///< index of the logit
  std::string label;   ///< `id2label[id]`, or LABEL_<id> where the map has a gap
  double score = 0.0;  ///< in [0, 1]
};

/// Logits to scores as Transformers' image-classification pipeline does: sigmoid if the problem is
/// multi-label or there is one label, else softmax over the labels. logits: [B, num_labels],
/// floating point; returns the same shape in float32, on the CPU.
torch::Tensor classification_scores(const PretrainedConfig& config, const torch::Tensor& logits);

/// The `top_k` best labels of each image, best first; equal scores in the order of the ids. Fewer
/// if the model has fewer labels. logits: [B, num_labels]. Throws ShapeError for another rank.
std::vector<std::vector<Classification>> top_k_labels(const PretrainedConfig& config,
                                                      const torch::Tensor& logits,
                                                      int64_t top_k = 5);

}  // namespace vizoo
