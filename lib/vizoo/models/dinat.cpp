#include "vizoo/models/dinat.h"

#include <utility>

namespace vizoo {

void DinatConfig::resolve() {
  NeighborhoodConfig::resolve();
  check_dilations(*this, dilations);
}

DinatModelImpl::DinatModelImpl(DinatConfig model_config, const Arguments& model_arguments)
    : PretrainedModel(std::move(model_config)) {
  build(config, config.dilations, model_arguments);
}

DinatForImageClassificationImpl::DinatForImageClassificationImpl(DinatConfig model_config)
    : PretrainedModel(std::move(model_config)) {
  dinat = register_module("dinat", DinatModel(config));
  build(config, dinat.ptr());
}

DinatBackboneImpl::DinatBackboneImpl(DinatConfig model_config)
    : PretrainedModel(std::move(model_config)) {
  build(config, config.dilations);
}

}  // namespace vizoo
