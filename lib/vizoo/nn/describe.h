#pragma once

#include <sstream>
#include <string>

#include "vizoo/nn/torch.h"

namespace vizoo::nn {

/// Dtype and shape for the "got" of a message: `Float [2, 3]`.
inline std::string describe(const torch::Tensor& tensor) {
  if (!tensor.defined()) return "an undefined tensor";
  std::ostringstream text;
  text << tensor.scalar_type() << " " << tensor.sizes();
  return text.str();
}

}  // namespace vizoo::nn
