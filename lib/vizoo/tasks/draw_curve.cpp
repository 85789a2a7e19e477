#include "vizoo/tasks/draw_curve.h"

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "vizoo/core/error.h"
#include "vizoo/tasks/draw_curve_panel.h"

namespace vizoo {
namespace {

constexpr int kBottomGap = 14;  // pixels of the finished picture
constexpr int kTitleHeight = 34;

// ---- Checks
// --------------------------------------------------------------------------------------

void check_curve_option(const char* name, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return;
  throw UsageError("picture",
                   name,
                   std::to_string(least) + " to " + std::to_string(most),
                   std::to_string(value));
}

void check_curve(const Curve& curve) {
  const auto fail = [&](const char* expected, const std::string& got) {
    throw UsageError("picture", "curve " + quote(curve.name), expected, got);
  };
  if (curve.steps.size() != curve.values.size()) {
    fail("a value for each step",
         std::to_string(curve.values.size()) + " for " + std::to_string(curve.steps.size()));
  }
  for (std::size_t i = 0; i < curve.steps.size(); ++i) {
    if (!(std::abs(curve.steps[i]) <= 1e15)) fail("steps below 1e15", "another");
    if (i > 0 && curve.steps[i] < curve.steps[i - 1]) fail("ascending steps", "a smaller one");
  }
}

struct Range {
  double low = INFINITY;
  double high = -INFINITY;

  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool is_empty() const { return low > high; }
};

Range step_range(const std::vector<CurvePanel>& panels) {
  Range range;
  for (const auto& panel : panels) {
    for (const auto& curve : panel.curves) {
      for (std::size_t i = 0; i < curve.steps.size(); ++i) {
        if (is_shown(curve.values[i])) range.add(curve.steps[i]);
      }
    }
  }
  return range;
}

// Places of the panels, in the finished picture's pixels, and its height.
std::vector<cv::Rect> lay_out(std::size_t count, const CurvePictureOptions& options, int& height) {
  const int width = static_cast<int>(options.width());
  const int first = static_cast<int>(options.panel_height());
  const int other = first * 3 / 4;
  int top = options.title().empty() ? 0 : kTitleHeight;
  std::vector<cv::Rect> places{{0, top, width, first}};
  top += first;
  for (std::size_t i = 1; i < count; i += 2) {
    const bool is_alone = i + 1 == count;
    places.emplace_back(0, top, is_alone ? width : width / 2, other);
    if (!is_alone) places.emplace_back(width / 2, top, width - width / 2, other);
    top += other;
  }
  height = top + kBottomGap;
  return places;
}

}  // namespace

std::vector<double> smoothed(const std::vector<double>& values) {
  const double window = std::clamp(static_cast<double>(values.size()) / 50.0, 5.0, 200.0);
  const double decay = 1.0 - 2.0 / (window + 1.0);
  double sum = 0.0;
  double weight = 0.0;
  std::vector<double> means;
  means.reserve(values.size());
  for (const double value : values) {
    if (!is_shown(value)) {
      means.push_back(value);
      continue;
    }
    sum = decay * sum + value;
    weight = decay * weight + 1.0;
    means.push_back(sum / weight);
  }
  return means;
}

cv::Mat draw_curves(const std::vector<CurvePanel>& panels, const CurvePictureOptions& options) {
  check_curve_option("width", options.width(), 400, 8000);
  check_curve_option("panel_height", options.panel_height(), 200, 4000);
  check_curve_option("panels", static_cast<int64_t>(panels.size()), 1, 32);
  for (const auto& panel : panels) {
    for (const auto& curve : panel.curves) check_curve(curve);
  }
  const auto steps = step_range(panels);
  if (steps.is_empty()) throw UsageError("picture", "curves", "a finite value", "none");

  int height = 0;
  const auto places = lay_out(panels.size(), options, height);
  cv::Mat picture(height * kCurveScale,
                  static_cast<int>(options.width()) * kCurveScale,
                  CV_8UC3,
                  cv::Scalar::all(255));
  if (!options.title().empty()) {
    put_curve_text(picture,
                   curve_text(options.title()),
                   {kCurveLeftMargin * kCurveScale, kTitleHeight * kCurveScale * 3 / 4},
                   1.2 * kCurveTitleSize,
                   cv::Scalar::all(30));
  }
  for (std::size_t i = 0; i < panels.size(); ++i) {
    const auto& place = places[i];
    const cv::Rect large(place.x * kCurveScale,
                         place.y * kCurveScale,
                         place.width * kCurveScale,
                         place.height * kCurveScale);
    draw_curve_panel(picture, panels[i], large, steps.low, steps.high);
  }
  cv::Mat finished;
  cv::resize(picture,
             finished,
             {picture.cols / kCurveScale, picture.rows / kCurveScale},
             0,
             0,
             cv::INTER_AREA);
  return finished;
}

}  // namespace vizoo
