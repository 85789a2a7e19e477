#include "vizoo/tasks/zero_shot_detection.h"

namespace vizoo {

DetectionQueries text_queries(Owlv2ForObjectDetectionImpl& model,
                              const torch::Tensor& input_ids,
                              const torch::Tensor& attention_mask) {
  const auto features = model.owlv2->get_text_features(input_ids, attention_mask);
  // [Q, X] -> [1, Q, X]
  return {owlv2_normalize(features).unsqueeze(0), input_ids.select(-1, 0).gt(0).unsqueeze(0)};
}

ImageError query_image_error() {
  return {"image",
          "query image",
          "an image with a box that overlaps it",
          "none",
          "Cut the object out more closely"};
}

DetectionQueries image_query(Owlv2ForObjectDetectionImpl& model,
                             const torch::Tensor& pixel_values) {
  const auto feature_map = model.image_embedder(pixel_values).image_embeds;
  const auto query = model.embed_image_query(feature_map.flatten(1, 2), feature_map);
  if (!query.query_embeds.defined()) throw query_image_error();
  return {query.query_embeds, {}};
}

QueryDetections detect_queries(Owlv2ForObjectDetectionImpl& model,
                               const DetectionQueries& queries,
                               const torch::Tensor& pixel_values) {
  const auto feature_map = model.image_embedder(pixel_values).image_embeds;  // [B, h, w, V]
  const auto features = feature_map.flatten(1, 2);                           // [B, P, V]
  return {model.class_predictor(features, queries.embeds, queries.mask).logits,
          model.box_predictor(features, feature_map)};
}

}  // namespace vizoo
