#include "vizoo/tasks/draw_curve_panel.h"

#include <algorithm>
#include <array>
#include <opencv2/imgproc.hpp>

#include "vizoo/tasks/curve_axis.h"

namespace vizoo {
namespace {

constexpr int kCurveFont = cv::FONT_HERSHEY_SIMPLEX;
constexpr std::size_t kMaxNameLetters = 48;
constexpr int kSubpixelBits = 4;  // of the coordinates of lines
constexpr double kSmallestValue = 1e-100;

// Distances in pixels of the finished picture.
constexpr int kLeftMargin = kCurveLeftMargin;  // of a panel, for tick labels
constexpr int kRightMargin = 18;
constexpr int kTopMargin = 34;
constexpr int kBottomMargin = 42;
constexpr int kLegendLine = 20;
constexpr int kLegendSample = 26;  // length of the line beside a name
constexpr int kLegendPadding = 7;
constexpr double kTextSize = 0.42;

const cv::Scalar kText(30, 30, 30);
const cv::Scalar kGrey(95, 95, 95);
const cv::Scalar kFrame(150, 150, 150);
const cv::Scalar kGrid(225, 225, 225);
const cv::Scalar kFineGrid(240, 240, 240);

// Colours that people with any kind of colour vision tell apart (Okabe and Ito).
cv::Scalar curve_color(int64_t index) {
  static constexpr std::array<std::array<int, 3>, 8> kColors = {{{0, 114, 178},
                                                                 {213, 94, 0},
                                                                 {0, 158, 115},
                                                                 {204, 121, 167},
                                                                 {230, 159, 0},
                                                                 {86, 180, 233},
                                                                 {90, 90, 90},
                                                                 {150, 100, 40}}};
  const auto& color = kColors[static_cast<std::size_t>(index & 7)];
  return cv::Scalar(color[0], color[1], color[2]);
}

cv::Scalar lighter(const cv::Scalar& color) { return color * 0.35 + cv::Scalar::all(255) * 0.65; }

cv::Size text_size(const std::string& text, double size) {
  int below = 0;
  return cv::getTextSize(text, kCurveFont, size * kCurveScale, kCurveScale, &below);
}

struct LegendLine {
  std::string text;
  const Curve* curve;
};

class PanelPainter {
 public:
  // `place` in the picture, in its (large) pixels.
  PanelPainter(cv::Mat& picture,
               const CurvePanel& panel,
               const cv::Rect& place,
               double first_step,
               double last_step)
      : picture_(picture),
        panel_(panel),
        plot_(place.x + kLeftMargin * kCurveScale,
              place.y + kTopMargin * kCurveScale,
              place.width - (kLeftMargin + kRightMargin) * kCurveScale,
              place.height - (kTopMargin + kBottomMargin) * kCurveScale),
        steps_(CurveAxis::for_steps(first_step, last_step, plot_.width / (80 * kCurveScale))),
        values_(value_axis()) {}

  void paint() {
    paint_axes();
    for (const auto& curve : panel_.curves) paint_curve(curve);
    cv::rectangle(picture_, plot_, kFrame, kCurveScale);
    paint_legend();
  }

 private:
  CurveAxis value_axis() const {
    double low = INFINITY;
    double high = -INFINITY;
    for (const auto& curve : panel_.curves) {
      for (const double value : curve.values) {
        if (!is_shown(value)) continue;
        low = std::min(low, value);
        high = std::max(high, value);
      }
    }
    if (low > high) low = high = 0.0;
    const int ticks = std::max(2, plot_.height / (45 * kCurveScale));
    return CurveAxis::for_values(
        low, high, ticks, panel_.may_be_logarithmic && low > kSmallestValue);
  }

  double column(double step) const { return plot_.x + steps_.position(step) * plot_.width; }
  double row(double value) const {
    return plot_.y + (1.0 - values_.position(value)) * plot_.height;
  }

  void paint_axes() {
    const int text_gap = 6 * kCurveScale;
    for (const auto& tick : values_.ticks()) {
      const int y = static_cast<int>(std::lround(row(tick.value)));
      const auto& color = tick.label.empty() ? kFineGrid : kGrid;
      cv::line(picture_, {plot_.x, y}, {plot_.x + plot_.width, y}, color, kCurveScale);
      const auto size = text_size(tick.label, kTextSize);
      put_curve_text(picture_,
                     tick.label,
                     {plot_.x - text_gap - size.width, y + size.height / 2},
                     kTextSize,
                     kGrey);
    }
    const int bottom = plot_.y + plot_.height;
    for (const auto& tick : steps_.ticks()) {
      const int x = static_cast<int>(std::lround(column(tick.value)));
      cv::line(picture_, {x, plot_.y}, {x, bottom}, kGrid, kCurveScale);
      const auto size = text_size(tick.label, kTextSize);
      put_curve_text(picture_,
                     tick.label,
                     {x - size.width / 2, bottom + text_gap + size.height},
                     kTextSize,
                     kGrey);
    }
    const auto size = text_size("step", kTextSize);
    put_curve_text(
        picture_,
        "step",
        {plot_.x + (plot_.width - size.width) / 2, bottom + 2 * text_gap + 2 * size.height},
        kTextSize,
        kGrey);
    const std::string title =
        curve_text(panel_.title) + (values_.is_logarithmic() ? ", logarithmic" : "");
    put_curve_text(picture_, title, {plot_.x, plot_.y - 10 * kCurveScale}, kCurveTitleSize, kText);
  }

  cv::Point subpixel(double step, double value) const {
    constexpr double kUnit = 1 << kSubpixelBits;
    return {static_cast<int>(std::lround(column(step) * kUnit)),
            static_cast<int>(std::lround(row(value) * kUnit))};
  }

  // Of the points in one column of pixels only the first, the lowest, the highest and the last are
  // to be seen, so that a million steps are drawn as fast as a thousand.
  static std::vector<cv::Point> thinned(const std::vector<cv::Point>& points) {
    std::vector<cv::Point> kept;
    for (std::size_t begin = 0; begin < points.size();) {
      std::size_t end = begin;
      std::size_t low = begin;
      std::size_t high = begin;
      for (; end < points.size() &&
             points[end].x >> kSubpixelBits == points[begin].x >> kSubpixelBits;
           ++end) {
        if (points[end].y < points[low].y) low = end;
        if (points[end].y > points[high].y) high = end;
      }
      std::array<std::size_t, 4> chosen = {begin, low, high, end - 1};
      std::sort(chosen.begin(), chosen.end());
      for (std::size_t i = 0; i < chosen.size(); ++i) {
        if (i == 0 || chosen[i] != chosen[i - 1]) kept.push_back(points[chosen[i]]);
      }
      begin = end;
    }
    return kept;
  }

  void paint_line(const std::vector<double>& steps,
                  const std::vector<double>& values,
                  const cv::Scalar& color,
                  int thickness) {
    std::vector<cv::Point> points;
    for (std::size_t i = 0; i <= values.size(); ++i) {
      if (i < values.size() && is_shown(values[i])) {
        points.push_back(subpixel(steps[i], values[i]));
        continue;
      }
      points = thinned(points);
      if (points.size() == 1) points.push_back(points[0]);
      if (!points.empty()) {
        cv::polylines(picture_, points, false, color, thickness, cv::LINE_AA, kSubpixelBits);
      }
      points.clear();
    }
  }

  void paint_curve(const Curve& curve) {
    const auto color = curve_color(curve.color);
    if (curve.is_noisy) {
      paint_line(curve.steps, curve.values, lighter(color), kCurveScale);
      paint_line(curve.steps, smoothed(curve.values), color, 2 * kCurveScale);
    } else {
      paint_line(
          curve.steps, curve.values, color, curve.has_markers ? kCurveScale : 2 * kCurveScale);
    }
    if (!curve.has_markers) return;
    const int radius = curve.values.size() > 200 ? kCurveScale : 3 * kCurveScale;
    for (std::size_t i = 0; i < curve.values.size(); ++i) {
      if (is_shown(curve.values[i]))
        paint_marker(subpixel(curve.steps[i], curve.values[i]), color, radius);
    }
  }

  void paint_marker(const cv::Point& place, const cv::Scalar& color, int radius) {
    const int size = radius << kSubpixelBits;
    const int rim = kCurveScale << kSubpixelBits;
    cv::circle(picture_,
               place,
               size + rim / 2,
               cv::Scalar::all(255),
               cv::FILLED,
               cv::LINE_AA,
               kSubpixelBits);
    cv::circle(picture_, place, size, color, cv::FILLED, cv::LINE_AA, kSubpixelBits);
  }

  std::vector<LegendLine> legend() const {
    std::vector<LegendLine> lines;
    for (const auto& curve : panel_.curves) {
      const auto last = std::find_if(curve.values.rbegin(), curve.values.rend(), is_shown);
      const auto value = last == curve.values.rend() ? "no value" : "last " + short_number(*last);
      const auto name = curve_text(curve.name);
      lines.push_back({name.empty() ? value : name + ", " + value, &curve});
    }
    return lines;
  }

  // Values under a rectangle.
  int64_t covered(const cv::Rect& rectangle) const {
    int64_t count = 0;
    for (const auto& curve : panel_.curves) {
      // A thousand of them tell enough.
      const std::size_t stride = curve.values.size() / 1000 + 1;
      for (std::size_t i = 0; i < curve.values.size(); i += stride) {
        if (!is_shown(curve.values[i])) continue;
        const cv::Point place(static_cast<int>(column(curve.steps[i])),
                              static_cast<int>(row(curve.values[i])));
        count += rectangle.contains(place) ? static_cast<int64_t>(stride) : 0;
      }
    }
    return count;
  }

  // The corner in which the fewest values are covered.
  cv::Rect find_place(const cv::Size& size) const {
    const int margin = 8 * kCurveScale;
    const int right = plot_.x + plot_.width - size.width - margin;
    const int left = plot_.x + margin;
    const int top = plot_.y + margin;
    const int bottom = plot_.y + plot_.height - size.height - margin;
    const std::array<cv::Point, 4> corners = {
        {{right, top}, {right, bottom}, {left, top}, {left, bottom}}};
    const auto fewer = [&](const cv::Point& a, const cv::Point& b) {
      return covered({a, size}) < covered({b, size});
    };
    return {*std::min_element(corners.begin(), corners.end(), fewer), size};
  }

  void paint_legend() {
    const auto lines = legend();
    int width = 0;
    for (const auto& line : lines) width = std::max(width, text_size(line.text, kTextSize).width);
    const int padding = kLegendPadding * kCurveScale;
    const int sample = kLegendSample * kCurveScale;
    const int height = kLegendLine * kCurveScale;
    const auto place = find_place(
        {width + sample + 3 * padding, height * static_cast<int>(lines.size()) + padding});
    const auto visible = place & cv::Rect(0, 0, picture_.cols, picture_.rows);
    cv::Mat ground = picture_(visible);
    ground = ground * 0.2 + cv::Scalar::all(255) * 0.8;
    cv::rectangle(picture_, place, kGrid, kCurveScale);
    int middle = place.y + (padding + height) / 2;
    for (const auto& line : lines) {
      const auto color = curve_color(line.curve->color);
      const cv::Point begin(place.x + padding, middle);
      const int thickness = line.curve->has_markers ? kCurveScale : 2 * kCurveScale;
      cv::line(picture_, begin, begin + cv::Point(sample, 0), color, thickness, cv::LINE_AA);
      if (line.curve->has_markers) {
        const cv::Point center = begin + cv::Point(sample / 2, 0);
        paint_marker(center * (1 << kSubpixelBits), color, 3 * kCurveScale);
      }
      const auto size = text_size(line.text, kTextSize);
      put_curve_text(picture_,
                     line.text,
                     {place.x + 2 * padding + sample, middle + size.height / 2},
                     kTextSize,
                     kText);
      middle += height;
    }
  }

  cv::Mat& picture_;
  const CurvePanel& panel_;
  cv::Rect plot_;
  CurveAxis steps_;
  CurveAxis values_;
};

}  // namespace

std::string curve_text(const std::string& name) {
  std::string text;
  for (const char letter : name) {
    const auto byte = static_cast<unsigned char>(letter);
    if ((byte & 0xC0U) == 0x80U) continue;  // continues a code point
    text += byte >= 0x20U && byte < 0x7FU ? letter : '?';
  }
  if (text.size() > kMaxNameLetters) text = text.substr(0, kMaxNameLetters - 3) + "...";
  return text;
}

void put_curve_text(cv::Mat& picture,
                    const std::string& text,
                    cv::Point baseline,
                    double size,
                    const cv::Scalar& color) {
  cv::putText(
      picture, text, baseline, kCurveFont, size * kCurveScale, color, kCurveScale, cv::LINE_AA);
}

void draw_curve_panel(cv::Mat& picture,
                      const CurvePanel& panel,
                      const cv::Rect& place,
                      double first_step,
                      double last_step) {
  PanelPainter(picture, panel, place, first_step, last_step).paint();
}

}  // namespace vizoo
