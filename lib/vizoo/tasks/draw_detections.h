#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <opencv2/core.hpp>

namespace vizoo {

/// A box to be drawn.
struct LabelledBox {
  std::array<double, 4> box{};  ///< left, top, right, bottom in pixels; may reach out of the image
  std::string label;            ///< UTF-8; what the built-in font lacks (all but ASCII) becomes `?`
  double score = 0.0;           ///< boxes of higher score lie on top; written after the label
  int64_t color = 0;            ///< index into the colours: equal for boxes of one kind
};

/// `image` with the boxes drawn on it: in colours that differ by `color`, each line between two
/// dark ones and each label on a box of its colour, so that both can be read on light and on dark
/// ground. Labels keep clear of each other where there is room. image: 8-bit, RGB, unchanged. Boxes
/// that are not finite or lie outside of the image are left out. Throws ImageError for another
/// image.
cv::Mat draw_boxes(const cv::Mat& image, const std::vector<LabelledBox>& boxes);

/// Red, green and blue of a colour index; the first twelve are chosen, the others are spread.
std::array<uint8_t, 3> box_color(int64_t index);

}  // namespace vizoo
