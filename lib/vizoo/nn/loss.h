#pragma once

#include "vizoo/core/config.h"
#include "vizoo/nn/torch.h"

namespace vizoo {

/// The loss of the `*ForImageClassification` classes of Transformers 4.37.2, a scalar.
///
/// | problem_type | loss | labels |
/// |---|---|---|
/// | regression | mean squared error | floating, [B] for one label, else [B, num_labels] |
/// | single_label_classification | cross entropy, index -100 ignored | int64, [B] |
/// | multi_label_classification | BCE with logits | floating, [B, num_labels] |
///
/// logits: [B, num_labels]. With `config.problem_type` unset, one label means regression, integer
/// labels (int32, int64) single label, others multi label; what was inferred stays in the config
/// for later calls, as upstream. Throws ShapeError for labels that do not fit.
torch::Tensor image_classification_loss(PretrainedConfig& config,
                                        const torch::Tensor& logits,
                                        const torch::Tensor& labels);

}  // namespace vizoo
