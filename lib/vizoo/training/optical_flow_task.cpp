#include "vizoo/training/optical_flow_task.h"

#include "vizoo/tasks/optical_flow.h"
#include "vizoo/training/loss.h"

namespace vizoo {
namespace {

// [B, H, W]: where both components are numbers.
torch::Tensor known(const torch::Tensor& flow) { return flow.isfinite().all(-1); }

}  // namespace

torch::Tensor OpticalFlowTask::flow(const Batch& batch) {
  return model_->forward(batch.arguments.at("inputs")).logits * kFlowScale;
}

WeightedLoss OpticalFlowTask::loss(const Batch& batch, const StepPosition& /*position*/) {
  return end_point_error(flow(batch), batch.labels, known(batch.labels));
}

void OpticalFlowTask::evaluate(const Batch& batch) {
  error_.add(flow(batch), batch.labels, known(batch.labels));
}

}  // namespace vizoo
