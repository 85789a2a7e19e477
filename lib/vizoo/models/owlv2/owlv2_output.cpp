#include "vizoo/models/owlv2/owlv2_output.h"

namespace vizoo {

std::vector<std::vector<torch::Tensor>> to_tuple(
    const Owlv2ImageGuidedObjectDetectionOutput& output) {
  std::vector<std::vector<torch::Tensor>> tuple = {{output.image_embeds},
                                                   {output.query_image_embeds},
                                                   {output.target_pred_boxes},
                                                   {output.query_pred_boxes},
                                                   {output.logits},
                                                   {output.class_embeds}};
  auto& nested = tuple.emplace_back();
  for (const auto& entry : to_tuple(output.vision_model_output)) {
    nested.insert(nested.end(), entry.begin(), entry.end());
  }
  return tuple;
}

}  // namespace vizoo
