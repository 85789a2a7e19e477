#include "vizoo/models/nat.h"

#include <utility>

namespace vizoo {

NatModelImpl::NatModelImpl(NatConfig model_config, const Arguments& model_arguments)
    : PretrainedModel(std::move(model_config)) {
  build(config, /*dilations=*/{}, model_arguments);
}

NatForImageClassificationImpl::NatForImageClassificationImpl(NatConfig model_config)
    : PretrainedModel(std::move(model_config)) {
  nat = register_module("nat", NatModel(config));
  build(config, nat.ptr());
}

NatBackboneImpl::NatBackboneImpl(NatConfig model_config)
    : PretrainedModel(std::move(model_config)) {
  build(config, /*dilations=*/{});
}

}  // namespace vizoo
