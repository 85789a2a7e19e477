#include "vizoo/training/detection_task.h"

#include <utility>

#include "vizoo/tasks/object_detection.h"
#include "vizoo/training/loss.h"

namespace vizoo {

DetectionTask::DetectionTask(Owlv2ForObjectDetection model,
                             const DetectionLossOptions& options,
                             DetectionTruthLookup truth)
    : model_(std::move(model)), options_(options), truth_(std::move(truth)) {}

Owlv2ObjectDetectionOutput DetectionTask::forward(const Batch& batch) {
  return model_->forward(batch.arguments.at("input_ids"),
                         batch.arguments.at("pixel_values"),
                         batch.arguments.at("attention_mask"));
}

WeightedLoss DetectionTask::loss(const Batch& batch, const StepPosition& /*position*/) {
  const auto output = forward(batch);
  return weighted_detection_loss(output.logits, output.pred_boxes, batch.detections, options_);
}

std::vector<Metric*> DetectionTask::metrics() {
  if (!truth_) return {&mean_loss_};
  return {&mean_loss_, &precision_};
}

void DetectionTask::start_evaluation() {
  mean_loss_ = {};
  precision_ = {};
}

void DetectionTask::evaluate(const Batch& batch) {
  const auto output = forward(batch);
  const auto loss =
      weighted_detection_loss(output.logits, output.pred_boxes, batch.detections, options_);
  mean_loss_.add(loss.sum.item<double>(), loss.weight);
  if (!truth_) return;
  TargetSizes sizes;
  std::vector<DetectionTruth> truths;
  for (const auto index : batch.indices) {
    truths.push_back(truth_(index));
    sizes.push_back({truths.back().height, truths.back().width});
  }
  const auto found =
      post_process_object_detection(output.logits,
                                    output.pred_boxes,
                                    ObjectDetectionOptions().threshold(0.0).target_sizes(sizes));
  for (std::size_t i = 0; i < found.size(); ++i) {
    precision_.add(batch.indices[i],
                   {found[i].boxes, found[i].scores, found[i].labels},
                   truths[i].boxes);
  }
}

}  // namespace vizoo
