#include "npy_file.h"

#include "vizoo/io/file.h"

namespace vizoo::app {

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
