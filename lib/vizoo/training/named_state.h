#pragma once

#include <string>

#include "vizoo/nn/model_output.h"

namespace vizoo {

/// Copies the tensors of `given` into those of `state` that have their names: floating-point ones
/// from any floating-point type, others from their own, all from any device. Order does not matter.
///
/// Throws CheckpointError, which calls the whole `subject`, that names all that is missing, left
/// over, there twice, or of another shape or kind; then nothing has changed.
void copy_named_state(const NamedTensors& given,
                      const NamedTensors& state,
                      const std::string& subject);

}  // namespace vizoo
