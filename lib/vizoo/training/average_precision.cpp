#include "vizoo/training/average_precision.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <string>

#include "vizoo/core/error.h"
#include "vizoo/nn/pretrained_model.h"
#include "vizoo/training/label_checks.h"
#include "vizoo/training/metric_rows.h"

namespace vizoo {
namespace {

constexpr const char* kPrecisionWhere = "metric";
constexpr int64_t kColumns = 9;
constexpr std::size_t kThresholds = 10;
constexpr std::size_t kRecalls = 101;
constexpr std::size_t kSizes = 4;  // all, small, medium, large
constexpr std::array<std::size_t, 3> kMostDetections = {1, 10, 100};
constexpr std::array<std::array<double, 2>, kSizes> kAreas = {
    {{0.0, 1e10}, {0.0, 1024.0}, {1024.0, 9216.0}, {9216.0, 1e10}}};
// Keeps 0 / 0 from being NaN; numpy.spacing(1).
constexpr double kTiny = 2.220446049250313e-16;

struct Box {
  double left, top, right, bottom;
  double area;
};

struct Detection {
  Box box;
  double score;
};

struct Truth {
  Box box;
  bool crowd;
};

// One class in one image.
struct Scene {
  std::vector<Detection> detections;  // highest score first, at most 100
  std::vector<Truth> truths;
};

// A detection of any image: per threshold whether it took a box, and whether it counts.
struct Judgement {
  double score;
  std::array<bool, kThresholds> matched;
  std::array<bool, kThresholds> ignored;
};

// As numpy.linspace makes them, so that equality falls the same way.
double threshold(std::size_t index) {
  constexpr double kStep = (0.95 - 0.5) / 9;
  return index == kThresholds - 1 ? 0.95 : static_cast<double>(index) * kStep + 0.5;
}

double recall_level(std::size_t index) {
  constexpr double kStep = 1.0 / 100;
  return index == kRecalls - 1 ? 1.0 : static_cast<double>(index) * kStep;
}

double overlap_of(const Box& found, const Truth& truth) {
  const double width =
      std::min(found.right, truth.box.right) - std::max(found.left, truth.box.left);
  const double height =
      std::min(found.bottom, truth.box.bottom) - std::max(found.top, truth.box.top);
  if (width <= 0 || height <= 0) return 0.0;
  const double own = (found.right - found.left) * (found.bottom - found.top);
  const double other = (truth.box.right - truth.box.left) * (truth.box.bottom - truth.box.top);
  const double common = width * height;
  return common / (truth.crowd ? own : own + other - common);
}

bool outside(double area, std::size_t size) {
  return area < kAreas[size][0] || area > kAreas[size][1];
}

// What the detections of one scene are worth for one size class; adds the boxes to be found to
// `wanted`.
std::vector<Judgement> judge(const Scene& scene, std::size_t size, double& wanted) {
  // Boxes that count first: a detection takes one that does not only if none that does fits.
  std::vector<std::pair<Truth, bool>> truths;  // and whether it is ignored
  for (const bool ignored : {false, true}) {
    for (const auto& truth : scene.truths) {
      if ((truth.crowd || outside(truth.box.area, size)) == ignored) {
        truths.emplace_back(truth, ignored);
      }
    }
  }
  for (const auto& truth : truths) wanted += truth.second ? 0 : 1;

  std::vector<Judgement> judgements;
  for (const auto& detection : scene.detections) {
    judgements.push_back({detection.score, {}, {}});
  }
  std::vector<double> overlaps;  // of each detection with each box
  for (const auto& detection : scene.detections) {
    for (const auto& truth : truths) overlaps.push_back(overlap_of(detection.box, truth.first));
  }
  for (std::size_t t = 0; t < kThresholds; ++t) {
    std::vector<bool> taken(truths.size(), false);
    for (std::size_t d = 0; d < judgements.size(); ++d) {
      double best = std::min(threshold(t), 1 - 1e-10);
      std::size_t match = truths.size();
      for (std::size_t g = 0; g < truths.size(); ++g) {
        const auto& [truth, ignored] = truths[g];
        if (taken[g] && !truth.crowd) continue;
        if (match < truths.size() && !truths[match].second && ignored) break;
        const double value = overlaps[d * truths.size() + g];
        if (value < best) continue;
        best = value;
        match = g;
      }
      auto& judgement = judgements[d];
      judgement.matched[t] = match < truths.size();
      if (judgement.matched[t]) {
        taken[match] = true;
        judgement.ignored[t] = truths[match].second;
      } else {
        judgement.ignored[t] = outside(scene.detections[d].box.area, size);
      }
    }
  }
  return judgements;
}

// Precision at each recall level and the last recall, for one threshold.
struct PrecisionRecallCurve {
  std::array<double, kRecalls> precision{};
  double recall = 0.0;
};

// judgements: highest score first.
PrecisionRecallCurve curve_of(const std::vector<Judgement>& judgements,
                              std::size_t t,
                              double wanted) {
  std::vector<double> recalls;
  std::vector<double> precisions;
  double right = 0;
  double wrong = 0;
  for (const auto& judgement : judgements) {
    if (!judgement.ignored[t]) (judgement.matched[t] ? right : wrong) += 1;
    recalls.push_back(right / wanted);
    precisions.push_back(right / (right + wrong + kTiny));
  }
  PrecisionRecallCurve curve;
  if (recalls.empty()) return curve;
  curve.recall = recalls.back();
  for (std::size_t i = precisions.size() - 1; i > 0; --i) {
    precisions[i - 1] = std::max(precisions[i - 1], precisions[i]);
  }
  for (std::size_t level = 0; level < kRecalls; ++level) {
    const auto at = std::lower_bound(recalls.begin(), recalls.end(), recall_level(level));
    if (at == recalls.end()) break;
    curve.precision[level] = precisions[static_cast<std::size_t>(at - recalls.begin())];
  }
  return curve;
}

struct Mean {
  double sum = 0;
  double count = 0;

  void add(double value) {
    sum += value;
    count += 1;
  }
  double value() const { return count > 0 ? sum / count : -1.0; }
};

// All means that `values` shows.
struct Summary {
  std::array<Mean, kSizes> precision;
  Mean precision50;
  Mean precision75;
  std::array<Mean, kMostDetections.size()> recall;
  std::array<Mean, kSizes> recall_of_size;
};

// Judgements of all scenes of a class, each with no more than `most` detections.
std::vector<Judgement> merge_scenes(const std::vector<std::vector<Judgement>>& scenes,
                                    std::size_t most) {
  std::vector<Judgement> merged;
  for (const auto& scene : scenes) {
    const auto count = static_cast<std::ptrdiff_t>(std::min(most, scene.size()));
    merged.insert(merged.end(), scene.begin(), scene.begin() + count);
  }
  std::stable_sort(merged.begin(), merged.end(), [](const Judgement& a, const Judgement& b) {
    return a.score > b.score;
  });
  return merged;
}

void add_class(const std::map<int64_t, Scene>& scenes, Summary& summary) {
  for (std::size_t size = 0; size < kSizes; ++size) {
    double wanted = 0;
    std::vector<std::vector<Judgement>> judged;
    for (const auto& scene : scenes) judged.push_back(judge(scene.second, size, wanted));
    if (wanted == 0) continue;
    for (std::size_t m = size == 0 ? 0 : kMostDetections.size() - 1; m < kMostDetections.size();
         ++m) {
      const auto merged = merge_scenes(judged, kMostDetections[m]);
      for (std::size_t t = 0; t < kThresholds; ++t) {
        const auto curve = curve_of(merged, t, wanted);
        if (size == 0) summary.recall[m].add(curve.recall);
        if (m + 1 < kMostDetections.size()) continue;
        summary.recall_of_size[size].add(curve.recall);
        for (const double precision : curve.precision) {
          summary.precision[size].add(precision);
          if (size == 0 && t == 0) summary.precision50.add(precision);
          if (size == 0 && t == 5) summary.precision75.add(precision);
        }
      }
    }
  }
}

// Rows sorted into classes and images.
std::map<int64_t, std::map<int64_t, Scene>> scenes_of(const torch::Tensor& rows) {
  std::map<int64_t, std::map<int64_t, Scene>> classes;
  const auto values = rows.accessor<double, 2>();
  for (int64_t n = 0; n < values.size(0); ++n) {
    const auto row = values[n];
    const Box box{row[2], row[3], row[4], row[5], row[8]};
    auto& scene = classes[static_cast<int64_t>(row[1])][static_cast<int64_t>(row[0])];
    if (std::isnan(row[6])) {
      scene.truths.push_back({box, row[7] != 0});
    } else {
      scene.detections.push_back({box, row[6]});
    }
  }
  for (auto& scenes : classes) {
    for (auto& scene : scenes.second) {
      auto& detections = scene.second.detections;
      std::stable_sort(detections.begin(), detections.end(), [](const auto& a, const auto& b) {
        return a.score > b.score;
      });
      if (detections.size() > kMostDetections.back()) {
        detections.erase(detections.begin() + kMostDetections.back(), detections.end());
      }
    }
  }
  return classes;
}

// [N] values of one column as float64 on the CPU.
torch::Tensor column(
    const torch::Tensor& tensor, bool fits, int64_t count, const char* name, const char* expected) {
  if (!fits || tensor.dim() != 1 || tensor.size(0) != count) {
    throw ShapeError(kPrecisionWhere,
                     name,
                     std::string(expected) + " of shape [" + std::to_string(count) + "]",
                     tensor.defined() ? describe_tensor(tensor) : "none");
  }
  const auto values = tensor.detach().to(torch::kCPU, torch::kFloat64);
  if (!values.isfinite().all().item<bool>()) {
    throw UsageError(kPrecisionWhere, name, "finite numbers", "NaN or infinity");
  }
  return values;
}

torch::Tensor floating(const torch::Tensor& tensor, int64_t count, const char* name) {
  const bool fits = tensor.defined() && tensor.is_floating_point();
  return column(tensor, fits, count, name, "floating-point values");
}

torch::Tensor classes_of(const torch::Tensor& labels, int64_t count, const char* name) {
  const auto values = column(labels, is_index(labels), count, name, "classes, int64");
  if (count > 0 && values.min().item<double>() < 0) {
    throw UsageError(
        kPrecisionWhere, name, "classes from 0", std::to_string(values.min().item<int64_t>()));
  }
  return values;
}

// [N, 4] as float64 on the CPU.
torch::Tensor checked_boxes(const torch::Tensor& boxes, const char* name) {
  if (!boxes.defined() || !boxes.is_floating_point() || boxes.dim() != 2 || boxes.size(1) != 4) {
    throw ShapeError(kPrecisionWhere,
                     name,
                     "floating-point values of shape [N, 4]",
                     boxes.defined() ? describe_tensor(boxes) : "none");
  }
  const auto values = boxes.detach().to(torch::kCPU, torch::kFloat64);
  if (!values.isfinite().all().item<bool>()) {
    throw UsageError(kPrecisionWhere, name, "finite numbers", "NaN or infinity");
  }
  return values;
}

torch::Tensor box_areas(const torch::Tensor& boxes) {
  return (boxes.select(1, 2) - boxes.select(1, 0)) * (boxes.select(1, 3) - boxes.select(1, 1));
}

// Columns of a row in order, each [N] or [N, k] -> [N, 9]
torch::Tensor make_rows(int64_t image,
                        const torch::Tensor& classes,
                        const torch::Tensor& boxes,
                        const torch::Tensor& scores,
                        const torch::Tensor& crowd,
                        const torch::Tensor& areas) {
  const auto images = at::full_like(classes, static_cast<double>(image));
  return at::cat({at::stack({images, classes}, 1), boxes, at::stack({scores, crowd, areas}, 1)}, 1);
}

}  // namespace

void AveragePrecision::add(int64_t image, const FoundBoxes& found, const TrueBoxes& truth) {
  if (image < 0)
    throw UsageError(kPrecisionWhere, "image", "a number from 0", std::to_string(image));
  const auto found_boxes = checked_boxes(found.boxes, "found.boxes");
  const auto found_count = found_boxes.size(0);
  const auto scores = floating(found.scores, found_count, "found.scores");
  const auto found_classes = classes_of(found.labels, found_count, "found.labels");

  const auto true_boxes = checked_boxes(truth.boxes, "truth.boxes");
  const auto true_count = true_boxes.size(0);
  const auto true_classes = classes_of(truth.labels, true_count, "truth.labels");
  auto crowd = at::zeros_like(true_classes);
  if (truth.crowd.defined()) {
    const bool fits = truth.crowd.scalar_type() == torch::kBool;
    crowd = column(truth.crowd, fits, true_count, "truth.crowd", "booleans");
  }
  const auto areas =
      truth.area.defined() ? floating(truth.area, true_count, "truth.area") : box_areas(true_boxes);
  rows_.push_back(make_rows(
      image, found_classes, found_boxes, scores, at::zeros_like(scores), box_areas(found_boxes)));
  rows_.push_back(
      make_rows(image, true_classes, true_boxes, at::full_like(true_classes, NAN), crowd, areas));
}

torch::Tensor AveragePrecision::rows() const {
  if (rows_.empty()) return at::empty({0, kColumns}, torch::kFloat64);
  return at::cat(rows_);
}

void AveragePrecision::set_rows(const torch::Tensor& rows) {
  rows_ = {checked_rows(rows, kColumns)};
}

MetricValues AveragePrecision::values() const {
  Summary summary;
  for (const auto& scenes : scenes_of(rows())) add_class(scenes.second, summary);
  return {{"AP", summary.precision[0].value()},
          {"AP50", summary.precision50.value()},
          {"AP75", summary.precision75.value()},
          {"AP_small", summary.precision[1].value()},
          {"AP_medium", summary.precision[2].value()},
          {"AP_large", summary.precision[3].value()},
          {"AR_1", summary.recall[0].value()},
          {"AR_10", summary.recall[1].value()},
          {"AR_100", summary.recall[2].value()},
          {"AR_small", summary.recall_of_size[1].value()},
          {"AR_medium", summary.recall_of_size[2].value()},
          {"AR_large", summary.recall_of_size[3].value()}};
}

}  // namespace vizoo
