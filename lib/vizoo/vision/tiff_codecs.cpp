// The compressions of TIFF 6.0 that photos come in: LZW (section 13), PackBits (section 9), and
// Deflate (Adobe's technical note 3).
#include "vizoo/vision/tiff_codecs.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

namespace vizoo::detail {
namespace {

constexpr int kClearCode = 256;
constexpr int kEndCode = 257;
constexpr int kMaxCodes = 4096;

// Codes of growing width, most significant bit first.
class BitReader {
 public:
  explicit BitReader(std::string_view bytes) : bytes_(bytes) {}

  // -1 at the end of the data.
  int read(int width) {
    while (bits_ < width) {
      if (next_ == bytes_.size()) return -1;
      window_ = (window_ << 8) | static_cast<unsigned char>(bytes_[next_++]);
      bits_ += 8;
    }
    bits_ -= width;
    return static_cast<int>((window_ >> bits_) & ((1u << width) - 1));
  }

 private:
  std::string_view bytes_;
  size_t next_ = 0;
  uint32_t window_ = 0;
  int bits_ = 0;
};

}  // namespace

TiffResult decode_lzw(std::string_view packed, uint8_t* out, size_t size) {
  // A string of the table is a place in the output written so far, and a length.
  struct Entry {
    size_t start;
    size_t length;
  };
  const auto table = std::make_unique<Entry[]>(kMaxCodes);
  BitReader reader(packed);
  size_t written = 0;
  int codes = kEndCode + 1;
  int width = 9;
  Entry previous{0, 0};  // no string since the last clear
  while (written < size) {
    const int code = reader.read(width);
    if (code < 0 || code == kEndCode) return TiffResult::truncated;
    if (code == kClearCode) {
      codes = kEndCode + 1;
      width = 9;
      previous = {0, 0};
      continue;
    }
    const Entry current{written, 0};
    size_t length = 1;
    if (code < kClearCode) {
      out[written] = static_cast<uint8_t>(code);
    } else {
      // The code being defined right now is the previous string and its own first byte.
      const bool known = code < codes;
      if (!known && (code != codes || previous.length == 0)) return TiffResult::damaged;
      const Entry source = known ? table[code] : previous;
      length = std::min(source.length + (known ? 0 : 1), size - written);
      // Byte by byte: source and target overlap when a string repeats itself.
      for (size_t i = 0; i < length; ++i) out[written + i] = out[source.start + i];
    }
    if (previous.length != 0 && codes < kMaxCodes) {
      table[codes++] = {previous.start, previous.length + 1};
    }
    previous = {current.start, length};
    written += length;
    // TIFF widens one code earlier than GIF.
    if (codes >= (1 << width) - 1 && width < 12) ++width;
  }
  return TiffResult::ok;
}

TiffResult decode_packbits(std::string_view packed, uint8_t* out, size_t size) {
  size_t written = 0;
  size_t next = 0;
  while (written < size) {
    if (next == packed.size()) return TiffResult::truncated;
    const int header = static_cast<signed char>(packed[next++]);
    if (header == -128) continue;
    const size_t count = static_cast<size_t>(header < 0 ? 1 - header : 1 + header);
    const size_t source = header < 0 ? 1 : count;
    if (packed.size() - next < source) return TiffResult::truncated;
    const size_t length = std::min(count, size - written);
    if (header < 0) {
      std::memset(out + written, packed[next], length);
    } else {
      std::memcpy(out + written, packed.data() + next, length);
    }
    next += source;
    written += length;
  }
  return TiffResult::ok;
}

TiffResult decode_deflate(std::string_view packed, uint8_t* out, size_t size) {
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) return TiffResult::damaged;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  TiffResult result = TiffResult::ok;
  size_t written = 0;
  while (written < size) {
    const size_t step = std::min<size_t>(size - written, 1u << 30);
    stream.next_out = out + written;
    stream.avail_out = static_cast<uInt>(step);
    const int status = inflate(&stream, Z_NO_FLUSH);
    written += step - stream.avail_out;
    if (written == size) break;
    if (status != Z_OK) {
      const bool ended = status == Z_STREAM_END || status == Z_BUF_ERROR;
      result = ended ? TiffResult::truncated : TiffResult::damaged;
      break;
    }
  }
  inflateEnd(&stream);
  return result;
}

}  // namespace vizoo::detail
