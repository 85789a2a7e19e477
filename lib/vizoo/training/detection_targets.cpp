#include "vizoo/training/detection_targets.h"

#include <cmath>
#include <sstream>
#include <string>

#include "vizoo/core/error.h"
#include "vizoo/nn/describe.h"

namespace vizoo {
namespace {

constexpr const char* kDetectionWhere = "detection_loss";
// Thinner boxes would have an area that vanishes in float32, and an IoU of 0 / 0.
constexpr double kLeastSide = 1e-6;
// What rounding to whole pixels and half types may put outside of the square.
constexpr double kEdge = 1e-3;

void check_loss_option(const char* name, double value, bool fits, const char* expected) {
  if (fits) return;
  std::ostringstream got;
  got << value;
  throw UsageError(kDetectionWhere, name, expected, got.str());
}

void check_weight(const char* name, double value) {
  check_loss_option(name, value, std::isfinite(value) && value >= 0, "a number of at least 0");
}

void check_loss_options(const DetectionLossOptions& options) {
  const double alpha = options.focal_alpha();
  check_loss_option("focal_alpha", alpha, alpha >= 0 && alpha <= 1, "a number from 0 to 1");
  check_weight("focal_gamma", options.focal_gamma());
  check_weight("class_weight", options.class_weight());
  check_weight("bbox_weight", options.bbox_weight());
  check_weight("giou_weight", options.giou_weight());
}

void expect_tensor(bool fits,
                   const std::string& subject,
                   const std::string& expected,
                   const torch::Tensor& got) {
  if (!fits) throw ShapeError(kDetectionWhere, subject, expected, nn::describe(got));
}

void check_predictions(const torch::Tensor& logits, const torch::Tensor& pred_boxes) {
  expect_tensor(logits.defined() && logits.is_floating_point() && logits.dim() == 3,
                "logits",
                "floating-point values of each patch for each query, [B, P, Q]",
                logits);
  const auto batch = logits.size(0);
  const auto patches = logits.size(1);
  expect_tensor(pred_boxes.defined() && pred_boxes.is_floating_point() &&
                    pred_boxes.sizes() == torch::IntArrayRef({batch, patches, 4}),
                "pred_boxes",
                "floating-point values of shape [" + std::to_string(batch) + ", " +
                    std::to_string(patches) + ", 4]",
                pred_boxes);
  if (logits.device() != pred_boxes.device()) {
    throw ShapeError(kDetectionWhere,
                     "pred_boxes",
                     "the device of logits, " + logits.device().str(),
                     pred_boxes.device().str());
  }
  // NaN passes: it shows in the loss.
  if (pred_boxes.narrow(-1, 2, 2).lt(0).any().item<bool>()) {
    throw UsageError(kDetectionWhere,
                     "pred_boxes",
                     "widths and heights of at least 0",
                     "negative ones",
                     "Boxes are (centre x, centre y, width, height)");
  }
}

// The mask on the CPU, undefined if there is none.
torch::Tensor checked_mask(const torch::Tensor& mask, const torch::Tensor& logits) {
  if (!mask.defined()) return mask;
  const auto batch = logits.size(0);
  const auto queries = logits.size(2);
  expect_tensor(
      mask.scalar_type() == torch::kBool && mask.sizes() == torch::IntArrayRef({batch, queries}),
      "query_mask",
      "booleans of shape [" + std::to_string(batch) + ", " + std::to_string(queries) + "]",
      mask);
  return mask.cpu();
}

void check_loss_shapes(const DetectionTarget& target, const std::string& subject, int64_t patches) {
  const auto& [boxes, labels] = target;
  expect_tensor(
      boxes.defined() && boxes.is_floating_point() && boxes.dim() == 2 && boxes.size(1) == 4,
      subject + ".boxes",
      "floating-point values of shape [N, 4]",
      boxes);
  const auto count = boxes.size(0);
  expect_tensor(
      labels.defined() && labels.dim() == 1 && labels.size(0) == count &&
          (labels.scalar_type() == torch::kInt64 || labels.scalar_type() == torch::kInt32),
      subject + ".labels",
      "query indices, int64 [" + std::to_string(count) + "]",
      labels);
  if (count > patches) {
    throw ShapeError(kDetectionWhere,
                     subject + ".boxes",
                     "at most one box for each of " + std::to_string(patches) + " patches",
                     std::to_string(count) + " boxes");
  }
}

// boxes: float64 [N, 4] on the CPU.
void check_boxes(const torch::Tensor& boxes, const std::string& subject) {
  const auto rows = boxes.accessor<double, 2>();
  for (int64_t n = 0; n < rows.size(0); ++n) {
    const double x = rows[n][0];
    const double y = rows[n][1];
    const double width = rows[n][2];
    const double height = rows[n][3];
    const auto inside = [](double center, double side) {
      return center - side / 2 >= -kEdge && center + side / 2 <= 1 + kEdge;
    };
    const char* expected = nullptr;
    if (!(std::isfinite(x) && std::isfinite(y) && std::isfinite(width) && std::isfinite(height))) {
      expected = "finite numbers";
    } else if (width < kLeastSide || height < kLeastSide) {
      expected = "widths and heights of at least 1e-6";
    } else if (!inside(x, width) || !inside(y, height)) {
      expected = "boxes inside the square from 0 to 1";
    }
    if (expected == nullptr) continue;
    std::ostringstream got;
    got << "(" << x << ", " << y << ", " << width << ", " << height << ") in row " << n;
    throw UsageError(kDetectionWhere,
                     subject + ".boxes",
                     expected,
                     got.str(),
                     "Boxes are (centre x, centre y, width, height) relative to the padded square");
  }
}

// labels: int64 [N] on the CPU; mask: bool [Q] on the CPU or undefined.
void check_labels(const torch::Tensor& labels,
                  const torch::Tensor& mask,
                  int64_t queries,
                  const std::string& subject) {
  const auto values = labels.accessor<int64_t, 1>();
  for (int64_t n = 0; n < values.size(0); ++n) {
    const auto label = values[n];
    const auto got = [&] { return std::to_string(label) + " in row " + std::to_string(n); };
    if (label < 0 || label >= queries) {
      throw UsageError(kDetectionWhere,
                       subject + ".labels",
                       "indices of " + std::to_string(queries) + " queries",
                       got());
    }
    if (mask.defined() && !mask.const_data_ptr<bool>()[label]) {
      throw UsageError(
          kDetectionWhere, subject + ".labels", "queries that query_mask lets take part", got());
    }
  }
}

}  // namespace

CheckedTargets check_targets(const torch::Tensor& logits,
                             const torch::Tensor& pred_boxes,
                             const std::vector<DetectionTarget>& targets,
                             const DetectionLossOptions& options,
                             torch::ScalarType dtype) {
  check_loss_options(options);
  check_predictions(logits, pred_boxes);
  const auto mask = checked_mask(options.query_mask(), logits);
  const auto batch = logits.size(0);
  if (static_cast<int64_t>(targets.size()) != batch) {
    throw ShapeError(kDetectionWhere,
                     "targets",
                     "one for each of " + std::to_string(batch) + " images",
                     std::to_string(targets.size()));
  }

  CheckedTargets checked;
  std::vector<torch::Tensor> boxes{torch::empty({0, 4}, torch::kFloat64)};
  std::vector<torch::Tensor> labels{torch::empty({0}, torch::kInt64)};
  for (int64_t image = 0; image < batch; ++image) {
    const auto& target = targets[image];
    const auto subject = "targets[" + std::to_string(image) + "]";
    check_loss_shapes(target, subject, logits.size(1));
    boxes.push_back(target.boxes.detach().to(torch::kCPU, torch::kFloat64));
    labels.push_back(target.labels.to(torch::kCPU, torch::kInt64));
    check_boxes(boxes.back(), subject);
    check_labels(
        labels.back(), mask.defined() ? mask[image].contiguous() : mask, logits.size(2), subject);
    checked.counts.push_back(target.boxes.size(0));
  }
  const auto device = logits.device();
  checked.boxes = at::cat(boxes).to(device, dtype);
  checked.labels = at::cat(labels).to(device);
  checked.images = at::repeat_interleave(torch::tensor(checked.counts, torch::kInt64)).to(device);
  return checked;
}

}  // namespace vizoo
