#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "vizoo/nn/torch.h"

namespace vizoo {

/// Names and numbers, in the order in which they are shown.
using MetricValues = std::vector<std::pair<std::string, double>>;

/// What is measured over a data set, by one process or many: each adds its own samples, then all
/// concatenate their rows, in any order, and `set_rows` makes each hold the whole.
///
/// Every metric has an `add` of its own. Tensors may be on any device; results are on the CPU.
class Metric {
 public:
  virtual ~Metric() = default;

  /// What was added, float64 [n, k] on the CPU; k is fixed for a metric, n may be 0.
  virtual torch::Tensor rows() const = 0;

  /// Replaces what was added by concatenated rows. Throws ShapeError for other tensors than rows()
  /// of this metric returns.
  virtual void set_rows(const torch::Tensor& rows) = 0;

  /// The results; those of nothing are 0 unless the metric says otherwise.
  virtual MetricValues values() const = 0;
};

/// The mean of a loss: values `loss` = sum / weight. Rows: [1, 2], sum and weight.
class MeanLoss : public Metric {
 public:
  /// As of WeightedLoss. Throws UsageError for a weight that is negative or not finite.
  void add(double sum, double weight);

  torch::Tensor rows() const override;
  void set_rows(const torch::Tensor& rows) override;
  MetricValues values() const override;

 private:
  double sum_ = 0.0;
  double weight_ = 0.0;
};

/// Share of samples whose label is the highest logit, and among the highest five: values `top1` and
/// `top5`, from 0 to 1. Among equal logits the lower class comes first; a label whose logit is NaN
/// is wrong. Rows: [1, 3], right ones of both kinds and samples.
class ClassificationAccuracy : public Metric {
 public:
  /// logits: [B, C], floating; labels: int64 or int32 [B], -100 counts for nothing. Throws
  /// ShapeError, and UsageError for a label that is no class.
  void add(const torch::Tensor& logits, const torch::Tensor& labels);

  torch::Tensor rows() const override;
  void set_rows(const torch::Tensor& rows) override;
  MetricValues values() const override;

 private:
  double top1_ = 0.0;
  double top5_ = 0.0;
  double samples_ = 0.0;
};

/// How often each class was taken for each: value `mean_class_accuracy`, the mean over classes that
/// occur of the share of their samples that were found. Rows: [n, 3], label, prediction and count,
/// for pairs that occur.
class ConfusionMatrix : public Metric {
 public:
  /// Throws UsageError for less than one class or more than 30,000 (a matrix of 7 GB).
  explicit ConfusionMatrix(int64_t classes);

  /// logits: [B, classes], floating; labels: int64 or int32 [B], -100 counts for nothing. The
  /// prediction is the highest logit, the lowest class among equals. Throws ShapeError, and
  /// UsageError for a label that is no class and for logits that are NaN.
  void add(const torch::Tensor& logits, const torch::Tensor& labels);

  /// int64 [classes, classes]: rows are labels, columns predictions.
  torch::Tensor matrix() const { return matrix_; }

  torch::Tensor rows() const override;
  void set_rows(const torch::Tensor& rows) override;
  MetricValues values() const override;

 private:
  torch::Tensor matrix_;
};

/// Mean distance between flows in pixels: values `end_point_error`, and `outliers`, the share of
/// pixels that are off by more than 3 pixels and more than 5 % of the flow's length (KITTI 2015's
/// Fl-all, from 0 to 1). Rows: [1, 3], sum of distances, outliers and pixels.
class EndPointError : public Metric {
 public:
  /// As vizoo::end_point_error takes them. Throws ShapeError.
  void add(const torch::Tensor& flow, const torch::Tensor& target, const torch::Tensor& valid = {});

  torch::Tensor rows() const override;
  void set_rows(const torch::Tensor& rows) override;
  MetricValues values() const override;

 private:
  double sum_ = 0.0;
  double outliers_ = 0.0;
  double pixels_ = 0.0;
};

/// Share of masked tokens whose highest logit is right: values `masked_accuracy`. Rows: [1, 2],
/// right ones and masked ones.
class MaskedTokenAccuracy : public Metric {
 public:
  /// logits: [B, T, V], floating; labels: int64 or int32 [B, T], -100 where nothing was masked.
  /// Throws as ClassificationAccuracy.
  void add(const torch::Tensor& logits, const torch::Tensor& labels);

  torch::Tensor rows() const override;
  void set_rows(const torch::Tensor& rows) override;
  MetricValues values() const override;

 private:
  double right_ = 0.0;
  double masked_ = 0.0;
};

}  // namespace vizoo
