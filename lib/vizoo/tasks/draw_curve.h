#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <opencv2/core.hpp>

#include "vizoo/nn/torch.h"

namespace vizoo {

/// Values over the steps of a run.
struct Curve {
  std::string name;            ///< for the legend; what the built-in font lacks becomes `?`
  std::vector<double> steps;   ///< ascending, finite
  std::vector<double> values;  ///< one for each step; those that are not finite are gaps
  int64_t color = 0;           ///< index into the colours
  bool is_noisy = false;       ///< thin as it is, thick where it goes on average
  bool has_markers = false;    ///< a dot at each value: for few that are far apart
};

/// Curves of one quantity, with axes of their own.
struct CurvePanel {
  std::string title;                ///< the quantity and its unit: "end-point error (pixels)"
  std::vector<Curve> curves;        ///< from the first, which lies undermost
  bool may_be_logarithmic = false;  ///< whether a range of more than two decades may be shown so
};

/// Options of `draw_curves`.
struct CurvePictureOptions {
  /// Width in pixels, 400 to 8000.
  TORCH_ARG(int64_t, width) = 1200;
  /// Height of the first panel in pixels, 200 to 4000; the others have 3/4 of it.
  TORCH_ARG(int64_t, panel_height) = 420;
  /// A line over all panels; none if empty.
  TORCH_ARG(std::string, title) = "";
};

/// A picture of the panels, the first over the whole width and the others in two columns below it:
/// axes with ticks, a legend with each curve's last value where there is most room, a logarithmic
/// axis where the values ask for it and the panel allows it. 8-bit, RGB. Throws UsageError if there
/// is no finite value, a curve has another number of values than of steps, steps that are not
/// finite or descend, or an option is out of its range.
cv::Mat draw_curves(const std::vector<CurvePanel>& panels, const CurvePictureOptions& options = {});

/// The debiased exponential moving average of a curve's values over about a fiftieth of them (5 to
/// 200 values):
///   mean_i = sum_j (1 - a)^(i - j) value_j / sum_j (1 - a)^(i - j), j <= i, a = 2 / (window + 1).
/// What is not finite is passed over and stays as it is.
std::vector<double> smoothed(const std::vector<double>& values);

}  // namespace vizoo
