#include "vizoo/hub/tensor_file.h"

#include "vizoo/core/error.h"
#include "vizoo/hub/checkpoint.h"

namespace vizoo {

NamedArguments read_tensors(const std::filesystem::path& path) {
  const auto file = SafetensorsFile::open(path);
  NamedArguments tensors;
  for (const auto& view : file.tensors()) {
    tensors.emplace(std::string(view.name), load_tensor(path, view));
    file.release(view);
  }
  return tensors;
}

void write_tensors(const std::filesystem::path& path,
                   const NamedTensors& tensors,
                   const SafetensorsMetadata& metadata) {
  NamedTensors contiguous;  // keeps the data alive until it is written
  std::vector<TensorToWrite> entries;
  for (const auto& [name, tensor] : tensors) {
    contiguous.emplace_back(name, tensor.detach().cpu().contiguous());
    const auto& data = contiguous.back().second;
    const auto dtype = safetensors_dtype(data.scalar_type());
    if (!dtype) {
      throw CheckpointError("checkpoint",
                            printable(path.native()) + ": " + printable(name),
                            "a dtype that safetensors has",
                            c10::toString(data.scalar_type()));
    }
    entries.push_back({name, *dtype, data.sizes().vec(), data.data_ptr()});
  }
  SafetensorsMetadata all{{"format", "pt"}};
  all.insert(all.end(), metadata.begin(), metadata.end());
  write_safetensors(path, entries, all);
}

void write_tensors(const std::filesystem::path& path,
                   const NamedArguments& tensors,
                   const SafetensorsMetadata& metadata) {
  write_tensors(path, NamedTensors(tensors.begin(), tensors.end()), metadata);
}

}  // namespace vizoo
