#include "vizoo/training/image_classification_task.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "vizoo/core/error.h"

namespace vizoo {
namespace {

// Labels that nobody has named: LABEL_0, LABEL_1, ...
bool is_unnamed(const std::map<std::string, int64_t>& label2id) {
  return std::all_of(label2id.begin(), label2id.end(), [](const auto& entry) {
    return entry.first == "LABEL_" + std::to_string(entry.second);
  });
}

void check_teacher(const PretrainedConfig& own, const PretrainedConfig& teacher) {
  if (own.num_labels() != teacher.num_labels()) {
    throw UsageError("training",
                     "teacher",
                     "the " + std::to_string(own.num_labels()) + " labels of the model",
                     std::to_string(teacher.num_labels()));
  }
  if (is_unnamed(own.label2id) || is_unnamed(teacher.label2id)) return;
  for (int64_t i = 0; i < own.num_labels(); ++i) {
    if (own.label(i) == teacher.label(i)) continue;
    throw UsageError("training",
                     "teacher: label " + std::to_string(i),
                     quote(own.label(i)) + " as the model has",
                     quote(teacher.label(i)));
  }
}

}  // namespace

ImageClassificationTask::ImageClassificationTask(ImageClassifier model,
                                                 const ImageClassificationTaskOptions& options)
    : model_(std::move(model)), options_(options) {
  const auto smoothing = options_.label_smoothing();
  if (!(smoothing >= 0.0 && smoothing < 1.0)) {
    throw UsageError(
        "training", "label_smoothing", "a number in [0, 1)", std::to_string(smoothing));
  }
  if (const auto& teacher = options_.teacher()) {
    check_teacher(model_->base_config(), teacher->base_config());
    teacher->eval();
  }
  start_evaluation();
}

WeightedLoss ImageClassificationTask::label_loss(const torch::Tensor& logits,
                                                 const torch::Tensor& labels) const {
  // Labels that were mixed are distributions and smooth already.
  const double smoothing = labels.is_floating_point() ? 0.0 : options_.label_smoothing();
  return options_.loss() == ClassificationLoss::cross_entropy
             ? softmax_cross_entropy(logits, labels, smoothing)
             : sigmoid_cross_entropy(logits, labels, smoothing);
}

WeightedLoss ImageClassificationTask::loss(const Batch& batch, const StepPosition& position) {
  Batch mixed = batch;
  if (options_.mixup()) {
    mixed = mixup(batch,
                  model_->base_config().num_labels(),
                  MixupOptions(*options_.mixup()).label_smoothing(options_.label_smoothing()),
                  RandomStream(options_.seed(),
                               static_cast<uint64_t>(position.epoch),
                               static_cast<uint64_t>(position.step),
                               RandomPurpose::mixup));
  }
  const auto& pixel_values = mixed.arguments.at("pixel_values");
  const auto output = model_->forward(pixel_values);
  const bool two_heads = output.cls_logits.defined();
  auto base = label_loss(two_heads ? output.cls_logits : output.logits, mixed.labels);
  const auto& student = two_heads ? output.distillation_logits : output.logits;
  if (const auto& teacher = options_.teacher()) {
    const torch::NoGradGuard no_grad;
    const auto answer = teacher->forward(pixel_values).logits;
    const torch::AutoGradMode with_grad(true);
    return distillation_loss(base, student, answer, options_.distillation());
  }
  if (two_heads) base.sum = (base.sum + label_loss(student, mixed.labels).sum) / 2;
  return base;
}

std::vector<Metric*> ImageClassificationTask::metrics() {
  return {&mean_loss_, &accuracy_, &*confusion_};
}

void ImageClassificationTask::start_evaluation() {
  mean_loss_ = {};
  accuracy_ = {};
  confusion_.emplace(model_->base_config().num_labels());
}

void ImageClassificationTask::evaluate(const Batch& batch) {
  const auto logits = model_->forward(batch.arguments.at("pixel_values")).logits;
  const auto loss = softmax_cross_entropy(logits, batch.labels);
  mean_loss_.add(loss.sum.item<double>(), loss.weight);
  accuracy_.add(logits, batch.labels);
  confusion_->add(logits, batch.labels);
}

}  // namespace vizoo
