// Image-guided detection: what a picture shows is found in others.
#include <ATen/TracerMode.h>

#include <limits>

#include "vizoo/core/error.h"
#include "vizoo/models/owlv2/owlv2_detection.h"
#include "vizoo/nn/box_ops.h"

namespace vizoo {
namespace {

// The patch that stands for each query image.
struct SelectedPatches {
  torch::Tensor index;  // [B, 1], int64
  torch::Tensor found;  // [B], bool: whether a box passes; else the index means nothing
};

// Among the boxes that cover an image best the one whose class embedding is least like the mean of
// all. corners: [B, P, 4]; class_embeds: [B, P, X].
SelectedPatches select_patches(const torch::Tensor& corners, const torch::Tensor& class_embeds) {
  constexpr double kShare = 0.8;
  const auto whole = torch::tensor({{0, 0, 1, 1}}, corners.options().requires_grad(false));
  // [B, P, 4] -> [B P, 4] -> [1, B P] -> [B, P]
  const auto iou = nn::box_iou(whole, corners.flatten(0, 1)).view_as(corners.select(-1, 0));
  const auto overlap = at::where(
      iou.eq(0.0).all(1, /*keepdim=*/true), nn::paired_generalized_box_iou(whole, corners), iou);
  // Where the best is negative, this is above it, and nothing passes.
  const auto passing = overlap.ge(overlap.amax(1, /*keepdim=*/true) * kShare);
  // [B, P, X] x [B, X, 1] -> [B, P]
  const auto likeness = at::matmul(class_embeds, class_embeds.mean(1).unsqueeze(-1)).squeeze(-1);
  constexpr double kNever = std::numeric_limits<double>::infinity();
  return {likeness.masked_fill(passing.logical_not(), kNever).argmin(1, /*keepdim=*/true),
          passing.any(1)};
}

}  // namespace

Owlv2ImageQuery Owlv2ForObjectDetectionImpl::embed_image_query(
    const torch::Tensor& query_image_features, const torch::Tensor& query_feature_map) const {
  const auto class_embeds = class_predictor(query_image_features).class_embeds;
  Owlv2ImageQuery query;
  query.pred_boxes = box_predictor(query_image_features, query_feature_map);
  const auto corners = nn::center_to_corners(query.pred_boxes);
  const auto patches = select_patches(corners, class_embeds);
  query.box_indices = patches.index;
  query.query_embeds = at::take_along_dim(class_embeds, patches.index.unsqueeze(-1), 1);
  if (at::tracer::impl::is_dispatch_enabled()) {
    // How many images are left is not known then.
    const auto missing = patches.found.logical_not().unsqueeze(-1).unsqueeze(-1);  // [B, 1, 1]
    constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
    query.query_embeds = query.query_embeds.masked_fill(missing, kNone);
    return query;
  }
  const auto kept = patches.found.nonzero().squeeze(1);
  if (kept.numel() == 0) return {{}, {}, query.pred_boxes};
  query.box_indices = query.box_indices.index_select(0, kept);
  query.query_embeds = query.query_embeds.index_select(0, kept);
  return query;
}

Owlv2ImageGuidedObjectDetectionOutput Owlv2ForObjectDetectionImpl::image_guided_detection(
    const torch::Tensor& pixel_values,
    const torch::Tensor& query_pixel_values,
    const Owlv2Options& options) {
  owlv2->vision_model->check_images(query_pixel_values, options, "query_pixel_values");
  Owlv2ImageGuidedObjectDetectionOutput output;
  // In upstream's order, which is that of the random stream where attention drops.
  output.query_image_embeds = image_embedder(query_pixel_values, options).image_embeds;
  auto target = image_embedder(pixel_values, options);
  output.image_embeds = target.image_embeds;
  output.vision_model_output = std::move(target.vision_model_output);

  // [B, h, w, V] -> [B, P, V]
  const auto query =
      embed_image_query(output.query_image_embeds.flatten(1, 2), output.query_image_embeds);
  output.query_pred_boxes = query.pred_boxes;
  const auto targets = output.image_embeds.size(0);
  const auto queries = query.query_embeds.defined() ? query.query_embeds.size(0) : targets;
  if (queries != targets && queries != 1 && targets != 1) {
    throw ShapeError("model",
                     "query_pixel_values",
                     "one query image with a box for each of the " + std::to_string(targets) +
                         " target images, or one for all",
                     std::to_string(queries) + " of " +
                         std::to_string(output.query_image_embeds.size(0)) + " images");
  }
  const auto image_feats = output.image_embeds.flatten(1, 2);
  auto prediction = class_predictor(image_feats, query.query_embeds);
  output.logits = std::move(prediction.logits);
  output.class_embeds = std::move(prediction.class_embeds);
  output.target_pred_boxes = box_predictor(image_feats, output.image_embeds);
  return output;
}

}  // namespace vizoo
