#pragma once

#include "vizoo/models/perceiver/perceiver_language.h"
#include "vizoo/training/training_task.h"

namespace vizoo {

/// Masked language modelling: batches have input_ids and attention_mask, [B, T], and as labels the
/// tokens to be predicted, [B, T], -100 elsewhere. An evaluation measures `loss` and
/// `masked_accuracy`.
class MaskedLanguageModelingTask : public TrainingTask {
 public:
  explicit MaskedLanguageModelingTask(PerceiverForMaskedLM model) : model_(std::move(model)) {}

  PretrainedModelImpl& model() override { return *model_; }
  WeightedLoss loss(const Batch& batch, const StepPosition& position) override;
  std::vector<Metric*> metrics() override { return {&mean_loss_, &accuracy_}; }
  void start_evaluation() override;
  void evaluate(const Batch& batch) override;
  std::string best_metric() const override { return "loss"; }
  bool higher_is_better() const override { return false; }

 private:
  /// [B, T, vocab_size]
  torch::Tensor logits(const Batch& batch);

  PerceiverForMaskedLM model_;
  MeanLoss mean_loss_;
  MaskedTokenAccuracy accuracy_;
};

}  // namespace vizoo
