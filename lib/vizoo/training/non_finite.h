#pragma once

#include <functional>
#include <optional>
#include <string>

#include "vizoo/nn/torch.h"

namespace vizoo {

/// Where a computation first gave NaN or infinity.
struct NonFinite {
  std::string module;     ///< "convnext.encoder.stages.1"; empty if no parameter was in play yet
  std::string parameter;  ///< the parameter that is not finite itself, or empty
  std::string operation;  ///< "aten::linear"; empty if it is a parameter
  std::string value;      ///< "NaN" or "infinity"

  /// For a message: `aten::linear in module convnext.encoder.stages.1 gives NaN`.
  std::string describe() const;
};

/// Finds what first gives NaN when `forward` runs: a parameter or buffer of `model` that is not
/// finite, else the first operation with NaN in its result, else the first with infinity. The
/// module of an operation is that of the parameter that was used last, this operation included;
/// names are those of `named_modules()`. Nothing if all is finite.
///
/// Looks at every result of every operation, which takes several times as long as `forward` alone:
/// it is for the moment when training has gone wrong. Runs on the calling thread; `forward` should
/// do the same as in training, without a backward pass.
std::optional<NonFinite> find_non_finite(const torch::nn::Module& model,
                                         const std::function<void()>& forward);

}  // namespace vizoo
