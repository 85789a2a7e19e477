// Any text given as the index of a sharded checkpoint: an Error, or names of files in its folder.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "vizoo/core/error.h"
#include "vizoo/io/safetensors_index.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const vizoo::SafetensorsIndex index = vizoo::parse_safetensors_index(text, "index.json");
    for (const std::string& shard : index.shards()) {
      require(!shard.empty() && shard != "." && shard != "..");
      require(shard.find_first_of("/\\") == std::string::npos);
      require(shard.find('\0') == std::string::npos);
    }
  } catch (const vizoo::CheckpointError& error) {
    const std::string message = error.what();
    require(message.size() < 4096 && message.find_first_of("\n\r") == std::string::npos);
  }
  return 0;
}
