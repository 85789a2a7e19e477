#pragma once

#include <vector>

#include "vizoo/nn/model_output.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {

/// One vector for each image, [B, C]: the model's pooler_output; for a model without one
/// (PoolFormer) the mean of its feature map over all places. `pixel_values` are those of the
/// forward that gave `output`.
torch::Tensor pooled_features(const VisionModelImpl& model,
                              const BaseModelOutputWithPooling& output,
                              const torch::Tensor& pixel_values);

/// The first three principal components of patch features as colours: one [3, H_i, W_i] in [0, 1],
/// float32, on the CPU, for each map [C, H_i, W_i] of features, all maps taken together, so that
/// one colour means one feature in all of them.
///
/// Red, green and blue are the first, second and third component by falling variance. The sign of a
/// component is the one for which its loading of largest magnitude is positive (the first of equal
/// ones); each is then mapped linearly, its least value over all patches to 0 and its largest to 1.
/// Components that do not exist (fewer than three channels) or do not vary are 0.5. Computed in
/// float64. Throws ShapeError for no maps, or maps that are not [C, H, W] with one C.
std::vector<torch::Tensor> principal_component_colors(const std::vector<torch::Tensor>& maps);

}  // namespace vizoo
