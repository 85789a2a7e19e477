#include "vizoo/tasks/draw_detections.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <numeric>
#include <opencv2/imgproc.hpp>

#include "vizoo/core/error.h"

namespace vizoo {
namespace {

constexpr int kFont = cv::FONT_HERSHEY_SIMPLEX;
constexpr double kFontHeight = 21.0;  // of a capital letter at scale 1, in pixels
constexpr std::size_t kMaxLabelLetters = 60;

// Sizes that go with the image.
struct Style {
  explicit Style(const cv::Mat& image) {
    const double side = std::sqrt(static_cast<double>(image.rows) * image.cols);
    line = std::clamp(static_cast<int>(std::lround(side / 300)), 2, 12);
    font_scale = std::clamp(side / 40, 9.0, 90.0) / kFontHeight;
    stroke = std::max(1, static_cast<int>(std::lround(font_scale * 1.6)));
    margin = std::max(2, static_cast<int>(std::lround(font_scale * 7)));
  }

  int line;  // width in pixels
  double font_scale;
  int stroke;
  int margin;  // around the text
};

struct Label {
  std::string text;
  cv::Rect place;  // of the filled box
  cv::Point baseline;
};

cv::Scalar scalar(const std::array<uint8_t, 3>& color) {
  return cv::Scalar(color[0], color[1], color[2]);
}

// Black or white, whichever stands out more.
cv::Scalar text_color(const std::array<uint8_t, 3>& color) {
  const double luminance = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2];
  return luminance > 130 ? cv::Scalar::all(0) : cv::Scalar::all(255);
}

// What the font can show: one `?` for each other code point.
std::string printable_ascii(const std::string& label) {
  std::string text;
  for (const char letter : label) {
    const auto byte = static_cast<unsigned char>(letter);
    if ((byte & 0xC0U) == 0x80U) continue;  // continues a code point
    text += byte >= 0x20U && byte < 0x7FU ? letter : '?';
  }
  if (text.size() > kMaxLabelLetters) text = text.substr(0, kMaxLabelLetters - 3) + "...";
  return text;
}

std::string caption(const LabelledBox& box) {
  char score[16];
  std::snprintf(score, sizeof(score), "%.2f", box.score);
  const auto text = printable_ascii(box.label);
  return text.empty() ? score : text + " " + score;
}

bool is_visible(const LabelledBox& box, const cv::Mat& image) {
  const auto& [left, top, right, bottom] = box.box;
  const auto finite = [](double value) { return std::isfinite(value); };
  return std::all_of(box.box.begin(), box.box.end(), finite) && left <= right && top <= bottom &&
         right >= 0 && bottom >= 0 && left < image.cols && top < image.rows;
}

// The corners as the lines run; what is far outside stays just outside.
cv::Rect frame(const LabelledBox& box, const cv::Mat& image, int line) {
  const auto inside = [line](double value, int size) {
    return static_cast<int>(std::lround(std::clamp(value, -2.0 * line, size - 1 + 2.0 * line)));
  };
  const cv::Point corner(inside(box.box[0], image.cols), inside(box.box[1], image.rows));
  const cv::Point other(inside(box.box[2], image.cols), inside(box.box[3], image.rows));
  return cv::Rect(corner, other + cv::Point(1, 1));
}

cv::Rect moved_into(cv::Rect rectangle, const cv::Mat& image) {
  rectangle.x = std::max(0, std::min(rectangle.x, image.cols - rectangle.width));
  rectangle.y = std::max(0, std::min(rectangle.y, image.rows - rectangle.height));
  return rectangle;
}

// Above the box, else inside or below it: the first place that no other label has taken.
cv::Rect find_place(const cv::Rect& box,
                    const cv::Size& size,
                    const cv::Mat& image,
                    const std::vector<cv::Rect>& taken) {
  const int right = box.x + box.width - size.width;
  const int bottom = box.y + box.height;
  const cv::Point corners[] = {{box.x, box.y - size.height},
                               {box.x, box.y},
                               {right, box.y - size.height},
                               {box.x, bottom},
                               {right, bottom},
                               {box.x, bottom - size.height},
                               {right, box.y}};
  for (const auto& corner : corners) {
    const auto place = moved_into(cv::Rect(corner, size), image);
    const auto meets = [&](const cv::Rect& other) { return (other & place).area() > 0; };
    if (std::none_of(taken.begin(), taken.end(), meets)) return place;
  }
  return moved_into(cv::Rect(corners[0], size), image);
}

Label make_label(const LabelledBox& labelled,
                 const cv::Mat& image,
                 const Style& style,
                 const std::vector<cv::Rect>& taken) {
  Label label;
  label.text = caption(labelled);
  int below = 0;
  const auto text = cv::getTextSize(label.text, kFont, style.font_scale, style.stroke, &below);
  below += style.stroke;
  const cv::Size size(text.width + 2 * style.margin, text.height + below + style.margin);
  label.place = find_place(frame(labelled, image, style.line), size, image, taken);
  label.baseline = label.place.tl() + cv::Point(style.margin, style.margin + text.height - 1);
  return label;
}

}  // namespace

std::array<uint8_t, 3> box_color(int64_t index) {
  static constexpr std::array<std::array<uint8_t, 3>, 12> kColors = {{{230, 50, 50},
                                                                      {45, 105, 245},
                                                                      {255, 225, 40},
                                                                      {40, 165, 70},
                                                                      {170, 60, 215},
                                                                      {250, 120, 15},
                                                                      {30, 200, 215},
                                                                      {240, 90, 180},
                                                                      {200, 150, 100},
                                                                      {165, 225, 60},
                                                                      {130, 155, 255},
                                                                      {255, 180, 165}}};
  const auto count = static_cast<int64_t>(kColors.size());
  if (index >= 0 && index < count) return kColors[static_cast<std::size_t>(index)];
  // Hues by the golden section, in three shades.
  const double hue = std::fmod(static_cast<double>(index & 0xFFFF) * 0.6180339887, 1.0) * 6.0;
  const double value = 255.0 - 40.0 * static_cast<double>((index & 0xFFFF) % 3);
  const auto channel = [&](double shift) {
    const double distance = std::abs(std::fmod(hue + shift, 6.0) - 3.0);
    return static_cast<uint8_t>(value * (0.25 + 0.75 * std::clamp(distance - 1.0, 0.0, 1.0)));
  };
  return {channel(0.0), channel(4.0), channel(2.0)};
}

cv::Mat draw_boxes(const cv::Mat& image, const std::vector<LabelledBox>& boxes) {
  if (image.empty() || image.type() != CV_8UC3) {
    throw ImageError("image", "picture", "an 8-bit image of three channels", "another");
  }
  cv::Mat picture = image.clone();
  const Style style(picture);
  std::vector<std::size_t> order(boxes.size());  // best first
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return boxes[a].score > boxes[b].score;
  });
  const auto outside = [&](std::size_t i) { return !is_visible(boxes[i], picture); };
  order.erase(std::remove_if(order.begin(), order.end(), outside), order.end());

  std::vector<Label> labels;
  std::vector<cv::Rect> taken;
  for (const auto i : order) {
    labels.push_back(make_label(boxes[i], picture, style, taken));
    taken.push_back(labels.back().place);
  }
  for (auto i = order.rbegin(); i != order.rend(); ++i) {
    const auto rectangle = frame(boxes[*i], picture, style.line);
    cv::rectangle(picture, rectangle, cv::Scalar::all(0), style.line + 2);
    cv::rectangle(picture, rectangle, scalar(box_color(boxes[*i].color)), style.line);
  }
  for (std::size_t k = order.size(); k-- > 0;) {
    const auto color = box_color(boxes[order[k]].color);
    const auto& label = labels[k];
    cv::rectangle(picture, label.place, scalar(color), cv::FILLED);
    cv::rectangle(picture, label.place, cv::Scalar::all(0), 1);
    cv::putText(picture,
                label.text,
                label.baseline,
                kFont,
                style.font_scale,
                text_color(color),
                style.stroke,
                cv::LINE_AA);
  }
  return picture;
}

}  // namespace vizoo
