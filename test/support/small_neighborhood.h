#pragma once

#include "vizoo/models/dinat.h"
#include "vizoo/models/nat.h"

namespace vizoo::test {

/// What the small NAT and DiNAT of the tests share: a second to build and run all of them.
template <class Config>
Config small_neighborhood_config() {
  Config config;
  config.embed_dim = 8;
  config.depths = {1, 2};
  config.num_heads = {1, 2};
  config.kernel_size = 3;
  config.mlp_ratio = 2.0;
  config.layer_scale_init_value = 0.1;
  config.set_num_labels(5);
  return config;
}

inline NatConfig small_nat_config() { return small_neighborhood_config<NatConfig>(); }

inline DinatConfig small_dinat_config() {
  auto config = small_neighborhood_config<DinatConfig>();
  config.dilations = {{2}, {1, 3}};
  return config;
}

/// Gives every parameter values that differ from any initialisation, so that nothing hides.
template <class Model>
void randomize_neighborhood(Model& model, uint64_t seed) {
  torch::manual_seed(seed);
  const torch::NoGradGuard no_grad;
  for (auto& parameter : model->parameters()) parameter.uniform_(-0.5, 0.5);
}

/// What a model of this config says when it cannot be built.
template <class Model, class Config, class Change>
std::string config_error(Config config, Change change) {
  change(config);
  try {
    const vizoo::nn::NoInitGuard no_init;
    Model model(config);
  } catch (const std::exception& error) {
    return error.what();
  }
  return "no error";
}

/// Parameters of a classifier with 1000 labels.
template <class Model, class Config>
int64_t parameter_count(Config config) {
  config.set_num_labels(1000);
  const vizoo::nn::NoInitGuard no_init;
  Model model(config);
  int64_t count = 0;
  for (const auto& parameter : model->parameters()) count += parameter.numel();
  return count;
}

}  // namespace vizoo::test
