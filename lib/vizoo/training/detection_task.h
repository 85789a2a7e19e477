#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "vizoo/models/owlv2/owlv2_detection.h"
#include "vizoo/training/average_precision.h"
#include "vizoo/training/training_task.h"

namespace vizoo {

/// What is known of an evaluation image.
struct DetectionTruth {
  int64_t height = 0;  ///< in pixels
  int64_t width = 0;
  TrueBoxes boxes;
};

/// Truth of a sample by its index in the evaluation data set.
using DetectionTruthLookup = std::function<DetectionTruth(int64_t index)>;

/// Open-vocabulary detection: boxes and the text queries that they answer, by `detection_loss`.
/// Batches have input_ids, attention_mask and pixel_values as Owlv2ForObjectDetection takes them,
/// and `detections`. An evaluation measures `loss` and the values of AveragePrecision; each patch
/// answers with its best query, as `vizoo detect` does.
class DetectionTask : public TrainingTask {
 public:
  /// `truth` is asked by evaluations; without it they measure the loss alone. `query_mask` of the
  /// options is not used.
  explicit DetectionTask(Owlv2ForObjectDetection model,
                         const DetectionLossOptions& options = {},
                         DetectionTruthLookup truth = nullptr);

  PretrainedModelImpl& model() override { return *model_; }
  WeightedLoss loss(const Batch& batch, const StepPosition& position) override;
  std::vector<Metric*> metrics() override;
  void start_evaluation() override;
  void evaluate(const Batch& batch) override;
  std::string best_metric() const override { return truth_ ? "AP" : "loss"; }
  bool higher_is_better() const override { return static_cast<bool>(truth_); }

 private:
  Owlv2ObjectDetectionOutput forward(const Batch& batch);

  Owlv2ForObjectDetection model_;
  DetectionLossOptions options_;
  DetectionTruthLookup truth_;
  MeanLoss mean_loss_;
  AveragePrecision precision_;
};

}  // namespace vizoo
