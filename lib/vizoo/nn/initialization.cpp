#include "vizoo/nn/initialization.h"

namespace vizoo::nn {
namespace {
thread_local bool no_init = false;
}  // namespace

NoInitGuard::NoInitGuard() : previous_(no_init) { no_init = true; }
NoInitGuard::~NoInitGuard() { no_init = previous_; }
bool NoInitGuard::active() { return no_init; }

torch::Tensor empty_parameter(at::IntArrayRef shape) {
  if (!NoInitGuard::active()) return torch::empty(shape);
  auto tensor = torch::empty({0});
  tensor.unsafeGetTensorImpl()->set_sizes_contiguous(shape);
  return tensor;
}

}  // namespace vizoo::nn
