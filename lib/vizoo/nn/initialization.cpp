#include "vizoo/nn/initialization.h"

#include <cmath>

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

void normal_(torch::Tensor& tensor, double std) {
  if (tensor.storage().nbytes() == 0) return;
  const torch::NoGradGuard no_grad;
  tensor.normal_(0.0, std);
}

void truncated_normal_(torch::Tensor& tensor, double std) {
  constexpr double kBound = 2.0;
  const double upper = std::erf(kBound / std / std::sqrt(2.0));  // 2 Phi(bound / std) - 1
  tensor.uniform_(-upper, upper).erfinv_().mul_(std * std::sqrt(2.0)).clamp_(-kBound, kBound);
}

}  // namespace vizoo::nn
