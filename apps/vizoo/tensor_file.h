#pragma once

#include <filesystem>

#include "vizoo/nn/model_output.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo::app {

/// All tensors of a safetensors file, on the CPU. Throws CheckpointError.
NamedArguments read_tensors(const std::filesystem::path& path);

/// Writes tensors to a safetensors file, atomically. Throws CheckpointError.
void write_tensors(const std::filesystem::path& path, const NamedTensors& tensors);

}  // namespace vizoo::app
