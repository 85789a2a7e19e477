// Classic TIFF, first image: 1, 8 or 16 bits, grey, RGB or palette, strips or tiles. Read here and
// not by OpenCV, which prints to stderr when a file is damaged and blends alpha into the colours.
#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "vizoo/vision/image_formats.h"
#include "vizoo/vision/tiff_codecs.h"

namespace vizoo::detail {
namespace {

// Tags of TIFF 6.0.
enum Tag : uint32_t {
  kWidth = 256,
  kHeight = 257,
  kBits = 258,
  kCompression = 259,
  kPhotometric = 262,
  kFillOrder = 266,
  kStripOffsets = 273,
  kOrientation = 274,
  kSamples = 277,
  kRowsPerStrip = 278,
  kStripLengths = 279,
  kPlanes = 284,
  kPredictor = 317,
  kColourMap = 320,
  kTileWidth = 322,
  kTileHeight = 323,
  kTileOffsets = 324,
  kTileLengths = 325,
  kExtraSamples = 338,
  kSampleFormat = 339,
};

constexpr uint32_t kUncompressed = 1;
constexpr uint32_t kLzw = 5;
constexpr uint32_t kDeflate = 8;
constexpr uint32_t kOldDeflate = 32946;
constexpr uint32_t kPackBits = 32773;

constexpr uint32_t kWhiteIsZero = 0;
constexpr uint32_t kRgb = 2;
constexpr uint32_t kPalette = 3;

class Directory {
 public:
  explicit Directory(const ImageFile& file)
      : file_(file), reader_(file.bytes, file.bytes[0] == 'I') {
    offset_ = reader_.u32(4);
    entries_ = reader_.u16(offset_);
    if (!reader_.ok()) fail_truncated(file, "TIFF");
  }

  // All values of a tag of type BYTE, SHORT or LONG; empty if it is absent.
  std::vector<uint32_t> values(uint32_t tag) {
    const size_t entry = find(tag);
    if (entry == 0) return {};
    const uint32_t type = reader_.u16(entry + 2);
    const uint64_t count = reader_.u32(entry + 4);
    const size_t width = type == 1 ? 1 : type == 3 ? 2 : type == 4 ? 4 : 0;
    if (width == 0) fail(file_, "a valid TIFF", "tag " + std::to_string(tag) + " of a wrong type");
    const size_t start = count * width <= 4 ? entry + 8 : reader_.u32(entry + 8);
    if (!reader_.ok() || start > file_.bytes.size() || count * width > file_.bytes.size() - start) {
      fail_truncated(file_, "TIFF");
    }
    std::vector<uint32_t> out(static_cast<size_t>(count));
    for (size_t k = 0; k < out.size(); ++k) {
      const size_t at = start + k * width;
      out[k] = width == 1 ? reader_.u8(at) : width == 2 ? reader_.u16(at) : reader_.u32(at);
    }
    return out;
  }

  uint32_t value(uint32_t tag, uint32_t fallback) {
    const std::vector<uint32_t> all = values(tag);
    return all.empty() ? fallback : all[0];
  }

 private:
  // Offset of a tag's twelve bytes, 0 if it is absent.
  size_t find(uint32_t tag) {
    for (uint32_t i = 0; i < entries_; ++i) {
      const size_t entry = offset_ + 2 + size_t{12} * i;
      if (reader_.u16(entry) == tag) return entry;
    }
    if (!reader_.ok()) fail_truncated(file_, "TIFF");
    return 0;
  }

  const ImageFile& file_;
  ByteReader reader_;
  size_t offset_ = 0;
  uint32_t entries_ = 0;
};

struct TiffLayout {
  uint64_t width = 0;
  uint64_t height = 0;
  uint32_t bits = 1;
  uint32_t samples = 1;
  uint32_t compression = kUncompressed;
  uint32_t photometric = 1;
  uint32_t predictor = 1;
  bool little_endian = true;
  bool premultiplied = false;
  bool planar = false;
  bool tiled = false;
  uint64_t block_width = 0;
  uint64_t block_height = 0;
  std::vector<uint32_t> offsets;
  std::vector<uint32_t> lengths;
  std::vector<uint32_t> colour_map;

  uint64_t block_samples() const { return planar ? 1 : samples; }
  uint64_t row_bytes() const { return (block_width * block_samples() * bits + 7) / 8; }
};

void read_format(const ImageFile& file, Directory& directory, TiffLayout& layout) {
  layout.little_endian = file.bytes[0] == 'I';
  layout.samples = directory.value(kSamples, 1);
  const std::vector<uint32_t> depths = directory.values(kBits);
  layout.bits = depths.empty() ? 1 : depths[0];
  for (const uint32_t depth : depths) {
    if ((depth != 1 && depth != 8 && depth != 16) || depth != layout.bits) {
      fail(file, "a TIFF of 1, 8 or 16 bits a sample", std::to_string(depth));
    }
  }
  if (layout.samples < 1 || layout.samples > 4 || (layout.bits == 1 && layout.samples != 1)) {
    fail(file, "a TIFF of 1 to 4 samples a pixel", std::to_string(layout.samples));
  }
  layout.compression = directory.value(kCompression, kUncompressed);
  static constexpr uint32_t kCompressions[] = {
      kUncompressed, kLzw, kDeflate, kOldDeflate, kPackBits};
  if (std::find(std::begin(kCompressions), std::end(kCompressions), layout.compression) ==
      std::end(kCompressions)) {
    fail(file,
         "a TIFF without compression or with LZW, Deflate or PackBits",
         "compression " + std::to_string(layout.compression));
  }
  layout.photometric = directory.value(kPhotometric, 1);
  layout.colour_map = directory.values(kColourMap);
  const bool colours_fit = layout.photometric == kRgb ? layout.samples >= 3 : layout.samples <= 2;
  const bool map_fits = layout.photometric != kPalette ||
                        (layout.bits <= 8 && layout.colour_map.size() == (3u << layout.bits));
  if (layout.photometric > kPalette || !colours_fit || !map_fits) {
    fail(file,
         "a grey, RGB or palette TIFF",
         "photometric " + std::to_string(layout.photometric) + " with " +
             std::to_string(layout.samples) + " samples a pixel");
  }
  if (directory.value(kSampleFormat, 1) != 1 || directory.value(kFillOrder, 1) != 1) {
    fail(file, "a TIFF of unsigned integers, high bits first", "another form of samples");
  }
  layout.predictor = directory.value(kPredictor, 1);
  if (layout.predictor > 2 || (layout.predictor == 2 && layout.bits == 1)) {
    fail(file,
         "a TIFF without or with horizontal prediction",
         "predictor " + std::to_string(layout.predictor));
  }
  const std::vector<uint32_t> extra = directory.values(kExtraSamples);
  layout.premultiplied = layout.samples == 4 && extra.size() == 1 && extra[0] == 1;
}

// Strips or tiles must lie inside the file and be enough to hold the image.
void read_blocks(const ImageFile& file, Directory& directory, TiffLayout& layout) {
  layout.offsets = directory.values(kTileOffsets);
  layout.tiled = !layout.offsets.empty();
  if (!layout.tiled) layout.offsets = directory.values(kStripOffsets);
  layout.lengths = directory.values(layout.tiled ? kTileLengths : kStripLengths);
  layout.planar = directory.value(kPlanes, 1) == 2 && layout.samples > 1;
  layout.block_width = layout.width;
  layout.block_height =
      std::min<uint64_t>(directory.value(kRowsPerStrip, UINT32_MAX), layout.height);
  if (layout.tiled) {
    layout.block_width = directory.value(kTileWidth, 0);
    layout.block_height = directory.value(kTileHeight, 0);
    if (layout.block_width % 16 != 0 || layout.block_height % 16 != 0 ||
        layout.block_width > layout.width + 1024 || layout.block_height > layout.height + 1024) {
      fail(file, "a valid TIFF", "tiles of an impossible size");
    }
  }
  if (layout.block_width == 0 || layout.block_height == 0) {
    fail(file, "a valid TIFF", "strips or tiles without pixels");
  }
  const uint64_t columns = (layout.width + layout.block_width - 1) / layout.block_width;
  const uint64_t rows = (layout.height + layout.block_height - 1) / layout.block_height;
  const uint64_t blocks = columns * rows * (layout.planar ? layout.samples : 1);
  if (layout.offsets.size() < blocks || layout.lengths.size() < blocks) {
    fail(file, "a valid TIFF", "too few strips or tiles");
  }
  uint64_t total = 0;
  for (size_t i = 0; i < blocks; ++i) {
    if (uint64_t{layout.offsets[i]} + layout.lengths[i] > file.bytes.size()) {
      fail_truncated(file, "TIFF");
    }
    total += layout.lengths[i];
  }
  // Most that one byte can stand for; checked before the image is allocated.
  const uint64_t ratio = layout.compression == kUncompressed ? 1 : 4096;
  const uint64_t raw = (layout.width * layout.samples * layout.bits + 7) / 8 * layout.height;
  if (total < raw / ratio) fail_truncated(file, "TIFF");
}

// Undoes horizontal differencing in one row.
void accumulate(const TiffLayout& layout, uint8_t* row) {
  const uint64_t step = layout.block_samples();
  const uint64_t count = layout.block_width * step;
  if (layout.bits == 8) {
    for (uint64_t i = step; i < count; ++i) row[i] = static_cast<uint8_t>(row[i] + row[i - step]);
    return;
  }
  const int low = layout.little_endian ? 0 : 1;
  for (uint64_t i = step; i < count; ++i) {
    uint8_t* value = row + 2 * i;
    const uint8_t* before = row + 2 * (i - step);
    const int sum = value[low] + value[1 - low] * 256 + before[low] + before[1 - low] * 256;
    value[low] = static_cast<uint8_t>(sum);
    value[1 - low] = static_cast<uint8_t>(sum >> 8);
  }
}

// The bytes of a strip or tile, unpacked into `buffer` where they are packed.
const uint8_t* block_bytes(
    const ImageFile& file, const TiffLayout& layout, size_t index, size_t size, uint8_t* buffer) {
  const std::string_view packed = file.bytes.substr(layout.offsets[index], layout.lengths[index]);
  TiffResult result = TiffResult::ok;
  if (layout.compression == kUncompressed) {
    if (packed.size() < size) fail_truncated(file, "TIFF");
    if (layout.predictor == 1) return reinterpret_cast<const uint8_t*>(packed.data());
    std::memcpy(buffer, packed.data(), size);
  } else if (layout.compression == kLzw) {
    result = decode_lzw(packed, buffer, size);
  } else if (layout.compression == kPackBits) {
    result = decode_packbits(packed, buffer, size);
  } else {
    result = decode_deflate(packed, buffer, size);
  }
  if (result == TiffResult::truncated) fail_truncated(file, "TIFF");
  if (result == TiffResult::damaged) fail(file, "a valid TIFF", "damaged image data");
  if (layout.predictor == 2) {
    const auto row_bytes = static_cast<size_t>(layout.row_bytes());
    for (size_t at = 0; at + row_bytes <= size; at += row_bytes) accumulate(layout, buffer + at);
  }
  return buffer;
}

// Sample `index` of a row as 8 bits. 16-bit grey is clipped, other 16-bit samples keep their high
// byte, as in Pillow.
uint8_t sample_at(const TiffLayout& layout, const uint8_t* row, uint64_t index) {
  if (layout.bits == 8) return row[index];
  if (layout.bits == 1) return (row[index / 8] >> (7 - index % 8)) & 1;
  const uint8_t high = row[2 * index + (layout.little_endian ? 1 : 0)];
  const uint8_t low = row[2 * index + (layout.little_endian ? 0 : 1)];
  if (layout.samples > 1) return high;
  return high != 0 ? 255 : low;
}

void write_pixel(const TiffLayout& layout, const uint8_t* samples, uint8_t* out) {
  if (layout.photometric == kPalette) {
    const size_t colours = size_t{1} << layout.bits;
    for (size_t c = 0; c < 3; ++c) {
      out[c] = static_cast<uint8_t>(layout.colour_map[c * colours + samples[0]] >> 8);
    }
    return;
  }
  for (int c = 0; c < 3; ++c) {
    uint8_t value = samples[layout.photometric == kRgb ? c : 0];
    if (layout.bits == 1) value = value != 0 ? 255 : 0;
    if (layout.photometric == kWhiteIsZero) value = static_cast<uint8_t>(255 - value);
    if (layout.premultiplied) {
      const int alpha = samples[3];
      value = alpha == 0 ? 0 : static_cast<uint8_t>(std::min(255 * value / alpha, 255));
    }
    out[c] = value;
  }
}

// Planar samples are gathered in `planes` first: [samples] images of width x height bytes.
void read_pixels(const ImageFile& file, const TiffLayout& layout, cv::Mat& image) {
  const uint64_t columns = (layout.width + layout.block_width - 1) / layout.block_width;
  const uint64_t rows = (layout.height + layout.block_height - 1) / layout.block_height;
  const auto row_bytes = static_cast<size_t>(layout.row_bytes());
  const std::unique_ptr<uint8_t[]> buffer(
      new uint8_t[row_bytes * static_cast<size_t>(layout.block_height)]);
  const uint64_t planes = layout.planar ? layout.samples : 1;
  std::vector<cv::Mat> gathered(layout.planar ? layout.samples : 0);
  for (cv::Mat& plane : gathered) plane.create(image.rows, image.cols, CV_8UC1);
  for (uint64_t block = 0; block < columns * rows * planes; ++block) {
    const uint64_t plane = block / (columns * rows);
    const uint64_t top = block % (columns * rows) / columns * layout.block_height;
    const uint64_t left = block % columns * layout.block_width;
    // A tile is always whole, the last strip is not.
    const uint64_t inside = std::min(layout.block_height, layout.height - top);
    const uint64_t stored = layout.tiled ? layout.block_height : inside;
    const uint8_t* bytes = block_bytes(file,
                                       layout,
                                       static_cast<size_t>(block),
                                       row_bytes * static_cast<size_t>(stored),
                                       buffer.get());
    const uint64_t width = std::min(layout.block_width, layout.width - left);
    for (uint64_t y = 0; y < inside; ++y) {
      const uint8_t* row = bytes + y * row_bytes;
      for (uint64_t x = 0; x < width; ++x) {
        if (layout.planar) {
          gathered[plane].ptr<uint8_t>(static_cast<int>(top + y))[left + x] =
              sample_at(layout, row, x);
          continue;
        }
        uint8_t samples[4];
        for (uint32_t s = 0; s < layout.samples; ++s) {
          samples[s] = sample_at(layout, row, x * layout.samples + s);
        }
        write_pixel(
            layout, samples, image.ptr<uint8_t>(static_cast<int>(top + y)) + 3 * (left + x));
      }
    }
  }
  for (int y = 0; layout.planar && y < image.rows; ++y) {
    for (int x = 0; x < image.cols; ++x) {
      uint8_t samples[4];
      for (uint32_t s = 0; s < layout.samples; ++s) samples[s] = gathered[s].ptr<uint8_t>(y)[x];
      write_pixel(layout, samples, image.ptr<uint8_t>(y) + 3 * x);
    }
  }
}

}  // namespace

DecodedImage decode_tiff(const ImageFile& file, const ImageDecodeOptions& options) {
  if (file.bytes.size() < 8) fail_truncated(file, "TIFF");
  Directory directory(file);
  TiffLayout layout;
  layout.width = directory.value(kWidth, 0);
  layout.height = directory.value(kHeight, 0);
  check_size(file, layout.width, layout.height, options);
  if (layout.width > INT32_MAX || layout.height > INT32_MAX) {
    fail(file, "a valid TIFF", "a side above 2^31");
  }
  read_format(file, directory, layout);
  read_blocks(file, directory, layout);
  DecodedImage decoded;
  const uint32_t orientation = directory.value(kOrientation, 1);
  decoded.orientation = orientation >= 1 && orientation <= 8 ? static_cast<int>(orientation) : 1;
  decoded.pixels.create(static_cast<int>(layout.height), static_cast<int>(layout.width), CV_8UC3);
  read_pixels(file, layout, decoded.pixels);
  return decoded;
}

}  // namespace vizoo::detail
