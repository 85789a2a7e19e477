#include "vizoo/tasks/draw_flow.h"

#include <cmath>
#include <limits>

#include "test/support/catch.h"
#include "vizoo/core/error.h"

namespace vizoo {
namespace {

torch::Tensor one(float x, float y) { return torch::tensor({x, y}).reshape({1, 1, 2}); }

cv::Vec3b color(float x, float y, const FlowPictureOptions& options) {
  return flow_colors(one(x, y), options).at<cv::Vec3b>(0, 0);
}

TEST_CASE("the wheel has the published colours") {
  const auto options = FlowPictureOptions().max_flow(2.0);
  CHECK(color(0, 0, options) == cv::Vec3b(255, 255, 255));
  CHECK(color(2, 0, options) == cv::Vec3b(255, 0, 0));
  // The 27th of 55 hues, two steps from cyan to blue: 255 - 255 * 2 / 11.
  CHECK(color(-2, 0, options) == cv::Vec3b(0, 209, 255));
  CHECK(color(0, 2, options)[0] == 255);  // between the hues 13 and 14 of red to yellow
  CHECK(color(0, 2, options)[1] == 229);
  CHECK(color(0, 2, options)[2] == 0);
  CHECK(color(0, -2, options) == cv::Vec3b(88, 0, 255));    // between 40 and 41: 78 and 98
  CHECK(color(1, 0, options) == cv::Vec3b(255, 127, 127));  // half as far, half as saturated
  CHECK(color(4, 0, options) == cv::Vec3b(191, 0, 0));      // beyond
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(color(infinity, 0, options) == cv::Vec3b(0, 0, 0));
  CHECK(color(0, nan, options) == cv::Vec3b(0, 0, 0));
  CHECK(color(2e9F, 0, options) == cv::Vec3b(0, 0, 0));
}

TEST_CASE("the notebook's colours are those of 8-bit hue and saturation") {
  const auto hsv = FlowPictureOptions().colors(FlowColors::hsv);
  CHECK(color(24, 0, hsv) == cv::Vec3b(255, 0, 0));
  CHECK(color(12, 0, hsv) == cv::Vec3b(255, 128, 128));
  CHECK(color(-30, 0, hsv) == cv::Vec3b(0, 255, 255));
  CHECK(color(0, 24, hsv) == cv::Vec3b(128, 255, 0));  // hue 45 of 180
  const auto notebook = FlowPictureOptions().colors(FlowColors::notebook);
  CHECK(color(24, 0, notebook) == cv::Vec3b(0, 0, 255));
  CHECK(color(12, 0, FlowPictureOptions(notebook).max_flow(12)) == cv::Vec3b(0, 0, 255));
}

TEST_CASE("without a length the longest displacement has the full colour") {
  const auto flow = torch::tensor({3.0F, -4.0F, 0.0F, 1.0F, 1e10F, 0.0F}).reshape({1, 3, 2});
  CHECK(longest_flow(flow) == Approx(5.0));
  const auto colors = flow_colors(flow);
  const auto scaled = flow_colors(flow, FlowPictureOptions().max_flow(5.0 + 1e-5));
  CHECK(cv::norm(colors, scaled, cv::NORM_INF) == 0.0);
  CHECK(longest_flow(torch::zeros({2, 2, 2})) == 0.0);
  CHECK(flow_colors(torch::zeros({2, 2, 2})).at<cv::Vec3b>(1, 1) == cv::Vec3b(255, 255, 255));
}

TEST_CASE("the legend stands beside the picture and shows the same colours") {
  const auto flow = torch::full({300, 40, 2}, 2.0);
  const auto picture = draw_flow(flow, FlowPictureOptions().max_flow(4.0));
  const auto colors = flow_colors(flow, FlowPictureOptions().max_flow(4.0));
  REQUIRE(picture.rows == 300);
  REQUIRE(picture.cols > 40 + 49);
  CHECK(cv::norm(picture(cv::Rect(0, 0, 40, 300)), colors, cv::NORM_INF) == 0.0);
  const int radius = 24;
  const int middle = 40 + (picture.cols - 40) / 2;
  CHECK(picture.at<cv::Vec3b>(4 + radius, middle) == cv::Vec3b(255, 255, 255));
  CHECK(picture.at<cv::Vec3b>(4 + radius, middle + 12) == cv::Vec3b(255, 127, 127));
  CHECK(picture.at<cv::Vec3b>(4 + radius + 12, middle + 12) ==
        flow_colors(torch::full({1, 1, 2}, 2.0), FlowPictureOptions().max_flow(4.0))
            .at<cv::Vec3b>(0, 0));
  CHECK(draw_flow(torch::zeros({1, 1, 2})).rows > 49);  // a small frame makes room for it
}

TEST_CASE("what is no flow is an error") {
  CHECK_THROWS_AS(flow_colors(torch::zeros({2, 2, 3})), ShapeError);
  CHECK_THROWS_AS(flow_colors(torch::zeros({2, 2})), ShapeError);
  CHECK_THROWS_AS(flow_colors(torch::zeros({0, 2, 2})), ShapeError);
  CHECK_THROWS_AS(flow_colors(torch::zeros({2, 2, 2}, torch::kInt)), ShapeError);
  CHECK_THROWS_AS(draw_flow({}), ShapeError);
  const auto flow = torch::zeros({2, 2, 2});
  CHECK_THROWS_AS(flow_colors(flow, FlowPictureOptions().max_flow(-1.0)), UsageError);
  CHECK_THROWS_AS(flow_colors(flow, FlowPictureOptions().max_flow(NAN)), UsageError);
}

}  // namespace
}  // namespace vizoo
