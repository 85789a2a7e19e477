#pragma once

#include <filesystem>

#include "vizoo/hub/checkpoint.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo::test {

inline NamedArguments read_tensors(const std::filesystem::path& path) {
  const auto file = SafetensorsFile::open(path);
  NamedArguments tensors;
  for (const auto& view : file.tensors()) {
    tensors.emplace(std::string(view.name), load_tensor(path, view));
  }
  return tensors;
}

}  // namespace vizoo::test
