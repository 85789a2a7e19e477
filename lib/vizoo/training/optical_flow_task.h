#pragma once

#include "vizoo/models/perceiver/perceiver_optical_flow.h"
#include "vizoo/training/training_task.h"

namespace vizoo {

/// Optical flow by the end-point error in pixels: batches have `inputs` as PerceiverForOpticalFlow
/// takes them and as labels the flow to the right and down in pixels, [B, H, W, 2], NaN where it is
/// not known. An evaluation measures `end_point_error` and `outliers`.
class OpticalFlowTask : public TrainingTask {
 public:
  explicit OpticalFlowTask(PerceiverForOpticalFlow model) : model_(std::move(model)) {}

  PretrainedModelImpl& model() override { return *model_; }
  WeightedLoss loss(const Batch& batch, const StepPosition& position) override;
  std::vector<Metric*> metrics() override { return {&error_}; }
  void start_evaluation() override { error_ = {}; }
  void evaluate(const Batch& batch) override;
  std::string best_metric() const override { return "end_point_error"; }
  bool higher_is_better() const override { return false; }

 private:
  /// [B, H, W, 2], in pixels.
  torch::Tensor flow(const Batch& batch);

  PerceiverForOpticalFlow model_;
  EndPointError error_;
};

}  // namespace vizoo
