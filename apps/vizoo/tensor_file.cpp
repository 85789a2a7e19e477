#include "tensor_file.h"

#include "vizoo/core/error.h"
#include "vizoo/hub/checkpoint.h"
#include "vizoo/io/file.h"
#include "vizoo/io/safetensors.h"

namespace vizoo::app {

NamedArguments read_tensors(const std::filesystem::path& path) {
  const auto file = SafetensorsFile::open(path);
  NamedArguments tensors;
  for (const auto& view : file.tensors()) {
    tensors.emplace(std::string(view.name), load_tensor(path, view));
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
      throw CheckpointError("output",
                            printable(name),
                            "a dtype that safetensors has",
                            c10::toString(data.scalar_type()));
    }
    entries.push_back({name, *dtype, data.sizes().vec(), data.data_ptr()});
  }
  SafetensorsMetadata all{{"format", "pt"}};
  all.insert(all.end(), metadata.begin(), metadata.end());
  write_safetensors(path, entries, all);
}

void write_npy(const std::filesystem::path& path, const torch::Tensor& tensor) {
  const auto data = tensor.detach().to(torch::kCPU, torch::kFloat32).contiguous();
  std::string shape;
  for (const auto size : data.sizes()) shape += std::to_string(size) + ", ";
  if (data.dim() > 1) shape.resize(shape.size() - 2);  // Python's (3,) but (3, 4)
  std::string dictionary = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + shape + "), }";
  // Magic, version, length of the dictionary: 10 bytes; the data begin at a multiple of 64.
  constexpr std::size_t kPrefix = 10;
  constexpr std::size_t kAlignment = 64;
  const auto padding = kAlignment - 1 - (kPrefix + dictionary.size()) % kAlignment;
  dictionary.append(padding, ' ').push_back('\n');
  std::string header("\x93NUMPY\x01\x00", 8);
  header.push_back(static_cast<char>(dictionary.size() & 0xFF));
  header.push_back(static_cast<char>(dictionary.size() >> 8));
  write_file_atomically(path, [&](FileWriter& writer) {
    writer.write(header + dictionary);
    writer.write(data.const_data_ptr(), data.nbytes());
  });
}

}  // namespace vizoo::app
