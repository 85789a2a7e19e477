#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "vizoo/core/config.h"
#include "vizoo/training/loss.h"
#include "vizoo/training/mixup.h"
#include "vizoo/training/training_task.h"

namespace vizoo {

/// The loss of an image classifier.
enum class ClassificationLoss {
  cross_entropy,        ///< softmax_cross_entropy
  binary_cross_entropy  ///< sigmoid_cross_entropy
};

template <>
struct EnumNames<ClassificationLoss> {
  static constexpr std::pair<ClassificationLoss, const char*> table[] = {
      {ClassificationLoss::cross_entropy, "cross-entropy"},
      {ClassificationLoss::binary_cross_entropy, "binary-cross-entropy"},
  };
};

/// Options of ImageClassificationTask. The defaults are those of ConvNeXT's fine-tuning (Liu et al.
/// 2022, https://arxiv.org/abs/2201.03545, table 6): smoothing 0.1, no mixing.
struct ImageClassificationTaskOptions {
  TORCH_ARG(ClassificationLoss, loss) = ClassificationLoss::cross_entropy;
  /// In [0, 1).
  TORCH_ARG(double, label_smoothing) = 0.1;
  /// Mixup and cutmix, whose own label smoothing is not used: the one above is.
  TORCH_ARG(std::optional<MixupOptions>, mixup) = std::nullopt;
  /// A classifier with the same labels that the model learns from as well, in evaluation mode.
  TORCH_ARG(ImageClassifier, teacher) = nullptr;
  TORCH_ARG(DistillationOptions, distillation) = DistillationOptions();
  /// Of the run, for mixing.
  TORCH_ARG(uint64_t, seed) = 0;
};

/// Classes of images: labels are class indices, int64 [B].
///
/// With a teacher the loss is that of `distillation_loss`, the teacher's answer to the images that
/// the model sees, mixed ones included. A model with a head for each of both
/// (LevitForImageClassificationWithTeacher) learns the labels with `cls_logits` and the teacher's
/// decision with `distillation_logits`; without a teacher both learn the labels, and the loss is
/// the mean. An evaluation measures `loss` (cross entropy without smoothing), `top1`, `top5` and
/// `mean_class_accuracy`.
class ImageClassificationTask : public TrainingTask {
 public:
  /// Throws UsageError for options out of range, and for a teacher with other labels: another
  /// number of them or, where both models name theirs, another name.
  explicit ImageClassificationTask(ImageClassifier model,
                                   const ImageClassificationTaskOptions& options = {});

  PretrainedModelImpl& model() override { return *model_; }
  WeightedLoss loss(const Batch& batch, const StepPosition& position) override;
  std::vector<Metric*> metrics() override;
  void start_evaluation() override;
  void evaluate(const Batch& batch) override;
  std::string best_metric() const override { return "top1"; }
  bool higher_is_better() const override { return true; }

  /// Of the last evaluation.
  const ConfusionMatrix& confusion() const { return *confusion_; }

 private:
  WeightedLoss label_loss(const torch::Tensor& logits, const torch::Tensor& labels) const;

  ImageClassifier model_;
  ImageClassificationTaskOptions options_;
  MeanLoss mean_loss_;
  ClassificationAccuracy accuracy_;
  std::optional<ConfusionMatrix> confusion_;
};

}  // namespace vizoo
