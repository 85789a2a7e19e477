#pragma once

#include "vizoo/core/config.h"
#include "vizoo/nn/torch.h"

namespace vizoo::nn {

/// act(x), elementwise, for each name of Transformers' ACT2FN (activations.py, 4.37.2), in that
/// file's order of operations. input: any shape, floating point; returns the same shape and dtype.
torch::Tensor activate(Activation activation, const torch::Tensor& input);

/// As `activate`, for an input that nobody else reads: overwrites it where the activation can and
/// no gradient is recorded, which saves a pass over memory.
torch::Tensor activate_temporary(Activation activation, torch::Tensor input);

}  // namespace vizoo::nn
