#include "vizoo/nn/box_ops.h"

#include "vizoo/core/error.h"
#include "vizoo/nn/describe.h"

namespace vizoo::nn {
namespace {

void expect_boxes(const torch::Tensor& boxes, const char* subject) {
  if (boxes.defined() && boxes.dim() == 2 && boxes.size(1) == 4) return;
  throw ShapeError("boxes", subject, "one box in each row, [N, 4]", describe(boxes));
}

void expect_last_dimension(const torch::Tensor& boxes, const char* subject) {
  if (boxes.defined() && boxes.dim() > 0 && boxes.size(-1) == 4) return;
  throw ShapeError("boxes", subject, "four numbers for each box, [..., 4]", describe(boxes));
}

// The smallest dtype in which the product of two sides cannot overflow.
torch::Tensor upcast(const torch::Tensor& boxes) {
  if (boxes.is_floating_point()) {
    return boxes.scalar_type() == torch::kFloat64 ? boxes : boxes.to(torch::kFloat32);
  }
  return boxes.scalar_type() == torch::kInt64 ? boxes : boxes.to(torch::kInt32);
}

// Of corners [..., 4].
torch::Tensor area(const torch::Tensor& boxes) {
  const auto corners = upcast(boxes).unbind(-1);
  return (corners[2] - corners[0]) * (corners[3] - corners[1]);
}

// [..., 2] x [..., 2] -> the area between, 0 where right_bottom is not below and right of left_top.
torch::Tensor area_between(const torch::Tensor& left_top, const torch::Tensor& right_bottom) {
  const auto sides = (right_bottom - left_top).clamp_min(0).unbind(-1);
  return sides[0] * sides[1];
}

torch::Tensor left_top(const torch::Tensor& boxes) { return boxes.narrow(-1, 0, 2); }
torch::Tensor right_bottom(const torch::Tensor& boxes) { return boxes.narrow(-1, 2, 2); }

struct Overlap {
  torch::Tensor iou;
  torch::Tensor union_area;
};

// Corners of shapes that broadcast.
Overlap overlap(const torch::Tensor& boxes1, const torch::Tensor& boxes2) {
  const auto intersection = area_between(at::maximum(left_top(boxes1), left_top(boxes2)),
                                         at::minimum(right_bottom(boxes1), right_bottom(boxes2)));
  const auto union_area = area(boxes1) + area(boxes2) - intersection;
  return {intersection / union_area, union_area};
}

void expect_ordered_corners(const torch::Tensor& boxes, const char* subject) {
  if (right_bottom(boxes).ge(left_top(boxes)).all().item<bool>()) return;
  throw UsageError("boxes",
                   subject,
                   "corners (left, top, right, bottom) with right >= left and bottom >= top",
                   "a box that is inside out or NaN");
}

}  // namespace

torch::Tensor center_to_corners(const torch::Tensor& boxes) {
  expect_last_dimension(boxes, "boxes");
  const auto fields = boxes.unbind(-1);
  const auto half_width = fields[2] * 0.5;
  const auto half_height = fields[3] * 0.5;
  return at::stack({fields[0] - half_width,
                    fields[1] - half_height,
                    fields[0] + half_width,
                    fields[1] + half_height},
                   -1);
}

torch::Tensor box_area(const torch::Tensor& boxes) {
  expect_boxes(boxes, "boxes");
  return area(boxes);
}

torch::Tensor box_iou(const torch::Tensor& boxes1, const torch::Tensor& boxes2) {
  expect_boxes(boxes1, "boxes1");
  expect_boxes(boxes2, "boxes2");
  // [N, 4], [M, 4] -> [N, 1, 4], [1, M, 4]
  return overlap(boxes1.unsqueeze(1), boxes2.unsqueeze(0)).iou;
}

torch::Tensor generalized_box_iou(const torch::Tensor& boxes1, const torch::Tensor& boxes2) {
  expect_boxes(boxes1, "boxes1");
  expect_boxes(boxes2, "boxes2");
  expect_ordered_corners(boxes1, "boxes1");
  expect_ordered_corners(boxes2, "boxes2");
  // [N, 4], [M, 4] -> [N, 1, 4], [1, M, 4]
  return paired_generalized_box_iou(boxes1.unsqueeze(1), boxes2.unsqueeze(0));
}

torch::Tensor paired_generalized_box_iou(const torch::Tensor& boxes1, const torch::Tensor& boxes2) {
  expect_last_dimension(boxes1, "boxes1");
  expect_last_dimension(boxes2, "boxes2");
  const auto [iou, union_area] = overlap(boxes1, boxes2);
  const auto enclosing = area_between(at::minimum(left_top(boxes1), left_top(boxes2)),
                                      at::maximum(right_bottom(boxes1), right_bottom(boxes2)));
  return iou - (enclosing - union_area) / enclosing;
}

}  // namespace vizoo::nn
