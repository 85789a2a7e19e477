#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vizoo/nn/pretrained_model.h"
#include "vizoo/training/batch.h"
#include "vizoo/training/metrics.h"

namespace vizoo {

/// Where in a run a batch comes: what is random about it is drawn from this and the run's seed.
struct StepPosition {
  int64_t epoch = 0;
  int64_t step = 0;  ///< optimizer steps done before this one
};

/// What a model learns: its loss on a batch, and how well it does on samples that it has not seen.
/// The loop (Trainer) knows nothing else of the model; a loop of your own needs none of this.
class TrainingTask {
 public:
  virtual ~TrainingTask() = default;

  virtual PretrainedModelImpl& model() = 0;

  /// The loss of a batch, on the model's device, in the model's training mode; with gradient.
  virtual WeightedLoss loss(const Batch& batch, const StepPosition& position) = 0;

  /// What an evaluation measures. They are empty after `start_evaluation`; `evaluate` adds a batch,
  /// with the model in evaluation mode and without gradients.
  virtual std::vector<Metric*> metrics() = 0;
  virtual void start_evaluation() = 0;
  virtual void evaluate(const Batch& batch) = 0;

  /// The value, among those of the metrics, that tells a better model, and whether more is better.
  virtual std::string best_metric() const = 0;
  virtual bool higher_is_better() const = 0;
};

}  // namespace vizoo
