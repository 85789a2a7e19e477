#pragma once

#include "vizoo/nn/torch.h"

namespace vizoo::nn {

/// Stochastic depth: y = x / keep * floor(keep + U), keep = 1 - drop_probability, one U in [0, 1)
/// per sample. Does nothing unless training and drop_probability > 0; then it draws B numbers of
/// x's dtype, as Transformers does, so that one seed gives both the same masks.
/// input: [B, ...]. Source: modeling_beit.py, drop_path, 4.37.2.
torch::Tensor drop_path(const torch::Tensor& input, double drop_probability, bool training);

/// shortcut + drop_path(scale * branch): what ends each half of a layer. `scale` (layer scale)
/// broadcasts to `branch` and may be undefined, which is 1.
///
/// While gradients are recorded every step rounds as in Transformers; otherwise one pass over
/// memory does the sum, with one rounding less.
torch::Tensor add_branch(const torch::Tensor& shortcut,
                         const torch::Tensor& branch,
                         const torch::Tensor& scale,
                         double drop_probability,
                         bool training);

/// Rates per layer: linspace(0, rate, layer_count) in float32, read back as double, as Transformers
/// does. Returns `layer_count` numbers.
std::vector<double> drop_path_rates(double rate, int64_t layer_count);

}  // namespace vizoo::nn
