// Image-guided detection: what a picture shows is found in others.
#include "vizoo/core/error.h"
#include "vizoo/models/owlv2/owlv2_detection.h"
#include "vizoo/nn/box_ops.h"

namespace vizoo {
namespace {

// Index [1] of the patch that stands for a query image: among the boxes that cover the image best
// the one whose class embedding is least like the mean of all; empty if no box passes. corners:
// [P, 4]; class_embeds: [P, X].
torch::Tensor select_patch(const torch::Tensor& corners, const torch::Tensor& class_embeds) {
  constexpr double kShare = 0.8;
  const auto whole = torch::tensor({{0, 0, 1, 1}}, corners.options().requires_grad(false));
  auto overlap = nn::box_iou(whole, corners);  // [1, P]
  if (overlap.eq(0.0).all().item<bool>()) overlap = nn::generalized_box_iou(whole, corners);
  // Where the best is negative, this is above it, and nothing passes.
  const auto passing = overlap[0].ge(overlap.max() * kShare).nonzero().squeeze(1);
  if (passing.numel() == 0) return passing;
  const auto likeness = at::mv(class_embeds.index_select(0, passing), class_embeds.mean(0));
  return passing.index_select(0, likeness.argmin().unsqueeze(0));
}

}  // namespace

Owlv2ImageQuery Owlv2ForObjectDetectionImpl::embed_image_query(
    const torch::Tensor& query_image_features, const torch::Tensor& query_feature_map) const {
  const auto class_embeds = class_predictor(query_image_features).class_embeds;
  Owlv2ImageQuery query;
  query.pred_boxes = box_predictor(query_image_features, query_feature_map);
  const auto corners = nn::center_to_corners(query.pred_boxes);
  std::vector<torch::Tensor> embeds;
  std::vector<torch::Tensor> indices;
  for (int64_t image = 0; image < corners.size(0); ++image) {
    const auto patch = select_patch(corners[image], class_embeds[image]);
    if (patch.numel() == 0) continue;
    embeds.push_back(class_embeds[image].index_select(0, patch));
    indices.push_back(patch);
  }
  if (!embeds.empty()) {
    query.query_embeds = at::stack(embeds);
    query.box_indices = at::stack(indices);
  }
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
