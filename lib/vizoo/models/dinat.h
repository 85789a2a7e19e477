#pragma once

// DiNAT: "Dilated Neighborhood Attention Transformer", https://arxiv.org/abs/2209.15001.
// Names and numbers follow transformers/models/dinat/modeling_dinat.py, 4.37.2. NAT has the same
// blocks without dilation: they are in nn/neighborhood_*.h.

#include "vizoo/nn/neighborhood_model.h"

namespace vizoo {

/// config.json of model_type "dinat" (configuration_dinat.py, 4.37.2).
struct DinatConfig : NeighborhoodConfig {
  static constexpr const char* kModelType = "dinat";

  /// Of each layer of each stage; entries beyond `depths` are not used.
  Dilations dilations{{1, 8, 1}, {1, 4, 1, 4}, {1, 2, 1, 2, 1, 2}, {1, 1, 1, 1, 1}};

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    NeighborhoodConfig::fields(self, visit);
    visit("dilations", self.dilations);
  }

  /// As NeighborhoodConfig; also checks that each layer has a dilation. Throws ConfigError.
  void resolve();
};

/// The bare model; see NeighborhoodModelImpl for its inputs and outputs.
class DinatModelImpl : public PretrainedModel<DinatModelImpl, DinatConfig, NeighborhoodModelImpl> {
 public:
  static constexpr const char* kClassName = "DinatModel";
  static constexpr const char* kBaseModelPrefix = "dinat";
  explicit DinatModelImpl(DinatConfig model_config = {}, const Arguments& model_arguments = {});
};
TORCH_MODULE(DinatModel);

/// The model with a linear head; see NeighborhoodClassifierImpl.
class DinatForImageClassificationImpl : public PretrainedModel<DinatForImageClassificationImpl,
                                                               DinatConfig,
                                                               NeighborhoodClassifierImpl> {
 public:
  static constexpr const char* kClassName = "DinatForImageClassification";
  static constexpr const char* kBaseModelPrefix = "dinat";
  explicit DinatForImageClassificationImpl(DinatConfig model_config = {});

  DinatModel dinat{nullptr};
};
TORCH_MODULE(DinatForImageClassification);

/// Feature maps at several scales; see NeighborhoodBackboneImpl.
class DinatBackboneImpl
    : public PretrainedModel<DinatBackboneImpl, DinatConfig, NeighborhoodBackboneImpl> {
 public:
  static constexpr const char* kClassName = "DinatBackbone";
  static constexpr const char* kBaseModelPrefix = "dinat";
  explicit DinatBackboneImpl(DinatConfig model_config = {});
};
TORCH_MODULE(DinatBackbone);

}  // namespace vizoo
