#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "vizoo/nn/pretrained_model.h"

namespace vizoo {

/// How `run_named_forward` runs.
struct NamedForward {
  TORCH_ARG(std::optional<bool>, output_hidden_states) = std::nullopt;
  TORCH_ARG(std::optional<bool>, output_attentions) = std::nullopt;
  /// Training mode; buffers that the forward changed are returned as `buffer.<name>`.
  TORCH_ARG(bool, train_mode) = false;
  /// Seed of LibTorch's random stream, set right before the forward.
  TORCH_ARG(std::optional<uint64_t>, seed) = std::nullopt;
  /// Output to back-propagate from, none if empty.
  TORCH_ARG(std::string, gradients);
  /// Method to call, one of the model's `method_names()`.
  TORCH_ARG(std::string, method) = "forward";
};

/// Runs a model on arguments by name and returns every output under Transformers' name: the door
/// through which any class is compared with the reference.
///
/// With `gradients` naming an output F, back-propagates from F if it has one element, else from
/// sum(F * arguments["cotangent"]), and adds `grad.<parameter>` for each parameter reached and
/// `grad_input.<name>` for floating-point arguments. "cotangent" is no argument of the model.
/// Throws UsageError for a name that is no output, ShapeError for a cotangent that does not fit.
NamedTensors run_named_forward(PretrainedModelImpl& model,
                               NamedArguments arguments,
                               const NamedForward& request = {});

}  // namespace vizoo
