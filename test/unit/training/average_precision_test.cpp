#include "vizoo/training/average_precision.h"

#include <cmath>
#include <random>

#include "test/support/catch.h"
#include "test/support/error_message.h"
#include "test/unit/training/plain_coco.h"
#include "vizoo/core/error.h"

using vizoo::AveragePrecision;
using vizoo::FoundBoxes;
using vizoo::TrueBoxes;
using vizoo::test::plain_values;
using vizoo::test::Scenes;

namespace {

using vizoo::test::error_message;

void add_image(AveragePrecision& metric, const Scenes& scenes, int image) {
  std::vector<double> found_boxes, scores, true_boxes, areas;
  std::vector<int64_t> found_labels, true_labels;
  std::vector<uint8_t> crowds;
  for (const auto& one : scenes.found) {
    if (one.image != image) continue;
    found_boxes.insert(found_boxes.end(), {one.left, one.top, one.right, one.bottom});
    scores.push_back(one.score);
    found_labels.push_back(one.label);
  }
  for (const auto& one : scenes.truth) {
    if (one.image != image) continue;
    true_boxes.insert(true_boxes.end(), {one.left, one.top, one.right, one.bottom});
    true_labels.push_back(one.label);
    crowds.push_back(one.crowd ? 1 : 0);
    areas.push_back(one.area);
  }
  metric.add(image,
             {torch::tensor(found_boxes, torch::kFloat64).view({-1, 4}),
              torch::tensor(scores, torch::kFloat64),
              torch::tensor(found_labels, torch::kInt64)},
             {torch::tensor(true_boxes, torch::kFloat64).view({-1, 4}),
              torch::tensor(true_labels, torch::kInt64),
              torch::tensor(crowds, torch::kUInt8).to(torch::kBool),
              torch::tensor(areas, torch::kFloat64)});
}

// Boxes of all sizes, detections near them or anywhere, scores with ties, crowds; no number of the
// corners makes an IoU equal a threshold by rounding alone.
Scenes random_scenes(uint64_t seed, int labels) {
  std::mt19937_64 generator(seed);
  const auto uniform = [&](double low, double high) {
    return low + (high - low) * static_cast<double>(generator() >> 11U) * 0x1p-53;
  };
  const auto below = [&](int limit) { return static_cast<int>(generator() % limit); };
  Scenes scenes;
  scenes.images = 1 + below(8);
  for (int image = 0; image < scenes.images; ++image) {
    const int count = below(7);
    for (int i = 0; i < count; ++i) {
      const double side = std::exp(uniform(2, 6));
      const double left = uniform(0, 300);
      const double top = uniform(0, 300);
      const double height = side * uniform(0.5, 2);
      vizoo::test::True truth{
          image, below(labels), left, top, left + side, top + height, below(8) == 0, 0};
      truth.area = side * height * (below(2) == 0 ? 1.0 : uniform(0.4, 1));
      scenes.truth.push_back(truth);
      const int near = below(4);
      for (int k = 0; k < near; ++k) {
        const double shift = uniform(0, 0.4) * side;
        scenes.found.push_back({image,
                                below(6) == 0 ? below(labels) : truth.label,
                                left + shift,
                                top + uniform(-0.1, 0.1) * height,
                                left + side + uniform(-0.1, 0.2) * side,
                                top + height,
                                0.1 * below(11)});
      }
    }
    const int anywhere = below(30) == 0 ? 130 : below(6);
    for (int k = 0; k < anywhere; ++k) {
      const double left = uniform(0, 300);
      const double top = uniform(0, 300);
      const double side = std::exp(uniform(2, 6));
      scenes.found.push_back(
          {image, below(labels), left, top, left + side, top + side, uniform(0, 1)});
    }
  }
  return scenes;
}

double precision_value(const AveragePrecision& metric, const std::string& name) {
  for (const auto& [key, value] : metric.values()) {
    if (key == name) return value;
  }
  FAIL("no value " << name);
  return 0;
}

torch::Tensor boxes_of(const std::vector<float>& corners) {
  return torch::tensor(corners).view({-1, 4});
}

torch::Tensor label_tensor(const std::vector<int64_t>& labels) { return torch::tensor(labels); }

}  // namespace

TEST_CASE("average precision is that of its definition, on random scenes", "[training]") {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const int labels = 1 + static_cast<int>(seed % 4);
    const auto scenes = random_scenes(seed, labels);
    AveragePrecision metric;
    for (int image = 0; image < scenes.images; ++image) add_image(metric, scenes, image);
    const auto expected = plain_values(scenes, labels);
    const auto values = metric.values();
    REQUIRE(values.size() == expected.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      INFO("seed " << seed << " " << values[i].first);
      CHECK(values[i].second == Approx(expected[i]).margin(1e-12));
    }
  }
}

TEST_CASE("average precision does not depend on who saw which image", "[training]") {
  const auto scenes = random_scenes(101, 3);
  REQUIRE(scenes.images > 2);
  AveragePrecision whole;
  AveragePrecision even;
  AveragePrecision odd;
  for (int image = 0; image < scenes.images; ++image) {
    add_image(whole, scenes, image);
    add_image(image % 2 == 0 ? even : odd, scenes, image);
  }
  AveragePrecision merged;
  merged.set_rows(torch::cat({odd.rows(), even.rows(), AveragePrecision().rows()}));
  CHECK(merged.values() == whole.values());
  CHECK(precision_value(whole, "AP") > 0);
}

TEST_CASE("average precision by hand", "[training]") {
  const auto truth =
      TrueBoxes{boxes_of({0, 0, 10, 10, 100, 0, 140, 40}), label_tensor({0, 0}), {}, {}};
  SECTION("all found") {
    AveragePrecision metric;
    metric.add(0, {truth.boxes, torch::tensor({0.9F, 0.8F}), truth.labels}, truth);
    for (const auto* name : {"AP", "AP50", "AP75", "AP_small", "AP_medium", "AR_10", "AR_100"}) {
      CHECK(precision_value(metric, name) == Approx(1.0).epsilon(1e-12));
    }
    CHECK(precision_value(metric, "AR_1") == 0.5);
    CHECK(precision_value(metric, "AP_large") == -1);
    CHECK(precision_value(metric, "AR_large") == -1);
  }
  SECTION("one of two, behind a wrong one: precision 1/2 up to recall 1/2") {
    AveragePrecision metric;
    metric.add(0,
               {boxes_of({50, 50, 60, 60, 0, 0, 10, 10}),
                torch::tensor({0.9F, 0.8F}),
                label_tensor({0, 0})},
               truth);
    CHECK(precision_value(metric, "AP50") == Approx(51 * 0.5 / 101).epsilon(1e-12));
    CHECK(precision_value(metric, "AP") == Approx(51 * 0.5 / 101).epsilon(1e-12));
    CHECK(precision_value(metric, "AP_medium") == 0);
    CHECK(precision_value(metric, "AR_1") == 0);
    CHECK(precision_value(metric, "AR_100") == 0.5);
  }
  SECTION("a box of IoU 0.8 counts for the thresholds up to it") {
    AveragePrecision metric;
    metric.add(0,
               {boxes_of({0, 0, 10, 8.04F}), torch::tensor({0.9F}), label_tensor({0})},
               {boxes_of({0, 0, 10, 10}), label_tensor({0}), {}, {}});
    CHECK(precision_value(metric, "AP") == Approx(0.7).epsilon(1e-12));
    CHECK(precision_value(metric, "AP75") == Approx(1.0).epsilon(1e-12));
  }
  SECTION("a second detection of a box is wrong, in a crowd it is not") {
    const auto twice = FoundBoxes{
        boxes_of({0, 0, 10, 10, 0, 0, 10, 10}), torch::tensor({0.9F, 0.8F}), label_tensor({0, 0})};
    const auto both = FoundBoxes{boxes_of({0, 0, 10, 10, 0, 0, 10, 10, 20, 20, 30, 30}),
                                 torch::tensor({0.9F, 0.8F, 0.7F}),
                                 label_tensor({0, 0, 0})};
    const auto pair = boxes_of({0, 0, 10, 10, 20, 20, 30, 30});
    AveragePrecision alone;
    alone.add(0, both, {pair, label_tensor({0, 0}), {}, {}});
    // Precision 1 up to recall 1/2, 2/3 beyond.
    CHECK(precision_value(alone, "AP") == Approx((51 + 50 * 2.0 / 3) / 101).epsilon(1e-12));
    AveragePrecision crowded;
    crowded.add(0, both, {pair, label_tensor({0, 0}), torch::tensor({true, false}), {}});
    CHECK(precision_value(crowded, "AP") == Approx(1.0).epsilon(1e-12));
    AveragePrecision only_crowd;
    only_crowd.add(
        0, twice, {boxes_of({0, 0, 10, 10}), label_tensor({0}), torch::tensor({true}), {}});
    CHECK(precision_value(only_crowd, "AP") == -1);
  }
  SECTION("the area of the segment decides the size") {
    AveragePrecision metric;
    metric.add(0,
               {boxes_of({0, 0, 100, 100}), torch::tensor({0.5F}), label_tensor({0})},
               {boxes_of({0, 0, 100, 100}), label_tensor({0}), {}, torch::tensor({1000.0F})});
    CHECK(precision_value(metric, "AP_small") == Approx(1.0).epsilon(1e-12));
    CHECK(precision_value(metric, "AP_large") == -1);
  }
  SECTION("classes that do not occur do not count") {
    AveragePrecision metric;
    metric.add(
        0,
        {boxes_of({0, 0, 10, 10, 0, 0, 10, 10}), torch::tensor({0.9F, 0.8F}), label_tensor({0, 7})},
        {boxes_of({0, 0, 10, 10}), label_tensor({0}), {}, {}});
    CHECK(precision_value(metric, "AP") == Approx(1.0).epsilon(1e-12));
  }
}

TEST_CASE("without images nothing is known", "[training]") {
  const AveragePrecision metric;
  CHECK(metric.rows().sizes() == torch::IntArrayRef({0, 9}));
  for (const auto& [name, value] : metric.values()) CHECK(value == -1);
}

TEST_CASE("average precision refuses boxes that are none", "[training]") {
  AveragePrecision metric;
  const FoundBoxes found{torch::zeros({1, 4}), torch::zeros({1}), label_tensor({0})};
  const TrueBoxes truth{torch::zeros({1, 4}), label_tensor({0}), {}, {}};
  CHECK(error_message([&] { metric.add(-1, found, truth); }) ==
        "[metric] image: expected a number from 0, got -1.");
  auto bad = found;
  bad.boxes = torch::zeros({4});
  CHECK(error_message([&] { metric.add(0, bad, truth); }) ==
        "[metric] found.boxes: expected floating-point values of shape [N, 4], got Float [4].");
  bad = found;
  bad.scores = torch::full({1}, NAN);
  CHECK(error_message([&] { metric.add(0, bad, truth); }) ==
        "[metric] found.scores: expected finite numbers, got NaN or infinity.");
  bad = found;
  bad.labels = label_tensor({-3});
  CHECK(error_message([&] { metric.add(0, bad, truth); }) ==
        "[metric] found.labels: expected classes from 0, got -3.");
  auto wrong = truth;
  wrong.labels = label_tensor({0, 1});
  CHECK(error_message([&] { metric.add(0, found, wrong); }) ==
        "[metric] truth.labels: expected classes, int64 of shape [1], got Long [2].");
  wrong = truth;
  wrong.crowd = torch::zeros({1});
  CHECK(error_message([&] { metric.add(0, found, wrong); }) ==
        "[metric] truth.crowd: expected booleans of shape [1], got Float [1].");
  CHECK(error_message([&] {
          metric.set_rows(torch::zeros({1, 8}, torch::kFloat64));
        }) == "[metric] rows: expected float64 values of shape [n, 9], got Double [1, 8].");
  CHECK(metric.rows().size(0) == 0);
}
