#include "vizoo/tasks/draw_flow.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <opencv2/imgproc.hpp>

#include "vizoo/core/constants.h"
#include "vizoo/core/error.h"

namespace vizoo {
namespace {

using Color = std::array<double, 3>;  // red, green and blue in [0, 1]

constexpr double kUnknown = 1e9;
constexpr double kNotebookRange = 24.0;
constexpr int kHues = 55;

// Ramps of the published wheel: from red to yellow in 15 steps, and so on around.
std::array<Color, kHues> make_wheel() {
  struct Ramp {
    int steps;
    std::array<int, 3> from;
    std::array<int, 3> slope;
  };
  constexpr std::array<Ramp, 6> kRamps = {{{15, {255, 0, 0}, {0, 1, 0}},
                                           {6, {255, 255, 0}, {-1, 0, 0}},
                                           {4, {0, 255, 0}, {0, 0, 1}},
                                           {11, {0, 255, 255}, {0, -1, 0}},
                                           {13, {0, 0, 255}, {1, 0, 0}},
                                           {6, {255, 0, 255}, {0, 0, -1}}}};
  std::array<Color, kHues> wheel{};
  std::size_t hue = 0;
  for (const auto& ramp : kRamps) {
    for (int i = 0; i < ramp.steps; ++i, ++hue) {
      const int level = 255 * i / ramp.steps;
      for (std::size_t c = 0; c < 3; ++c) {
        wheel[hue][c] = (ramp.from[c] + ramp.slope[c] * level) / 255.0;
      }
    }
  }
  return wheel;
}

uint8_t color_byte(double value) { return static_cast<uint8_t>(std::clamp(value, 0.0, 255.0)); }

// x and y: in units of the length that has the full colour.
cv::Vec3b middlebury_color(double x, double y) {
  static const auto wheel = make_wheel();
  const double radius = std::hypot(x, y);
  const double place = (std::atan2(-y, -x) / kPi + 1.0) / 2.0 * (kHues - 1);
  const auto low = std::min<std::size_t>(static_cast<std::size_t>(place), kHues - 1);
  const auto high = (low + 1) % kHues;
  const double share = place - static_cast<double>(low);
  cv::Vec3b color;
  for (std::size_t c = 0; c < 3; ++c) {
    const double pure = (1.0 - share) * wheel[low][c] + share * wheel[high][c];
    const double value = radius <= 1.0 ? 1.0 - radius * (1.0 - pure) : 0.75 * pure;
    color[static_cast<int>(c)] = color_byte(std::floor(255.0 * value));
  }
  return color;
}

// Hue in [0, 180] and saturation in [0, 255], both cut to bytes as the notebook does.
cv::Vec3b hsv_color(double x, double y) {
  double angle = std::atan2(y, x);
  if (angle < 0.0) angle += 2.0 * kPi;
  const double hue = std::floor(angle / (2.0 * kPi) * 180.0) * 6.0 / 180.0;
  const double saturation = std::floor(std::min(std::hypot(x, y) * 255.0, 255.0)) / 255.0;
  const double fraction = hue - std::floor(hue);
  const double p = 1.0 - saturation;
  const double q = 1.0 - saturation * fraction;
  const double t = 1.0 - saturation * (1.0 - fraction);
  const std::array<Color, 6> sextants = {
      {{1, t, p}, {q, 1, p}, {p, 1, t}, {p, q, 1}, {t, p, 1}, {1, p, q}}};
  const auto& chosen = sextants[static_cast<std::size_t>(hue) % 6];
  return {color_byte(std::round(255.0 * chosen[0])),
          color_byte(std::round(255.0 * chosen[1])),
          color_byte(std::round(255.0 * chosen[2]))};
}

cv::Vec3b color_of(double x, double y, FlowColors colors) {
  if (colors == FlowColors::middlebury) return middlebury_color(x, y);
  auto color = hsv_color(x, y);
  if (colors == FlowColors::notebook) std::swap(color[0], color[2]);
  return color;
}

bool is_known(float x, float y) { return std::abs(x) <= kUnknown && std::abs(y) <= kUnknown; }

torch::Tensor checked(const torch::Tensor& flow) {
  const bool fits = flow.defined() && flow.dim() == 3 && flow.size(2) == 2 && flow.numel() > 0 &&
                    flow.is_floating_point() && flow.size(0) <= INT32_MAX &&
                    flow.size(1) <= INT32_MAX;
  if (!fits) {
    throw ShapeError("flow",
                     "flow",
                     "floating point [H, W, 2]",
                     flow.defined() ? flow.toString() + " of another shape" : "none");
  }
  return flow.detach().to(torch::kCPU, torch::kFloat32).contiguous();
}

// The length that has the full colour. The wheel's has 1e-5 more, so that none is beyond it.
double full_length(const torch::Tensor& flow, const FlowPictureOptions& options) {
  const double length = options.max_flow();
  if (!(length >= 0.0) || !std::isfinite(length)) {
    throw UsageError("flow", "max_flow", "a length of at least 0", std::to_string(length));
  }
  if (length > 0.0) return length;
  return options.colors() == FlowColors::middlebury ? longest_flow(flow) + 1e-5 : kNotebookRange;
}

cv::Mat colors_of(const torch::Tensor& flow, FlowColors colors, double full) {
  const float* values = flow.const_data_ptr<float>();
  cv::Mat picture(static_cast<int>(flow.size(0)), static_cast<int>(flow.size(1)), CV_8UC3);
  for (int row = 0; row < picture.rows; ++row) {
    auto* pixels = picture.ptr<cv::Vec3b>(row);
    for (int column = 0; column < picture.cols; ++column, values += 2) {
      pixels[column] = is_known(values[0], values[1])
                           ? color_of(values[0] / full, values[1] / full, colors)
                           : cv::Vec3b(0, 0, 0);
    }
  }
  return picture;
}

// All displacements up to 1, where they point to.
cv::Mat draw_wheel(int radius, FlowColors colors) {
  const int side = 2 * radius + 1;
  cv::Mat wheel(side, side, CV_8UC3, cv::Scalar::all(255));
  for (int y = -radius; y <= radius; ++y) {
    for (int x = -radius; x <= radius; ++x) {
      if (x * x + y * y > radius * radius) continue;
      wheel.at<cv::Vec3b>(y + radius, x + radius) =
          color_of(static_cast<double>(x) / radius, static_cast<double>(y) / radius, colors);
    }
  }
  return wheel;
}

}  // namespace

double longest_flow(const torch::Tensor& flow) {
  const auto table = checked(flow);
  const float* values = table.const_data_ptr<float>();
  double longest = 0.0;
  for (int64_t i = 0; i + 1 < table.numel(); i += 2) {
    if (is_known(values[i], values[i + 1])) {
      longest = std::max(longest, std::hypot(double{values[i]}, double{values[i + 1]}));
    }
  }
  return longest;
}

cv::Mat flow_colors(const torch::Tensor& flow, const FlowPictureOptions& options) {
  const auto table = checked(flow);
  return colors_of(table, options.colors(), full_length(table, options));
}

cv::Mat draw_flow(const torch::Tensor& flow, const FlowPictureOptions& options) {
  const auto table = checked(flow);
  const double full = full_length(table, options);
  const auto colors = colors_of(table, options.colors(), full);

  constexpr int kFont = cv::FONT_HERSHEY_SIMPLEX;
  const int radius = std::clamp(std::min(colors.rows, colors.cols) / 8, 24, 400);
  const int margin = std::max(4, radius / 6);
  const double scale = radius / 55.0;
  const int stroke = std::max(1, radius / 50);
  char text[32];
  std::snprintf(text, sizeof(text), "%.3g px", full);
  const auto letters = cv::getTextSize(text, kFont, scale, stroke, nullptr);
  const int stripe = std::max(2 * radius + 1, letters.width) + 2 * margin;
  const int least = 2 * radius + 1 + letters.height + 3 * margin;

  cv::Mat picture(
      std::max(colors.rows, least), colors.cols + stripe, CV_8UC3, cv::Scalar::all(255));
  colors.copyTo(picture(cv::Rect(0, 0, colors.cols, colors.rows)));
  const auto wheel = draw_wheel(radius, options.colors());
  const int middle = colors.cols + stripe / 2;
  wheel.copyTo(picture(cv::Rect(middle - radius, margin, wheel.cols, wheel.rows)));
  cv::circle(picture, {middle, margin + radius}, radius + 1, cv::Scalar::all(0), 1, cv::LINE_AA);
  cv::putText(picture,
              text,
              {middle - letters.width / 2, 2 * margin + wheel.rows + letters.height},
              kFont,
              scale,
              cv::Scalar::all(0),
              stroke,
              cv::LINE_AA);
  return picture;
}

}  // namespace vizoo
