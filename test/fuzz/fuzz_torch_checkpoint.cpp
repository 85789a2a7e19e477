// Any bytes given as a file of torch.save, and as the pickle in one: an Error, or tensors within
// the bytes whose elements can be copied.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "vizoo/core/error.h"
#include "vizoo/io/pickle_reader.h"
#include "vizoo/io/torch_checkpoint.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

template <class Read>
void run(const Read& read) {
  try {
    read();
  } catch (const vizoo::CheckpointError& error) {
    const std::string message = error.what();
    require(message.size() < 4096 && message.find_first_of("\n\r") == std::string::npos);
  }
}

void read_file(std::string_view file) {
  const auto* const begin = reinterpret_cast<const std::byte*>(file.data());
  const vizoo::TorchState state = vizoo::parse_torch_checkpoint(file, "m.bin");
  uint64_t total = 0;
  std::vector<unsigned char> copy;
  for (const auto& tensor : state.tensors) {
    require(tensor.shape.size() == tensor.strides.size());
    require(tensor.data >= begin && tensor.extent <= file.size());
    require(static_cast<std::size_t>(tensor.data - begin) <= file.size() - tensor.extent);
    total += tensor.bytes;
    copy.resize(tensor.bytes);
    vizoo::copy_elements(tensor, copy.data());
    if (tensor.is_contiguous()) {
      const auto* const data = reinterpret_cast<const unsigned char*>(tensor.data);
      require(std::equal(copy.begin(), copy.end(), data));
    }
  }
  require(total <= file.size() * vizoo::kMaxTorchExpansion + vizoo::kMaxTorchFixedBytes);
}

void read_pickle(std::string_view pickle) {
  const vizoo::PickledState state = vizoo::read_pickled_state(pickle, "m.bin");
  for (const auto& tensor : state.tensors) {
    const auto element = static_cast<int64_t>(vizoo::dtype_bits(tensor.dtype) / 8);
    require(tensor.offset >= 0 && tensor.extent >= 0 && tensor.bytes >= 0);
    require(tensor.extent == 0 || tensor.offset + tensor.extent <= tensor.storage_bytes / element);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  run([&] { read_file(bytes); });
  run([&] { read_pickle(bytes); });
  // The pickle of a whole file, without the archive around it: most changes break the archive.
  const std::size_t begin = std::min(bytes.find("\x80\x02"), bytes.size());
  run([&] { read_pickle(bytes.substr(begin)); });
  return 0;
}
