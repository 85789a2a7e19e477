#pragma once

#include "vizoo/core/error.h"
#include "vizoo/models/owlv2/owlv2_detection.h"

namespace vizoo {

/// What is looked for, ready to be run against any number of images: the text tower, or the vision
/// tower for a query image, runs once.
struct DetectionQueries {
  torch::Tensor embeds;  ///< [1, Q, X]
  torch::Tensor mask;    ///< bool [1, Q], false for queries of padding; undefined for an image
};

/// Queries of Q texts. input_ids: [Q, L]; attention_mask: the same or undefined.
DetectionQueries text_queries(Owlv2ForObjectDetectionImpl& model,
                              const torch::Tensor& input_ids,
                              const torch::Tensor& attention_mask = {});

/// What is thrown for a query image none of whose boxes passes the rule of embed_image_query.
ImageError query_image_error();

/// The query of one image, Q = 1. pixel_values: [1, 3, H, W]. Throws query_image_error().
DetectionQueries image_query(Owlv2ForObjectDetectionImpl& model, const torch::Tensor& pixel_values);

/// What post-processing needs of the detector's output.
struct QueryDetections {
  torch::Tensor logits;      ///< [B, P, Q]
  torch::Tensor pred_boxes;  ///< [B, P, 4]
};

/// logits and pred_boxes of Owlv2ForObjectDetection::forward for the same Q texts in every image,
/// or of image_guided_detection. pixel_values: [B, 3, H, W].
QueryDetections detect_queries(Owlv2ForObjectDetectionImpl& model,
                               const DetectionQueries& queries,
                               const torch::Tensor& pixel_values);

}  // namespace vizoo
