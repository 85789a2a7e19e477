#include "vizoo/nn/box_ops.h"

#include <algorithm>

#include "test/support/catch.h"
#include "vizoo/core/error.h"

using namespace vizoo::nn;
using Box = std::vector<double>;

namespace {

const std::vector<Box> kFirst{{0.1, 0.2, 0.5, 0.6}, {0, 0, 1, 1}, {0.7, 0.7, 0.7, 0.9}};
const std::vector<Box> kSecond{
    {0.3, 0.1, 0.9, 0.4}, {0.1, 0.2, 0.5, 0.6}, {0.5, 0.6, 0.8, 0.7}, {-0.5, 2, 0, 3}};

torch::Tensor tensor_of(const std::vector<Box>& boxes) {
  std::vector<torch::Tensor> rows;
  for (const auto& box : boxes) rows.push_back(torch::tensor(box, torch::kFloat64));
  return torch::stack(rows);
}

double area_of(const Box& box) { return (box[2] - box[0]) * (box[3] - box[1]); }

double length(double from, double to) { return std::max(to - from, 0.0); }

double intersection_of(const Box& a, const Box& b) {
  return length(std::max(a[0], b[0]), std::min(a[2], b[2])) *
         length(std::max(a[1], b[1]), std::min(a[3], b[3]));
}

double iou_of(const Box& a, const Box& b) {
  const double common = intersection_of(a, b);
  return common / (area_of(a) + area_of(b) - common);
}

double giou_of(const Box& a, const Box& b) {
  const double common = intersection_of(a, b);
  const double both = area_of(a) + area_of(b) - common;
  const double around =
      (std::max(a[2], b[2]) - std::min(a[0], b[0])) * (std::max(a[3], b[3]) - std::min(a[1], b[1]));
  return common / both - (around - both) / around;
}

}  // namespace

TEST_CASE("IoU and generalised IoU of every pair", "[box_ops]") {
  const auto first = tensor_of(kFirst);
  const auto second = tensor_of(kSecond);
  const auto iou = box_iou(first, second);
  const auto giou = generalized_box_iou(first, second);
  REQUIRE(iou.sizes() == at::IntArrayRef({3, 4}));
  REQUIRE(giou.sizes() == at::IntArrayRef({3, 4}));
  for (int64_t i = 0; i < 3; ++i) {
    CHECK(box_area(first)[i].item<double>() == Approx(area_of(kFirst[i])));
    for (int64_t k = 0; k < 4; ++k) {
      CAPTURE(i, k);
      CHECK(iou[i][k].item<double>() == Approx(iou_of(kFirst[i], kSecond[k])).epsilon(1e-14));
      CHECK(giou[i][k].item<double>() == Approx(giou_of(kFirst[i], kSecond[k])).epsilon(1e-14));
    }
  }
  CHECK(iou[0][1].item<double>() == 1.0);
  CHECK(giou[1][3].item<double>() < 0.0);
  const auto pairs = paired_generalized_box_iou(first, second.narrow(0, 0, 3));
  CHECK(torch::equal(pairs, giou.narrow(1, 0, 3).diagonal()));
  CHECK(box_iou(first.narrow(0, 0, 0), second).sizes() == at::IntArrayRef({0, 4}));
}

TEST_CASE("centre and size become corners", "[box_ops]") {
  const auto corners = center_to_corners(torch::tensor({{0.5F, 0.25F, 0.5F, 0.125F}}));
  CHECK(torch::equal(corners, torch::tensor({{0.25F, 0.1875F, 0.75F, 0.3125F}})));
  const auto half = center_to_corners(torch::rand({2, 3, 4}).to(torch::kBFloat16));
  CHECK(half.sizes() == at::IntArrayRef({2, 3, 4}));
  CHECK(half.scalar_type() == torch::kBFloat16);
}

TEST_CASE("areas of half and small integer types do not overflow", "[box_ops]") {
  const auto boxes = torch::tensor({{0, 0, 300, 300}, {0, 0, 600, 600}});
  const auto expected = box_iou(boxes.to(torch::kFloat32), boxes.to(torch::kFloat32));
  // 300 * 300 is infinite in float16: the areas are not, the intersection is.
  CHECK(torch::equal(box_area(boxes.to(torch::kHalf)), torch::tensor({90000.0F, 360000.0F})));
  CHECK(box_iou(boxes.to(torch::kHalf), boxes.to(torch::kHalf)).scalar_type() == torch::kFloat32);
  CHECK(torch::equal(box_area(boxes.to(torch::kInt16)),
                     torch::tensor({90000, 360000}).to(torch::kInt32)));
  CHECK(torch::equal(box_iou(boxes, boxes), expected));
}

TEST_CASE("boxes that are none are refused", "[box_ops]") {
  const auto good = tensor_of(kFirst);
  const auto with = [&](int64_t column, double value) {
    auto boxes = good.clone();
    boxes[1][column] = value;
    return boxes;
  };
  CHECK_THROWS_WITH(generalized_box_iou(good, with(2, -0.5)),
                    "[boxes] boxes2: expected corners (left, top, right, bottom) with right >= "
                    "left and bottom >= top, got a box that is inside out or NaN.");
  CHECK_THROWS_AS(generalized_box_iou(with(3, -0.5), good), vizoo::UsageError);
  CHECK_THROWS_AS(generalized_box_iou(with(0, std::nan("")), good), vizoo::UsageError);
  CHECK_THROWS_WITH(box_iou(torch::zeros({4}), good),
                    "[boxes] boxes1: expected one box in each row, [N, 4], got Float [4].");
  CHECK_THROWS_AS(box_iou(good, torch::zeros({3, 5})), vizoo::ShapeError);
  CHECK_THROWS_AS(box_area(torch::zeros({1, 3, 4})), vizoo::ShapeError);
  CHECK_THROWS_AS(center_to_corners(torch::tensor(1.0)), vizoo::ShapeError);
  CHECK_THROWS_WITH(paired_generalized_box_iou(good, torch::Tensor()),
                    "[boxes] boxes2: expected four numbers for each box, [..., 4], got an "
                    "undefined tensor.");
}
