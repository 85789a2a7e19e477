#include "vizoo/training/metrics.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "vizoo/core/error.h"
#include "vizoo/nn/pretrained_model.h"
#include "vizoo/training/flow_pair.h"
#include "vizoo/training/label_checks.h"
#include "vizoo/training/metric_rows.h"

namespace vizoo {
namespace {

constexpr const char* kMetricWhere = "metric";
constexpr int64_t kMostClasses = 30000;

torch::Tensor one_row(const std::vector<double>& numbers) {
  return torch::tensor(numbers, torch::kFloat64).unsqueeze(0);
}

double share(double part, double whole) { return whole > 0 ? part / whole : 0.0; }

// The sums of the columns.
std::vector<double> column_sums(const torch::Tensor& rows, int64_t columns) {
  const auto sums = checked_rows(rows, columns).sum(0);
  return {sums.const_data_ptr<double>(), sums.const_data_ptr<double>() + columns};
}

// Logits of [N, C] and labels of [N] where the label is one.
struct Labelled {
  torch::Tensor logits;
  torch::Tensor labels;
};

Labelled labelled(const torch::Tensor& logits, const torch::Tensor& labels, int64_t dimensions) {
  check_class_logits(logits, dimensions, kMetricWhere);
  const auto indices = class_indices(labels, logits, kMetricWhere).flatten();
  const auto counted = count_labels(indices, logits.size(-1), kMetricWhere);
  // [B, C] or [B, T, V] -> [N, C]
  const auto flat = logits.detach().flatten(0, -2);
  if (counted == indices.numel()) return {flat, indices};
  const auto chosen = indices.ne(kIgnoredLabel).nonzero().squeeze(1);
  return {flat.index_select(0, chosen), indices.index_select(0, chosen)};
}

// How many classes come before the label, int64 [N]: higher logits, and equal ones of lower
// classes. All do if its logit is NaN.
torch::Tensor classes_before(const Labelled& samples) {
  const auto& [logits, labels] = samples;
  const auto index = labels.unsqueeze(1);
  const auto own = logits.gather(1, index);
  const auto lower_class = at::arange(logits.size(1), labels.options()).unsqueeze(0).lt(index);
  const auto before = logits.gt(own).logical_or(logits.eq(own).logical_and(lower_class));
  // A NaN is higher than any number, as for topk.
  const auto first = before.logical_or(logits.isnan()).sum(1);
  return at::where(own.squeeze(1).isnan(), at::full_like(first, logits.size(1)), first);
}

double count_below(const torch::Tensor& numbers, int64_t limit) {
  return static_cast<double>(numbers.lt(limit).sum().item<int64_t>());
}

}  // namespace

void MeanLoss::add(double sum, double weight) {
  if (!(weight >= 0) || !std::isfinite(weight)) {
    std::ostringstream got;
    got << weight;
    throw UsageError(kMetricWhere, "weight", "a number of at least 0", got.str());
  }
  sum_ += sum;
  weight_ += weight;
}

torch::Tensor MeanLoss::rows() const { return one_row({sum_, weight_}); }

void MeanLoss::set_rows(const torch::Tensor& rows) {
  const auto sums = column_sums(rows, 2);
  sum_ = sums[0];
  weight_ = sums[1];
}

MetricValues MeanLoss::values() const { return {{"loss", share(sum_, weight_)}}; }

void ClassificationAccuracy::add(const torch::Tensor& logits, const torch::Tensor& labels) {
  const auto samples = labelled(logits, labels, 2);
  const auto before = classes_before(samples);
  top1_ += count_below(before, 1);
  // With fewer than five classes a label that is NaN is wrong all the same.
  top5_ += count_below(before, std::min<int64_t>(5, logits.size(1)));
  samples_ += static_cast<double>(before.numel());
}

torch::Tensor ClassificationAccuracy::rows() const { return one_row({top1_, top5_, samples_}); }

void ClassificationAccuracy::set_rows(const torch::Tensor& rows) {
  const auto sums = column_sums(rows, 3);
  top1_ = sums[0];
  top5_ = sums[1];
  samples_ = sums[2];
}

MetricValues ClassificationAccuracy::values() const {
  return {{"top1", share(top1_, samples_)}, {"top5", share(top5_, samples_)}};
}

ConfusionMatrix::ConfusionMatrix(int64_t classes) {
  if (classes < 1 || classes > kMostClasses) {
    throw UsageError(kMetricWhere,
                     "classes",
                     "1 to " + std::to_string(kMostClasses) + " classes",
                     std::to_string(classes));
  }
  matrix_ = at::zeros({classes, classes}, torch::kInt64);
}

void ConfusionMatrix::add(const torch::Tensor& logits, const torch::Tensor& labels) {
  const auto [values, indices] = labelled(logits, labels, 2);
  const auto classes = matrix_.size(0);
  if (values.size(1) != classes) {
    throw ShapeError(kMetricWhere,
                     "logits",
                     std::to_string(classes) + " classes",
                     std::to_string(values.size(1)));
  }
  if (values.isnan().any().item<bool>()) {
    throw UsageError(kMetricWhere, "logits", "numbers", "NaN");
  }
  // [N] pairs as positions in the flat matrix.
  const auto pairs = (indices * classes + values.argmax(1)).cpu();
  matrix_.flatten().index_add_(0, pairs, at::ones_like(pairs));
}

torch::Tensor ConfusionMatrix::rows() const {
  const auto pairs = matrix_.nonzero();  // [n, 2]
  const auto counts =
      matrix_.flatten().index_select(0, pairs.select(1, 0) * matrix_.size(0) + pairs.select(1, 1));
  return at::cat({pairs, counts.unsqueeze(1)}, 1).to(torch::kFloat64);
}

void ConfusionMatrix::set_rows(const torch::Tensor& rows) {
  const auto classes = matrix_.size(0);
  const auto entries = checked_rows(rows, 3).to(torch::kInt64);
  const auto pairs = entries.narrow(1, 0, 2);
  if (entries.lt(0).any().item<bool>() || pairs.ge(classes).any().item<bool>()) {
    throw ShapeError(
        kMetricWhere, "rows", "labels, predictions and counts", "numbers out of range");
  }
  const auto positions = pairs.select(1, 0) * classes + pairs.select(1, 1);
  auto matrix = at::zeros({classes * classes}, torch::kInt64);
  matrix.index_add_(0, positions, entries.select(1, 2).contiguous());
  // [classes^2] -> [classes, classes]
  matrix_ = matrix.view({classes, classes});
}

MetricValues ConfusionMatrix::values() const {
  const auto samples = matrix_.sum(1).to(torch::kFloat64);
  const auto found = matrix_.diagonal().to(torch::kFloat64) / samples.clamp_min(1);
  const auto occurring = static_cast<double>(samples.gt(0).sum().item<int64_t>());
  return {{"mean_class_accuracy", share(found.sum().item<double>(), occurring)}};
}

void EndPointError::add(const torch::Tensor& flow,
                        const torch::Tensor& target,
                        const torch::Tensor& valid) {
  const torch::NoGradGuard no_grad;
  const auto pair = valid_flow(flow, target, valid, kMetricWhere);
  const auto distance = pair.distance().to(torch::kFloat64);
  const auto length = at::linalg_vector_norm(pair.target, 2, {-1});
  sum_ += distance.sum().item<double>();
  const auto outliers = distance.gt(3.0).logical_and(distance.gt(0.05 * length));
  outliers_ += static_cast<double>(outliers.sum().item<int64_t>());
  pixels_ += static_cast<double>(distance.numel());
}

torch::Tensor EndPointError::rows() const { return one_row({sum_, outliers_, pixels_}); }

void EndPointError::set_rows(const torch::Tensor& rows) {
  const auto sums = column_sums(rows, 3);
  sum_ = sums[0];
  outliers_ = sums[1];
  pixels_ = sums[2];
}

MetricValues EndPointError::values() const {
  return {{"end_point_error", share(sum_, pixels_)}, {"outliers", share(outliers_, pixels_)}};
}

void MaskedTokenAccuracy::add(const torch::Tensor& logits, const torch::Tensor& labels) {
  const auto before = classes_before(labelled(logits, labels, 3));
  right_ += count_below(before, 1);
  masked_ += static_cast<double>(before.numel());
}

torch::Tensor MaskedTokenAccuracy::rows() const { return one_row({right_, masked_}); }

void MaskedTokenAccuracy::set_rows(const torch::Tensor& rows) {
  const auto sums = column_sums(rows, 2);
  right_ = sums[0];
  masked_ = sums[1];
}

MetricValues MaskedTokenAccuracy::values() const {
  return {{"masked_accuracy", share(right_, masked_)}};
}

}  // namespace vizoo
