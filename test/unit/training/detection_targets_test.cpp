// What detection_loss refuses: one clear error each.
#include <limits>

#include "test/support/catch.h"
#include "vizoo/core/error.h"
#include "vizoo/training/detection_loss.h"

using vizoo::detection_loss;
using vizoo::DetectionLossOptions;
using vizoo::DetectionTarget;
using vizoo::ShapeError;
using vizoo::UsageError;

namespace {

const double kNotANumber = std::numeric_limits<double>::quiet_NaN();
const double kInfiniteCost = std::numeric_limits<double>::infinity();
const std::string kHint =
    " Boxes are (centre x, centre y, width, height) relative to the padded square.";

torch::Tensor logits() { return torch::zeros({2, 4, 3}); }
torch::Tensor pred_boxes() { return torch::full({2, 4, 4}, 0.5); }

DetectionTarget good() { return {torch::tensor({{0.5, 0.5, 0.2, 0.2}}), torch::tensor({1})}; }

// The second of two images; the first is fine.
void lose(const DetectionTarget& target, const DetectionLossOptions& options = {}) {
  detection_loss(logits(), pred_boxes(), {good(), target}, options);
}

void lose_box(double x, double y, double width, double height) {
  lose({torch::tensor({{0.5, 0.5, 0.2, 0.2}, {x, y, width, height}}, torch::kFloat64),
        torch::tensor({0, 2})});
}

}  // namespace

TEST_CASE("boxes outside of the image are refused", "[training]") {
  CHECK_NOTHROW(lose_box(0.1, 0.9, 0.2, 0.2));
  CHECK_NOTHROW(lose_box(0.5, 0.5, 1.0, 1.0));
  // Rounding may put an edge a little outside.
  CHECK_NOTHROW(lose_box(0.1, 0.9, 0.201, 0.201));
  CHECK_THROWS_WITH(lose_box(0.05, 0.5, 0.2, 0.2),
                    "[detection_loss] targets[1].boxes: expected boxes inside the square from 0 to "
                    "1, got (0.05, 0.5, 0.2, 0.2) in row 1." +
                        kHint);
  // Pixels, and a box elsewhere.
  CHECK_THROWS_AS(lose_box(320, 240, 64, 48), UsageError);
  CHECK_THROWS_AS(lose_box(-3, 0.5, 0.2, 0.2), UsageError);
  CHECK_THROWS_AS(lose_box(0.5, 0.95, 0.2, 0.2), UsageError);
  CHECK_THROWS_AS(lose_box(1e300, 0.5, 1e300, 0.5), UsageError);
}

TEST_CASE("boxes without an area are refused", "[training]") {
  CHECK_NOTHROW(lose_box(0.5, 0.5, 1e-6, 1e-6));
  CHECK_THROWS_WITH(lose_box(0.5, 0.5, 0.0, 0.2),
                    "[detection_loss] targets[1].boxes: expected widths and heights of at least "
                    "1e-6, got (0.5, 0.5, 0, 0.2) in row 1." +
                        kHint);
  CHECK_THROWS_AS(lose_box(0.5, 0.5, 0.2, -0.2), UsageError);
  CHECK_THROWS_AS(lose_box(0.5, 0.5, 1e-30, 1e-30), UsageError);
}

TEST_CASE("boxes that are no numbers are refused", "[training]") {
  CHECK_THROWS_WITH(lose_box(0.5, kNotANumber, 0.2, 0.2),
                    "[detection_loss] targets[1].boxes: expected finite numbers, got (0.5, nan, "
                    "0.2, 0.2) in row 1." +
                        kHint);
  CHECK_THROWS_AS(lose_box(kInfiniteCost, 0.5, 0.2, 0.2), UsageError);
  CHECK_THROWS_AS(lose_box(0.5, 0.5, kInfiniteCost, kInfiniteCost), UsageError);
  CHECK_THROWS_AS(lose_box(-kInfiniteCost, 0.5, kInfiniteCost, 0.2), UsageError);
}

TEST_CASE("labels must be queries that take part", "[training]") {
  const auto boxes = good().boxes;
  CHECK_THROWS_WITH(lose({boxes, torch::tensor({3})}),
                    "[detection_loss] targets[1].labels: expected indices of 3 queries, got 3 in "
                    "row 0.");
  CHECK_THROWS_AS(lose({boxes, torch::tensor({-1})}), UsageError);
  CHECK_THROWS_AS(lose({boxes, torch::tensor({std::numeric_limits<int64_t>::min()})}), UsageError);
  const auto mask = torch::tensor({true, true, true, true, true, false}).view({2, 3});
  CHECK_NOTHROW(lose({boxes, torch::tensor({1})}, DetectionLossOptions().query_mask(mask)));
  CHECK_THROWS_WITH(
      lose({boxes, torch::tensor({2})}, DetectionLossOptions().query_mask(mask)),
      "[detection_loss] targets[1].labels: expected queries that query_mask lets take part, got 2 "
      "in row 0.");
}

TEST_CASE("targets of other shapes and dtypes are refused", "[training]") {
  const auto boxes = good().boxes;
  const auto labels = good().labels;
  const std::string values = "expected floating-point values of shape [N, 4], got ";
  CHECK_THROWS_WITH(lose({torch::zeros({4}), labels}),
                    "[detection_loss] targets[1].boxes: " + values + "Float [4].");
  CHECK_THROWS_WITH(lose({torch::zeros({0}), torch::zeros({0}, torch::kInt64)}),
                    "[detection_loss] targets[1].boxes: " + values + "Float [0].");
  CHECK_THROWS_AS(lose({torch::zeros({1, 5}), labels}), ShapeError);
  CHECK_THROWS_AS(lose({torch::ones({1, 4}, torch::kInt64), labels}), ShapeError);
  CHECK_THROWS_WITH(lose({torch::Tensor(), labels}),
                    "[detection_loss] targets[1].boxes: " + values + "an undefined tensor.");
  CHECK_THROWS_WITH(lose({boxes, torch::tensor({0, 1})}),
                    "[detection_loss] targets[1].labels: expected query indices, int64 [1], got "
                    "Long [2].");
  CHECK_THROWS_AS(lose({boxes, torch::tensor({1.0F})}), ShapeError);
  CHECK_THROWS_AS(lose({boxes, torch::tensor({true})}), ShapeError);
  CHECK_THROWS_AS(lose({boxes, torch::tensor(1)}), ShapeError);
  CHECK_THROWS_AS(lose({boxes, torch::Tensor()}), ShapeError);
}

TEST_CASE("more boxes than patches are refused", "[training]") {
  const auto many = [](int64_t count) {
    return DetectionTarget{torch::full({count, 4}, 0.5), torch::zeros({count}, torch::kInt64)};
  };
  CHECK_NOTHROW(lose(many(4)));
  CHECK_THROWS_WITH(lose(many(5)),
                    "[detection_loss] targets[1].boxes: expected at most one box for each of 4 "
                    "patches, got 5 boxes.");
  CHECK_THROWS_WITH(detection_loss(logits(), pred_boxes(), {good()}),
                    "[detection_loss] targets: expected one for each of 2 images, got 1.");
}

TEST_CASE("predictions of other shapes and dtypes are refused", "[training]") {
  const std::vector<DetectionTarget> targets{good(), good()};
  CHECK_THROWS_WITH(detection_loss(torch::zeros({4, 3}), pred_boxes(), targets),
                    "[detection_loss] logits: expected floating-point values of each patch for "
                    "each query, [B, P, Q], got Float [4, 3].");
  CHECK_THROWS_AS(detection_loss(logits().to(torch::kInt64), pred_boxes(), targets), ShapeError);
  CHECK_THROWS_AS(detection_loss(torch::Tensor(), pred_boxes(), targets), ShapeError);
  CHECK_THROWS_WITH(detection_loss(logits(), torch::zeros({2, 5, 4}), targets),
                    "[detection_loss] pred_boxes: expected floating-point values of shape [2, 4, "
                    "4], got Float [2, 5, 4].");
  CHECK_THROWS_AS(detection_loss(logits(), torch::Tensor(), targets), ShapeError);
  CHECK_THROWS_AS(detection_loss(logits(), pred_boxes().to(torch::kMeta), targets), ShapeError);
  CHECK_THROWS_WITH(detection_loss(logits(), pred_boxes() * -1, targets),
                    "[detection_loss] pred_boxes: expected widths and heights of at least 0, got "
                    "negative ones. Boxes are (centre x, centre y, width, height).");
}

TEST_CASE("options of the loss out of range are refused", "[training]") {
  using Options = DetectionLossOptions;
  CHECK_THROWS_WITH(lose(good(), Options().focal_alpha(1.5)),
                    "[detection_loss] focal_alpha: expected a number from 0 to 1, got 1.5.");
  CHECK_THROWS_WITH(lose(good(), Options().giou_weight(-1)),
                    "[detection_loss] giou_weight: expected a number of at least 0, got -1.");
  CHECK_THROWS_AS(lose(good(), Options().focal_alpha(kNotANumber)), UsageError);
  CHECK_THROWS_AS(lose(good(), Options().focal_gamma(-0.1)), UsageError);
  CHECK_THROWS_AS(lose(good(), Options().class_weight(kNotANumber)), UsageError);
  CHECK_THROWS_AS(lose(good(), Options().bbox_weight(kInfiniteCost)), UsageError);
  CHECK_THROWS_WITH(lose(good(), Options().query_mask(torch::ones({2, 3}))),
                    "[detection_loss] query_mask: expected booleans of shape [2, 3], got Float [2, "
                    "3].");
  CHECK_THROWS_AS(lose(good(), Options().query_mask(torch::ones({3}, torch::kBool))), ShapeError);
}
