#pragma once

#include <filesystem>

#include "vizoo/io/safetensors.h"
#include "vizoo/nn/model_output.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {

/// All tensors of a safetensors file, on the CPU. Throws CheckpointError.
NamedArguments read_tensors(const std::filesystem::path& path);

/// Writes tensors, wherever they are, to a safetensors file, atomically; `metadata` beside
/// {"format": "pt"}. Throws CheckpointError for a name that is given twice, a dtype that the format
/// lacks, and a file that cannot be written.
void write_tensors(const std::filesystem::path& path,
                   const NamedTensors& tensors,
                   const SafetensorsMetadata& metadata = {});
void write_tensors(const std::filesystem::path& path,
                   const NamedArguments& tensors,
                   const SafetensorsMetadata& metadata = {});

}  // namespace vizoo
