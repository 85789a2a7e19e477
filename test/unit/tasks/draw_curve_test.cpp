#include "vizoo/tasks/draw_curve.h"

#include <cmath>
#include <limits>

#include "test/support/catch.h"
#include "test/support/error_message.h"
#include "vizoo/tasks/curve_axis.h"

namespace vizoo {
namespace {

using test::contains;
using test::error_message;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
const cv::Vec3b kFirstColor(0, 114, 178);

std::vector<std::string> labels(const CurveAxis& axis) {
  std::vector<std::string> texts;
  for (const auto& tick : axis.ticks()) {
    if (!tick.label.empty()) texts.push_back(tick.label);
  }
  return texts;
}

std::vector<std::string> labels_of_steps(double low, double high, int ticks) {
  return labels(CurveAxis::for_steps(low, high, ticks));
}

Curve curve(std::vector<double> values) {
  Curve made;
  made.name = "loss";
  for (std::size_t i = 0; i < values.size(); ++i) made.steps.push_back(static_cast<double>(i));
  made.values = std::move(values);
  return made;
}

cv::Mat drawn(const Curve& one, bool may_be_logarithmic = false) {
  return draw_curves({{"loss", {one}, may_be_logarithmic}},
                     CurvePictureOptions().width(400).panel_height(200));
}

// Pixels that have about the first colour.
int colored(const cv::Mat& picture) {
  int count = 0;
  for (int y = 0; y < picture.rows; ++y) {
    for (int x = 0; x < picture.cols; ++x) {
      const auto difference = cv::Vec3i(picture.at<cv::Vec3b>(y, x)) - cv::Vec3i(kFirstColor);
      count += cv::norm(difference, cv::NORM_INF) <= 40 ? 1 : 0;
    }
  }
  return count;
}

TEST_CASE("axes of steps have whole numbers that are short") {
  using Texts = std::vector<std::string>;
  CHECK(labels_of_steps(0, 10, 5) == Texts{"0", "2", "4", "6", "8", "10"});
  CHECK(labels_of_steps(0, 3, 12) == Texts{"0", "1", "2", "3"});
  CHECK(labels_of_steps(1, 1000, 5) == Texts{"200", "400", "600", "800", "1000"});
  CHECK(labels_of_steps(0, 50000, 5) == Texts{"0", "10 k", "20 k", "30 k", "40 k", "50 k"});
  CHECK(labels_of_steps(0, 2e6, 4) == Texts{"0", "500 k", "1.0 M", "1.5 M", "2.0 M"});
  CHECK(labels_of_steps(7, 7, 5) == Texts{"7", "8"});
  const auto axis = CurveAxis::for_steps(100, 300, 4);
  CHECK(axis.position(100) == 0.0);
  CHECK(axis.position(200) == Approx(0.5));
  CHECK(axis.position(300) == 1.0);
}

TEST_CASE("axes of values have room, and begin at 0 where that costs little") {
  using Texts = std::vector<std::string>;
  const auto from_zero = CurveAxis::for_values(0.1, 1.0, 5, false);
  CHECK(from_zero.low() == 0.0);
  CHECK(from_zero.high() > 1.0);
  CHECK(labels(from_zero) == Texts{"0", "0.2", "0.4", "0.6", "0.8", "1.0"});
  const auto high = CurveAxis::for_values(0.90, 0.98, 5, false);
  CHECK(high.low() < 0.90);
  CHECK(high.low() > 0.85);
  CHECK(labels(high) == Texts{"0.90", "0.92", "0.94", "0.96", "0.98"});
  const auto negative = CurveAxis::for_values(-3.0, 2.0, 5, false);
  CHECK(negative.position(-3.0) > 0.0);
  CHECK(negative.position(2.0) < 1.0);
  CHECK(labels(CurveAxis::for_values(1e-5, 9e-5, 4, false)) ==
        Texts{"0", "2e-5", "4e-5", "6e-5", "8e-5"});
}

TEST_CASE("values that are all but equal look so") {
  const auto axis = CurveAxis::for_values(5.0, 5.0 + 1e-9, 5, true);
  CHECK(axis.position(5.0 + 1e-9) - axis.position(5.0) < 1e-3);
  CHECK(axis.position(5.0) == Approx(0.5).margin(1e-3));
  const auto zero = CurveAxis::for_values(0.0, 0.0, 5, true);
  CHECK(zero.low() < 0.0);
  CHECK(zero.high() > 0.0);
}

TEST_CASE("an axis is logarithmic for more than two decades of what may be so") {
  CHECK_FALSE(CurveAxis::for_values(0.01, 1.0, 5, true).is_logarithmic());
  CHECK_FALSE(CurveAxis::for_values(0.001, 1.0, 5, false).is_logarithmic());
  CHECK_FALSE(CurveAxis::for_values(0.0, 1.0, 5, true).is_logarithmic());
  CHECK_FALSE(CurveAxis::for_values(-1.0, 1.0, 5, true).is_logarithmic());
  const auto axis = CurveAxis::for_values(0.001, 10.0, 5, true);
  REQUIRE(axis.is_logarithmic());
  CHECK(axis.position(0.1) == Approx(0.5).margin(1e-9));
  CHECK(labels(axis) == std::vector<std::string>{"0.001", "0.01", "0.1", "1", "10"});
  CHECK(axis.position(0.0) == 0.0);
  CHECK(axis.position(-1.0) == 0.0);
  // However many decades there are, labels have room.
  CHECK(labels(CurveAxis::for_values(1e-99, 1e99, 5, true)).size() <= 6);
}

TEST_CASE("numbers for people have four digits") {
  CHECK(short_number(0.97222) == "0.9722");
  CHECK(short_number(0.0) == "0");
  CHECK(short_number(-1.5) == "-1.500");
  CHECK(short_number(12345.6) == "12.3 k");
  CHECK(short_number(2.5e7) == "25.00 M");
  CHECK(short_number(1.25e-4) == "1.25e-4");
  CHECK(short_number(1e50) == "1.00e50");
}

TEST_CASE("a smoothed curve is the debiased moving average of what came before") {
  // Five values at least: a = 2 / 6.
  const auto means = smoothed({3.0, 6.0, kNan, 0.0});
  const double b = 1.0 - 2.0 / 6.0;
  REQUIRE(means.size() == 4);
  CHECK(means[0] == Approx(3.0));
  CHECK(means[1] == Approx((b * 3.0 + 6.0) / (b + 1.0)));
  CHECK(std::isnan(means[2]));
  CHECK(means[3] == Approx((b * b * 3.0 + b * 6.0) / (b * b + b + 1.0)));
  for (const double value : smoothed(std::vector<double>(1000, 7.0))) CHECK(value == Approx(7.0));
}

TEST_CASE("a picture has the size of its panels and shows the curves") {
  const auto line = curve({1.0, 0.5, 0.3, 0.2});
  const auto picture = drawn(line);
  CHECK(picture.type() == CV_8UC3);
  CHECK(picture.size() == cv::Size(400, 214));
  CHECK(colored(picture) > 200);
  CHECK(cv::norm(picture, drawn(line), cv::NORM_INF) == 0.0);
  CHECK(cv::norm(picture, drawn(curve({1.0, 0.9, 0.3, 0.2})), cv::NORM_INF) > 100);

  const CurvePanel panel{"loss", {line}, false};
  const auto four = draw_curves({panel, panel, panel, panel},
                                CurvePictureOptions().width(800).panel_height(200).title("run"));
  CHECK(four.size() == cv::Size(800, 34 + 200 + 150 + 150 + 14));
}

TEST_CASE("what is not finite is a gap") {
  const double gap = kNan;
  const auto with_gap = drawn(curve({1, 1, gap, gap, gap, gap, gap, gap, 1, 1}));
  const auto whole = drawn(curve({1, 1, 1, 1, 1, 1, 1, 1, 1, 1}));
  CHECK(colored(with_gap) < 0.6 * colored(whole));
  CHECK(colored(with_gap) > 0.1 * colored(whole));
  // A single value between gaps can be seen.
  Curve dot = curve({gap, 1, kInfinity, -kInfinity, 1e300});
  dot.has_markers = true;
  CHECK(colored(drawn(dot)) > 20);
}

TEST_CASE("extreme values and names are drawn all the same") {
  for (const double extreme : {1e99, -1e99, 1e-300, -1e-300, 1e-99}) {
    CHECK(colored(drawn(curve({extreme, 1.0}), true)) > 0);
    CHECK(colored(drawn(curve({extreme}), true)) > 0);
  }
  Curve named = curve({1.0, 2.0});
  named.name = std::string(5000, 'x') + "\xC3\xA9\n\xFF";
  CHECK(colored(drawn(named)) > 0);
  Curve long_run;
  for (int i = 0; i < 100000; ++i) {
    long_run.steps.push_back(1e14 + i);
    long_run.values.push_back(1.0 + i % 7);
  }
  long_run.is_noisy = true;
  CHECK(colored(drawn(long_run)) > 0);
}

TEST_CASE("what cannot be drawn is refused") {
  const auto refusal = [](const Curve& one) {
    return error_message<UsageError>([&] { drawn(one); });
  };
  CHECK(refusal(curve({})) == "[picture] curves: expected a finite value, got none.");
  CHECK(refusal(curve({kNan})) == "[picture] curves: expected a finite value, got none.");
  Curve broken = curve({1, 2, 3});
  broken.steps[2] = 0;
  CHECK(contains(refusal(broken), "curve \"loss\": expected ascending steps"));
  broken.steps[2] = kNan;
  CHECK(contains(refusal(broken), "expected steps below 1e15"));
  broken.steps.pop_back();
  CHECK(contains(refusal(broken), "expected a value for each step, got 3 for 2."));
  const std::vector<CurvePanel> panels{{"loss", {curve({1})}, false}};
  for (const auto& options : {CurvePictureOptions().width(399),
                              CurvePictureOptions().width(8001),
                              CurvePictureOptions().panel_height(199),
                              CurvePictureOptions().panel_height(4001)}) {
    CHECK_THROWS_AS(draw_curves(panels, options), UsageError);
  }
  CHECK_THROWS_AS(draw_curves({}), UsageError);
}

}  // namespace
}  // namespace vizoo
