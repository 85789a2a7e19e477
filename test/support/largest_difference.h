#pragma once

#include "vizoo/nn/torch.h"

namespace vizoo::test {

/// The largest difference of two elements at the same place, computed in float64.
inline double largest_difference(const torch::Tensor& a, const torch::Tensor& b) {
  return (a.to(torch::kDouble) - b.to(torch::kDouble)).abs().max().item<double>();
}

}  // namespace vizoo::test
