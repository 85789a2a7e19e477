#pragma once

#include <cmath>
#include <string>

#include <opencv2/core.hpp>

#include "vizoo/tasks/draw_curve.h"

namespace vizoo {

// What the parts of `draw_curves` share.

/// The picture is drawn this much larger and made smaller: smooth lines and letters.
constexpr int kCurveScale = 2;

/// Where the axes of a panel begin, in pixels of the finished picture.
constexpr int kCurveLeftMargin = 66;

constexpr double kCurveTitleSize = 0.5;  ///< of letters

/// Whether a value can be drawn.
inline bool is_shown(double value) { return std::abs(value) < 1e100; }

/// The text that the font can show: one `?` for each code point that is not ASCII; cut where it is
/// long.
std::string curve_text(const std::string& text);

/// Writes text in the large picture.
void put_curve_text(cv::Mat& picture,
                    const std::string& text,
                    cv::Point baseline,
                    double size,
                    const cv::Scalar& color);

/// Draws one panel, its axis of steps from `first_step` to `last_step`. `place`: in the large
/// picture.
void draw_curve_panel(cv::Mat& picture,
                      const CurvePanel& panel,
                      const cv::Rect& place,
                      double first_step,
                      double last_step);

}  // namespace vizoo
