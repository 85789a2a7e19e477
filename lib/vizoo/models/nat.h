#pragma once

// NAT: "Neighborhood Attention Transformer", https://arxiv.org/abs/2204.07143.
// Names and numbers follow transformers/models/nat/modeling_nat.py, 4.37.2. DiNAT has the same
// blocks, with dilations: they are in nn/neighborhood_*.h.

#include "vizoo/nn/neighborhood_model.h"

namespace vizoo {

/// config.json of model_type "nat" (configuration_nat.py, 4.37.2).
struct NatConfig : NeighborhoodConfig {
  static constexpr const char* kModelType = "nat";
};

/// The bare model; see NeighborhoodModelImpl for its inputs and outputs.
class NatModelImpl : public PretrainedModel<NatModelImpl, NatConfig, NeighborhoodModelImpl> {
 public:
  static constexpr const char* kClassName = "NatModel";
  static constexpr const char* kBaseModelPrefix = "nat";
  explicit NatModelImpl(NatConfig model_config = {}, const Arguments& model_arguments = {});
};
TORCH_MODULE(NatModel);

/// The model with a linear head; see NeighborhoodClassifierImpl.
class NatForImageClassificationImpl
    : public PretrainedModel<NatForImageClassificationImpl, NatConfig, NeighborhoodClassifierImpl> {
 public:
  static constexpr const char* kClassName = "NatForImageClassification";
  static constexpr const char* kBaseModelPrefix = "nat";
  explicit NatForImageClassificationImpl(NatConfig model_config = {});

  NatModel nat{nullptr};
};
TORCH_MODULE(NatForImageClassification);

/// Feature maps at several scales; see NeighborhoodBackboneImpl.
class NatBackboneImpl
    : public PretrainedModel<NatBackboneImpl, NatConfig, NeighborhoodBackboneImpl> {
 public:
  static constexpr const char* kClassName = "NatBackbone";
  static constexpr const char* kBaseModelPrefix = "nat";
  explicit NatBackboneImpl(NatConfig model_config = {});
};
TORCH_MODULE(NatBackbone);

}  // namespace vizoo
