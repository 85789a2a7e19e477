#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "vizoo/nn/torch.h"

namespace vizoo {

/// Names of the files of a checkpoint's folder that belong to processors and tokenizers, as
/// Transformers reads them.
const std::vector<std::string>& processor_file_names();

/// Called with how many tensors have been written, and of how many.
using ConvertProgress = std::function<void(std::size_t, std::size_t)>;

/// Options of `convert_checkpoint`.
struct ConvertOptions {
  /// Floating-point tensors are converted to this; nullopt leaves them as they are. Others, such as
  /// integer buffers, always stay.
  TORCH_ARG(std::optional<at::ScalarType>, dtype) = std::nullopt;
  /// Weights of a folder beyond this many bytes go into several files and an index.
  TORCH_ARG(std::size_t, max_shard_size) = 5'000'000'000;
  /// Reads `model.<variant>.safetensors` and such; what is written has no variant in its name.
  TORCH_ARG(std::string, variant);
  TORCH_ARG(ConvertProgress, progress);
};

/// What `convert_checkpoint` did.
struct ConvertReport {
  std::vector<std::filesystem::path> files;  ///< written, in this order
  std::size_t tensors = 0;
  std::size_t converted = 0;         ///< tensors whose dtype changed
  std::size_t bytes = 0;             ///< of all tensors as written
  std::vector<std::string> ignored;  ///< what is in a `.bin` file beside tensors
};

/// Rewrites weights as safetensors, tensor for tensor under the same names, whatever model they
/// belong to; as Transformers wants it, the metadata says {"format": "pt"}.
///
/// A folder (Checkpoint) becomes a folder: `model.safetensors`, or shards and their index, and byte
/// for byte config.json and the files of processors and tokenizers, but for config.json's
/// `torch_dtype` if the dtype changes. A single file (Checkpoint::open_file) becomes a single file,
/// whose name must end in `.safetensors`. Tensors that share memory are written each on their own,
/// so every name is there for whoever loads them, at the price of the space.
///
/// Memory is bounded by the largest tensor, not by the checkpoint. Each file is replaced
/// atomically: if writing fails, what was there is unchanged. Throws CheckpointError, ConfigError,
/// and UsageError if the output would replace the input.
ConvertReport convert_checkpoint(const std::filesystem::path& input,
                                 const std::filesystem::path& output,
                                 const ConvertOptions& options = {});

/// The text of a config.json with its `torch_dtype` (and `dtype`, which newer versions write)
/// replaced or added and every other byte as it was. `source` is the file's name in messages.
/// Throws ConfigError.
std::string with_torch_dtype(const std::string& text,
                             const std::string& torch_dtype,
                             const std::string& source);

}  // namespace vizoo
