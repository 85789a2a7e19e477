#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vizoo::detail {

/// How a strip or tile of a TIFF ended.
enum class TiffResult { ok, truncated, damaged };

/// Each decodes `packed` to exactly `size` bytes at `out`; more data than that is left unread.
TiffResult decode_lzw(std::string_view packed, uint8_t* out, size_t size);
TiffResult decode_packbits(std::string_view packed, uint8_t* out, size_t size);
TiffResult decode_deflate(std::string_view packed, uint8_t* out, size_t size);

}  // namespace vizoo::detail
