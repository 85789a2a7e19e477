#include "vizoo/training/masked_language_modeling_task.h"

#include "vizoo/training/loss.h"

namespace vizoo {

torch::Tensor MaskedLanguageModelingTask::logits(const Batch& batch) {
  const auto output =
      model_->forward(batch.arguments.at("input_ids"),
                      PerceiverOptions().attention_mask(batch.arguments.at("attention_mask")));
  // The model answers for all of its positions, however short the texts are.
  return output.logits.slice(1, 0, batch.labels.size(1));
}

WeightedLoss MaskedLanguageModelingTask::loss(const Batch& batch,
                                              const StepPosition& /*position*/) {
  return masked_language_modeling_loss(logits(batch), batch.labels);
}

void MaskedLanguageModelingTask::start_evaluation() {
  mean_loss_ = {};
  accuracy_ = {};
}

void MaskedLanguageModelingTask::evaluate(const Batch& batch) {
  const auto predicted = logits(batch);
  const auto loss = masked_language_modeling_loss(predicted, batch.labels);
  mean_loss_.add(loss.sum.item<double>(), loss.weight);
  accuracy_.add(predicted, batch.labels);
}

}  // namespace vizoo
