#pragma once

#include "vizoo/nn/torch.h"

namespace vizoo::nn {

/// Boxes as (centre x, centre y, width, height) -> (left, top, right, bottom). boxes: [..., 4],
/// floating; returns the same shape and dtype. Throws ShapeError if the last dimension is not 4.
/// Source: center_to_corners_format of image_transforms.py, Transformers 4.37.2.
torch::Tensor center_to_corners(const torch::Tensor& boxes);

/// (right - left) * (bottom - top), negative where a box is inside out in one axis. boxes: corners
/// [N, 4]; returns [N], in float32 for half types, which the product would overflow, and in int32
/// for small integers. Throws ShapeError for other shapes. Source: box_area of modeling_owlv2.py,
/// Transformers 4.37.2.
torch::Tensor box_area(const torch::Tensor& boxes);

/// Intersection over union of each box of `boxes1` with each of `boxes2`, |A and B| / |A or B|.
/// boxes1: corners [N, 4], boxes2: corners [M, 4]; returns [N, M], at least float32. Two boxes
/// without area give NaN. Throws ShapeError for other shapes. Source: box_iou of modeling_owlv2.py,
/// Transformers 4.37.2.
torch::Tensor box_iou(const torch::Tensor& boxes1, const torch::Tensor& boxes2);

/// IoU - |C without (A or B)| / |C| with C the smallest box around A and B: in (-1, 1], and unlike
/// IoU with a gradient for boxes that do not touch. boxes1: corners [N, 4], boxes2: corners [M, 4];
/// returns [N, M], at least float32. Throws ShapeError for other shapes and UsageError if right <
/// left, bottom < top or a coordinate is NaN. Sources: Rezatofighi et al. 2019,
/// https://arxiv.org/abs/1902.09630; generalized_box_iou of modeling_owlv2.py, Transformers 4.37.2.
torch::Tensor generalized_box_iou(const torch::Tensor& boxes1, const torch::Tensor& boxes2);

/// `generalized_box_iou` of single pairs: box by box where the shapes are equal, each with each for
/// [N, 1, 4] and [1, M, 4]. boxes1, boxes2: corners [..., 4] of shapes that broadcast; returns
/// [...]. Coordinates are not looked at, so that nothing waits for the device: NaN gives NaN, and
/// right < left or bottom < top no meaningful number. Throws ShapeError for a last dimension other
/// than 4.
torch::Tensor paired_generalized_box_iou(const torch::Tensor& boxes1, const torch::Tensor& boxes2);

}  // namespace vizoo::nn
