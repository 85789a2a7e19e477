#pragma once

#include <torch/serialize.h>

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "vizoo/hub/checkpoint.h"
#include "vizoo/io/file.h"

namespace vizoo::test {

using TensorsByName = std::map<std::string, torch::Tensor>;

/// Writes what torch.save writes for a dict.
inline void write_bin(const std::filesystem::path& path, const TensorsByName& tensors) {
  c10::Dict<std::string, torch::Tensor> dict;
  for (const auto& [name, tensor] : tensors) dict.insert(name, tensor);
  const auto content = torch::pickle_save(dict);
  write_file_atomically(path, std::string_view(content.data(), content.size()));
}

/// All tensors of a checkpoint.
inline TensorsByName read_all(const Checkpoint& checkpoint) {
  TensorsByName tensors;
  for (const auto& tensor : checkpoint.tensors()) {
    tensors[tensor.name] = checkpoint.take(tensor);
  }
  return tensors;
}

/// The content of a file of at most 16 MiB.
inline std::string file_bytes(const std::filesystem::path& path) {
  return read_file(path, std::size_t{1} << 24U);
}

}  // namespace vizoo::test
