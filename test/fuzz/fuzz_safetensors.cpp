// Any bytes given as a safetensors file: an Error, or tensors that cover the data exactly.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "vizoo/core/error.h"
#include "vizoo/io/safetensors_header.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  try {
    const vizoo::SafetensorsHeader header = vizoo::parse_safetensors_header(file, "m.safetensors");
    uint64_t end = 0;
    for (const auto& entry : header.entries) {
      require(entry.begin == end && entry.end >= entry.begin);
      require(entry.first_dimension + entry.rank <= header.dimensions.size());
      require(header.find(entry.name) == &entry);
      end = entry.end;
    }
    require(header.data_begin + end == size);
  } catch (const vizoo::CheckpointError& error) {
    const std::string message = error.what();
    require(message.size() < 4096 && message.find_first_of("\n\r") == std::string::npos);
  }
  return 0;
}
