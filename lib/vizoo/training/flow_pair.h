#pragma once

#include "vizoo/nn/torch.h"

namespace vizoo {

/// Two flows, pixel by pixel, where the target counts.
struct FlowPair {
  torch::Tensor flow;    ///< [N, 2], float32 or float64
  torch::Tensor target;  ///< [N, 2], of the same type and device

  /// Euclidean distances, [N]; where one is 0 its gradient is 0.
  torch::Tensor distance() const { return at::linalg_vector_norm(flow - target, 2, {-1}); }
};

/// The N pixels of flows of [B, 2, H, W] or [B, H, W, 2], each on its own, where `valid`, bool
/// [B, H, W], is true or undefined. Throws ShapeError by the rules of end_point_error.
FlowPair valid_flow(const torch::Tensor& flow,
                    const torch::Tensor& target,
                    const torch::Tensor& valid,
                    const char* where);

}  // namespace vizoo
