#pragma once

#include <filesystem>

#include "vizoo/nn/torch.h"

namespace vizoo::app {

/// Writes one floating-point tensor as a .npy file (NumPy's format 1.0) in float32, atomically.
/// Throws CheckpointError.
void write_npy(const std::filesystem::path& path, const torch::Tensor& tensor);

}  // namespace vizoo::app
