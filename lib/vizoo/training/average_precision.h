#pragma once

#include "vizoo/training/metrics.h"

namespace vizoo {

/// What a detector found in one image, N boxes.
struct FoundBoxes {
  torch::Tensor boxes;   ///< [N, 4], floating: left, top, right, bottom in pixels
  torch::Tensor scores;  ///< [N], floating
  torch::Tensor labels;  ///< [N], int64 or int32: the class
};

/// What is in one image, M boxes.
struct TrueBoxes {
  torch::Tensor boxes;   ///< [M, 4], as above
  torch::Tensor labels;  ///< [M], int64 or int32
  /// bool [M]: a crowd, which any number of detections may lie in without being wrong or right;
  /// undefined: none is.
  torch::Tensor crowd;
  /// [M], floating: COCO's `area`, that of the segment, which decides the size class; undefined:
  /// that of the box.
  torch::Tensor area;
};

/// Average precision and recall of detections by COCO's rule (Lin et al. 2014,
/// https://arxiv.org/abs/1405.0312; pycocotools 2.0, cocoeval.py, iouType bbox).
///
/// Each class on its own: an image's detections, the 100 with the highest scores, take the true box
/// that they overlap most by at least t, highest score first and no box twice. Precision at 101
/// recalls from 0 to 1 is the highest at that recall or beyond; its mean over recalls, over t =
/// 0.50, 0.55 ... 0.95 and over classes that occur is AP. Sizes are small to 32^2, medium to 96^2,
/// and large; boxes of other sizes are neither missed nor found, and so are crowds. Equal scores
/// keep the order of images and of detections.
///
/// Values: AP, AP50, AP75, AP_small, AP_medium, AP_large, AR_1, AR_10, AR_100 (recall with so many
/// detections for an image), AR_small, AR_medium, AR_large; -1 where no class has a box of the
/// size. Rows: [n, 9], image, class, left, top, right, bottom, score (NaN for true boxes), crowd,
/// area.
class AveragePrecision : public Metric {
 public:
  /// image: a number for the image, the same for all processes and used once, at least 0. Throws
  /// ShapeError for shapes and dtypes that do not fit; UsageError for a negative image or class,
  /// and for boxes, scores and areas that are not finite.
  void add(int64_t image, const FoundBoxes& found, const TrueBoxes& truth);

  torch::Tensor rows() const override;
  void set_rows(const torch::Tensor& rows) override;
  MetricValues values() const override;

 private:
  std::vector<torch::Tensor> rows_;
};

}  // namespace vizoo
