#include "vizoo/tasks/draw_detections.h"

#include <cmath>
#include <limits>
#include <set>

#include "test/support/catch.h"
#include "vizoo/core/error.h"

namespace vizoo {
namespace {

cv::Mat plain(int height, int width, int value) {
  return cv::Mat(height, width, CV_8UC3, cv::Scalar::all(value));
}

bool same(const cv::Mat& a, const cv::Mat& b) {
  return a.size() == b.size() && std::equal(a.datastart, a.dataend, b.datastart);
}

int64_t count_color(const cv::Mat& image, const std::array<uint8_t, 3>& color) {
  int64_t count = 0;
  for (int y = 0; y < image.rows; ++y) {
    for (int x = 0; x < image.cols; ++x) {
      const auto& pixel = image.at<cv::Vec3b>(y, x);
      count += pixel[0] == color[0] && pixel[1] == color[1] && pixel[2] == color[2] ? 1 : 0;
    }
  }
  return count;
}

TEST_CASE("a box is drawn around its place in its colour, and the image stays") {
  const cv::Mat image = plain(200, 300, 128);
  const cv::Mat picture = draw_boxes(image, {{{50, 80, 150, 160}, "cat", 0.75, 1}});
  CHECK(same(image, plain(200, 300, 128)));
  const auto color = box_color(1);
  for (const auto& [x, y] : {std::pair{50, 120}, {150, 120}, {100, 160}}) {
    const auto& pixel = picture.at<cv::Vec3b>(y, x);
    CHECK(std::array<uint8_t, 3>{pixel[0], pixel[1], pixel[2]} == color);
  }
  // Dark on both sides of the line, nothing in the middle or outside.
  CHECK(picture.at<cv::Vec3b>(120, 48)[0] < 60);
  CHECK(picture.at<cv::Vec3b>(120, 52)[0] < 60);
  CHECK(picture.at<cv::Vec3b>(130, 100)[0] == 128);
  CHECK(picture.at<cv::Vec3b>(190, 290)[0] == 128);
  CHECK(count_color(picture, color) > 500);  // the line and the label's box
}

TEST_CASE("labels stay inside of the picture and clear of each other") {
  const cv::Mat image = plain(240, 320, 255);
  const std::vector<LabelledBox> boxes{{{-50, -50, 100, 100}, "above the edge", 0.9, 0},
                                       {{250, 200, 400, 300}, "below and right of it", 0.8, 2},
                                       {{-50, -50, 100, 100}, "the same place", 0.7, 4}};
  const cv::Mat picture = draw_boxes(image, boxes);
  for (const auto& box : boxes) CHECK(count_color(picture, box_color(box.color)) > 300);
}

TEST_CASE("the better box lies on top") {
  const cv::Mat image = plain(100, 100, 0);
  const std::vector<LabelledBox> boxes{{{20, 40, 80, 90}, "", 0.9, 0},
                                       {{20, 40, 80, 90}, "", 0.1, 1}};
  const auto pixel = draw_boxes(image, boxes).at<cv::Vec3b>(70, 20);
  CHECK(std::array<uint8_t, 3>{pixel[0], pixel[1], pixel[2]} == box_color(0));
}

TEST_CASE("boxes that cannot be seen are left out") {
  const cv::Mat image = plain(60, 80, 200);
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<LabelledBox> boxes{{{100, 0, 120, 20}, "a", 0.5, 0},
                                       {{0, -20, 10, -1}, "b", 0.5, 0},
                                       {{10, 10, 5, 20}, "c", 0.5, 0},
                                       {{std::nan(""), 0, 10, 10}, "d", 0.5, 0},
                                       {{0, 0, infinity, 10}, "e", 0.5, 0}};
  CHECK(same(draw_boxes(image, boxes), image));
  CHECK(same(draw_boxes(image, {}), image));
  // Far outside with one corner inside is drawn.
  CHECK_FALSE(same(draw_boxes(image, {{{-1e300, -1e300, 40, 30}, "f", 0.5, 0}}), image));
}

TEST_CASE("any label and any size of image can be drawn") {
  const std::string long_label(100000, 'x');
  const std::string other = "caf\xc3\xa9 \xe7\x8c\xab\n\x01\xff";
  for (const auto& [height, width] : {std::pair{1, 1}, {1, 500}, {500, 1}, {40, 40}}) {
    const cv::Mat picture =
        draw_boxes(plain(height, width, 90),
                   {{{0, 0, 30, 30}, long_label, 0.5, 0}, {{0, 0, 20, 20}, other, 0.4, 1}});
    CHECK(picture.rows == height);
    CHECK(picture.cols == width);
  }
  for (const cv::Mat& image : {cv::Mat(), cv::Mat(4, 4, CV_8UC1, cv::Scalar(0))}) {
    CHECK_THROWS_AS(draw_boxes(image, {}), ImageError);
  }
}

TEST_CASE("colours differ clearly") {
  std::set<std::array<uint8_t, 3>> seen;
  for (int64_t i = 0; i < 60; ++i) seen.insert(box_color(i));
  CHECK(seen.size() == 60);
  for (int64_t i = 0; i < 12; ++i) {
    for (int64_t j = 0; j < i; ++j) {
      int distance = 0;
      for (std::size_t c = 0; c < 3; ++c) {
        distance += std::abs(box_color(i)[c] - box_color(j)[c]);
      }
      CHECK(distance >= 100);
    }
  }
  box_color(-1);
  box_color(std::numeric_limits<int64_t>::max());
}

}  // namespace
}  // namespace vizoo
