#pragma once

#include <filesystem>

#include "vizoo/nn/pretrained_model.h"

namespace vizoo {

/// Copies the weights that `save_pretrained` wrote for this very model into it: every parameter and
/// buffer, bit for bit, none renamed, none initialised. For training that goes on; models are
/// loaded for use by `from_pretrained`. Throws CheckpointError that names what is missing, left
/// over, or of another shape or dtype; then nothing has changed.
void load_model_state(PretrainedModelImpl& model, const std::filesystem::path& folder);

}  // namespace vizoo
