#pragma once

#include <filesystem>

#include "vizoo/io/safetensors.h"
#include "vizoo/nn/model_output.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo::app {

/// All tensors of a safetensors file, on the CPU. Throws CheckpointError.
NamedArguments read_tensors(const std::filesystem::path& path);

/// Writes tensors to a safetensors file, atomically, `metadata` beside {"format": "pt"}. Throws
/// CheckpointError.
void write_tensors(const std::filesystem::path& path,
                   const NamedTensors& tensors,
                   const SafetensorsMetadata& metadata = {});

/// Writes one floating-point tensor as a .npy file (NumPy's format 1.0) in float32, atomically.
/// Throws CheckpointError.
void write_npy(const std::filesystem::path& path, const torch::Tensor& tensor);

}  // namespace vizoo::app
