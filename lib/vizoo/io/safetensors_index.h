#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vizoo/io/safetensors.h"

namespace vizoo {

/// Most shards that one index may name: each of them is held open.
inline constexpr std::size_t kMaxSafetensorsShards = 1'000;

/// What `model.safetensors.index.json` says.
struct SafetensorsIndex {
  std::map<std::string, std::string> weight_map;  ///< tensor -> file name of its shard
  std::optional<int64_t> total_size;              ///< bytes of all tensors; advisory, not checked

  /// The shards, each once, in the order of their names.
  std::vector<std::string> shards() const;
};

/// Parses `{"metadata": {"total_size": n}, "weight_map": {tensor: shard}}`; other keys are ignored.
/// A shard must be a plain file name: no separators, not `.` or `..`, 1 to 255 bytes. `source` is
/// the file's name in messages. Throws CheckpointError.
SafetensorsIndex parse_safetensors_index(std::string_view text, const std::string& source);

/// Reads and parses an index file. Throws CheckpointError.
SafetensorsIndex read_safetensors_index(const std::filesystem::path& path);

/// The tensors of an open shard.
struct ShardTensors {
  std::string file;  ///< its name without folders
  std::vector<std::string_view> names;
};

/// Throws CheckpointError if a tensor that `index` maps is not in its shard, or any tensor is in
/// two shards. `source` is the index file's name in messages.
void check_weight_map(const SafetensorsIndex& index,
                      const std::vector<ShardTensors>& shards,
                      const std::string& source);

/// Opens all shards of an index, in the order of their names, from the folder of the index file. A
/// shard may be a symbolic link (the Hugging Face cache is made of them). Throws CheckpointError if
/// a shard cannot be read, a mapped tensor is not in its shard, a tensor is in two shards, or the
/// shards together exceed the limits that `safetensors_header.h` sets for one file.
std::vector<SafetensorsFile> open_safetensors_shards(const std::filesystem::path& index_path);

/// Writes `tensors` to `folder` as Transformers does, and returns the paths in the order written.
///
/// The tensors are dealt to shards greedily in the given order: a shard is closed before the tensor
/// that would make it larger than `max_shard_bytes` (a larger tensor gets a shard of its own). One
/// shard is `<base_name>.safetensors`; more are `<base_name>-00001-of-0000N.safetensors` with
/// `<base_name>.safetensors.index.json`, which is written last. Weight files of that base name from
/// an earlier save that no longer belong are removed in the end. Each file is replaced atomically;
/// the set of them is not, if an earlier save had the same number of shards. Throws CheckpointError
/// as `write_safetensors` does.
std::vector<std::filesystem::path> write_safetensors_shards(
    const std::filesystem::path& folder,
    const std::vector<TensorToWrite>& tensors,
    const std::optional<SafetensorsMetadata>& metadata,
    std::size_t max_shard_bytes = 5'000'000'000,
    const std::string& base_name = "model");

}  // namespace vizoo
