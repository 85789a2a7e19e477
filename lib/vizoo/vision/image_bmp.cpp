// BMP without run lengths: 1, 4 and 8 bits with a palette, 16 to 32 bits with or without masks.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>

#include "vizoo/vision/image_formats.h"

namespace vizoo::detail {
namespace {

constexpr size_t kFileHeaderBytes = 14;
constexpr uint32_t kOldHeaderBytes = 12;
constexpr uint32_t kBitFields = 3;

struct BmpLayout {
  uint64_t data_offset = 0;
  uint32_t header_bytes = 0;
  int64_t width = 0;
  int64_t height = 0;
  bool top_down = false;
  uint32_t bits = 0;
  uint64_t stride = 0;
  std::array<uint32_t, 3> masks{};  // red, green, blue
  std::array<std::array<uint8_t, 3>, 256> palette{};
};

BmpLayout read_layout(const ImageFile& file, const ImageDecodeOptions& options) {
  ByteReader reader(file.bytes, /*little_endian=*/true);
  BmpLayout layout;
  layout.data_offset = reader.u32(10);
  layout.header_bytes = reader.u32(14);
  const bool old_header = layout.header_bytes == kOldHeaderBytes;
  layout.width = old_header ? static_cast<int64_t>(reader.u16(18))
                            : static_cast<int64_t>(static_cast<int32_t>(reader.u32(18)));
  const auto height = old_header ? static_cast<int64_t>(reader.u16(20))
                                 : static_cast<int64_t>(static_cast<int32_t>(reader.u32(22)));
  layout.top_down = height < 0;
  layout.height = std::abs(height);
  layout.bits = reader.u16(old_header ? 24 : 28);
  const uint32_t compression = old_header ? 0 : reader.u32(30);
  const uint32_t colours = old_header ? 0 : reader.u32(46);
  if (!reader.ok()) fail_truncated(file, "BMP");
  if (!old_header && layout.header_bytes < 40) {
    fail(file, "a valid BMP", "a header of " + std::to_string(layout.header_bytes) + " bytes");
  }
  if (layout.width < 0) fail(file, "a valid BMP", "a negative width");
  check_size(
      file, static_cast<uint64_t>(layout.width), static_cast<uint64_t>(layout.height), options);
  const uint32_t bits = layout.bits;
  if (bits != 1 && bits != 4 && bits != 8 && bits != 16 && bits != 24 && bits != 32) {
    fail(file, "a BMP of 1, 4, 8, 16, 24 or 32 bits a pixel", std::to_string(bits));
  }
  const bool bit_fields = compression == kBitFields && (bits == 16 || bits == 32);
  if (compression != 0 && !bit_fields) {
    fail(file, "a BMP without compression", "compression " + std::to_string(compression));
  }
  layout.stride = (static_cast<uint64_t>(layout.width) * bits + 31) / 32 * 4;
  const uint64_t data_bytes = layout.stride * static_cast<uint64_t>(layout.height);
  if (layout.data_offset + data_bytes > file.bytes.size()) fail_truncated(file, "BMP");
  if (layout.data_offset < kFileHeaderBytes + uint64_t{layout.header_bytes}) {
    fail(file, "a valid BMP", "pixels inside the header");
  }

  layout.masks = bits == 16 ? std::array<uint32_t, 3>{0x7C00, 0x03E0, 0x001F}
                            : std::array<uint32_t, 3>{0xFF0000, 0x00FF00, 0x0000FF};
  if (bit_fields) layout.masks = {reader.u32(54), reader.u32(58), reader.u32(62)};
  // Indices beyond a short palette are black, as in Pillow.
  if (bits > 8) return layout;
  const size_t entry_bytes = old_header ? 3 : 4;
  const uint64_t known = colours == 0 ? uint64_t{1} << bits : std::min<uint64_t>(colours, 256);
  for (size_t i = 0; i < known; ++i) {
    const size_t at = kFileHeaderBytes + layout.header_bytes + i * entry_bytes;
    if (at + entry_bytes > layout.data_offset) break;
    for (size_t c = 0; c < 3; ++c)
      layout.palette[i][c] = static_cast<uint8_t>(reader.u8(at + 2 - c));
  }
  return layout;
}

// The field of a pixel under a mask, stretched to 0..255 and rounded down as in Pillow.
uint8_t pixel_field(uint32_t pixel, uint32_t mask) {
  if (mask == 0) return 0;
  while ((mask & 1) == 0) {
    mask >>= 1;
    pixel >>= 1;
  }
  return static_cast<uint8_t>(uint64_t{pixel & mask} * 255 / mask);
}

void read_row(const BmpLayout& layout, const uint8_t* row, uint8_t* out) {
  for (int64_t x = 0; x < layout.width; ++x, out += 3) {
    if (layout.bits <= 8) {
      const int64_t per_byte = 8 / layout.bits;
      const auto shift = static_cast<int>(8 - layout.bits * (x % per_byte + 1));
      const int index = (row[x / per_byte] >> shift) & ((1 << layout.bits) - 1);
      for (size_t c = 0; c < 3; ++c) out[c] = layout.palette[static_cast<size_t>(index)][c];
      continue;
    }
    const int64_t bytes = layout.bits / 8;
    uint32_t pixel = 0;
    for (int64_t i = bytes - 1; i >= 0; --i) pixel = (pixel << 8) | row[x * bytes + i];
    for (size_t c = 0; c < 3; ++c) out[c] = pixel_field(pixel, layout.masks[c]);
  }
}

}  // namespace

DecodedImage decode_bmp(const ImageFile& file, const ImageDecodeOptions& options) {
  const BmpLayout layout = read_layout(file, options);
  DecodedImage decoded;
  decoded.pixels.create(static_cast<int>(layout.height), static_cast<int>(layout.width), CV_8UC3);
  const auto* data = reinterpret_cast<const uint8_t*>(file.bytes.data()) + layout.data_offset;
  for (int64_t y = 0; y < layout.height; ++y) {
    const int64_t stored = layout.top_down ? y : layout.height - 1 - y;
    read_row(layout,
             data + static_cast<uint64_t>(stored) * layout.stride,
             decoded.pixels.ptr<uint8_t>(static_cast<int>(y)));
  }
  return decoded;
}

}  // namespace vizoo::detail
