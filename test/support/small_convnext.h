#pragma once

#include "vizoo/models/convnext.h"

namespace vizoo::test {

/// A ConvNeXT small enough to run in a millisecond, all of its parts present.
inline ConvNextConfig small_convnext_config() {
  ConvNextConfig config;
  config.hidden_sizes = {8, 16, 24, 32};
  config.depths = {1, 1, 2, 1};
  config.layer_scale_init_value = 0.1;
  config.set_num_labels(5);
  return config;
}

/// Gives every parameter values that differ from any initialisation, so that nothing hides.
template <class Model>
void randomize(Model& model, uint64_t seed) {
  torch::manual_seed(seed);
  const torch::NoGradGuard no_grad;
  for (auto& parameter : model->parameters()) parameter.uniform_(-0.5, 0.5);
}

}  // namespace vizoo::test
