#pragma once

#include "vizoo/nn/torch.h"

namespace vizoo {

/// The rows of a metric on the CPU. Throws ShapeError unless they are float64 [n, columns].
torch::Tensor checked_rows(const torch::Tensor& rows, int64_t columns);

}  // namespace vizoo
