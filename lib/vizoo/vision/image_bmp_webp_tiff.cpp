// BMP, WebP and TIFF by OpenCV, which prints to stderr when a decoder fails: so the structure is
// checked here first, and what OpenCV sees is complete.
#include <algorithm>
#include <string>
#include <vector>

#include <opencv2/core.hpp>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/imgcodecs.hpp>

#include "vizoo/core/error.h"
#include "vizoo/vision/image_formats.h"

namespace vizoo::detail {
namespace {

cv::Mat decode_by_opencv(const ImageFile& file, int flags) {
  cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
  const cv::Mat bytes(1, static_cast<int>(file.bytes.size()), CV_8UC1,
                      const_cast<char*>(file.bytes.data()));
  return cv::imdecode(bytes, flags | cv::IMREAD_IGNORE_ORIENTATION);
}

// BGR to RGB in place.
void swap_red_and_blue(cv::Mat& image) {
  for (int y = 0; y < image.rows; ++y) {
    uint8_t* pixel = image.ptr<uint8_t>(y);
    for (int x = 0; x < image.cols; ++x, pixel += 3) std::swap(pixel[0], pixel[2]);
  }
}

cv::Mat decode_colour(const ImageFile& file, std::string_view format, int width, int height) {
  cv::Mat image = decode_by_opencv(file, cv::IMREAD_COLOR);
  if (image.empty() || image.type() != CV_8UC3 || image.cols != width || image.rows != height) {
    fail(file, "a valid " + std::string(format), "damaged image data");
  }
  swap_red_and_blue(image);
  return image;
}

void check_file_size(const ImageFile& file) {
  if (file.bytes.size() > INT32_MAX) fail(file, "a file below 2 GiB", "a larger one");
}

// ---- TIFF ------------------------------------------------------------------------------------

struct TiffEntry {
  uint32_t type = 0;
  uint32_t count = 0;
  size_t values = 0;  // offset of the first value
};

// Reads the first image directory of a classic TIFF.
class TiffDirectory {
 public:
  explicit TiffDirectory(const ImageFile& file)
      : file_(file), reader_(file.bytes, file.bytes[0] == 'I') {
    directory_ = reader_.u32(4);
    entries_ = reader_.u16(directory_);
    if (!reader_.ok()) fail_truncated(file, "TIFF");
  }

  // Offset of a tag's twelve-byte entry, 0 if it is absent.
  size_t entry_offset(uint32_t tag) {
    for (uint32_t i = 0; i < entries_; ++i) {
      const size_t entry = directory_ + 2 + size_t{12} * i;
      if (reader_.u16(entry) == tag) return entry;
    }
    if (!reader_.ok()) fail_truncated(file_, "TIFF");
    return 0;
  }

  // All values of a tag of type BYTE, SHORT or LONG; empty if it is absent.
  std::vector<uint32_t> values(uint32_t tag) {
    const size_t entry = entry_offset(tag);
    if (entry == 0) return {};
    const uint32_t type = reader_.u16(entry + 2);
    const uint64_t count = reader_.u32(entry + 4);
    const size_t width = type == 1 ? 1 : type == 3 ? 2 : type == 4 ? 4 : 0;
    if (width == 0) fail(file_, "a valid TIFF", "tag " + std::to_string(tag) + " of a wrong type");
    const size_t start = count * width <= 4 ? entry + 8 : reader_.u32(entry + 8);
    if (!reader_.ok() || start > file_.bytes.size() ||
        count * width > file_.bytes.size() - start) {
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
  const ImageFile& file_;
  ByteReader reader_;
  size_t directory_ = 0;
  uint32_t entries_ = 0;
};

struct TiffLayout {
  uint32_t width = 0;
  uint32_t height = 0;
  uint32_t bits = 1;
  uint32_t samples = 1;
  uint32_t compression = 1;
  uint32_t orientation = 1;
};

constexpr uint32_t kTiffUncompressed = 1;

void check_tiff_layout(const ImageFile& file, TiffDirectory& directory, const TiffLayout& layout) {
  const std::vector<uint32_t> bits = directory.values(258);
  for (const uint32_t depth : bits) {
    if ((depth != 1 && depth != 8 && depth != 16) || depth != layout.bits) {
      fail(file, "a TIFF of 1, 8 or 16 bits a sample", std::to_string(depth));
    }
  }
  if (layout.samples < 1 || layout.samples > 4 || (layout.bits == 1 && layout.samples != 1)) {
    fail(file, "a TIFF of 1 to 4 samples a pixel", std::to_string(layout.samples));
  }
  static constexpr uint32_t kCompressions[] = {kTiffUncompressed, 5, 8, 32946, 32773};
  if (std::find(std::begin(kCompressions), std::end(kCompressions), layout.compression) ==
      std::end(kCompressions)) {
    fail(file, "a TIFF without compression or with LZW, Deflate or PackBits",
         "compression " + std::to_string(layout.compression));
  }
  const uint32_t photometric = directory.value(262, 1);
  if (photometric > 3) {
    fail(file, "a grey, RGB or palette TIFF", "photometric " + std::to_string(photometric));
  }
  if (directory.value(339, 1) != 1) fail(file, "a TIFF of unsigned integers", "another sample format");
}

// Strips or tiles must lie inside the file and be enough to hold the image.
void check_tiff_data(const ImageFile& file, TiffDirectory& directory, const TiffLayout& layout) {
  const bool tiled = !directory.values(324).empty();
  const std::vector<uint32_t> offsets = directory.values(tiled ? 324 : 273);
  const std::vector<uint32_t> lengths = directory.values(tiled ? 325 : 279);
  uint64_t block_width = layout.width;
  uint64_t block_height = std::min<uint64_t>(directory.value(278, layout.height), layout.height);
  if (tiled) {
    block_width = directory.value(322, 0);
    block_height = directory.value(323, 0);
    if (block_width == 0 || block_height == 0 || block_width % 16 != 0 || block_height % 16 != 0 ||
        block_width > layout.width + 1024 || block_height > layout.height + 1024) {
      fail(file, "a valid TIFF", "tiles of an impossible size");
    }
  }
  if (block_height == 0) fail(file, "a valid TIFF", "strips without rows");
  const uint64_t planes = directory.value(284, 1) == 2 ? layout.samples : 1;
  const uint64_t blocks = ((layout.width + block_width - 1) / block_width) *
                          ((layout.height + block_height - 1) / block_height) * planes;
  if (offsets.size() != lengths.size() || offsets.size() < blocks) {
    fail(file, "a valid TIFF", "too few strips or tiles");
  }
  uint64_t total = 0;
  for (size_t i = 0; i < blocks; ++i) {
    if (uint64_t{offsets[i]} + lengths[i] > file.bytes.size()) fail_truncated(file, "TIFF");
    total += lengths[i];
  }
  const uint64_t row_bits = uint64_t{layout.width} * layout.samples * layout.bits;
  const uint64_t raw = (row_bits + 7) / 8 * layout.height;
  // LZW packs at most about 1,400 bytes into one, Deflate 1,032, PackBits 64.
  const uint64_t ratio = layout.compression == kTiffUncompressed ? 1 : 1500;
  if (total < raw / ratio) fail_truncated(file, "TIFF");
}

// libtiff multiplies the colours by an alpha channel that is declared as unassociated; alpha is to be
// dropped instead. Declared as associated it is left alone: a copy of the file that says so, empty
// if nothing is to be changed.
std::string without_premultiplication(const ImageFile& file, TiffDirectory& directory) {
  constexpr uint32_t kExtraSamples = 338;
  const std::vector<uint32_t> extra = directory.values(kExtraSamples);
  if (extra.size() != 1 || extra[0] != 2) return {};
  std::string copy(file.bytes);
  const size_t value = directory.entry_offset(kExtraSamples) + 8;
  copy[file.bytes[0] == 'I' ? value : value + 1] = 1;
  return copy;
}

// Grey of 16 bits is clipped, as in the PNG reader.
cv::Mat decode_grey16(const ImageFile& file, const TiffLayout& layout) {
  const cv::Mat grey = decode_by_opencv(file, cv::IMREAD_ANYDEPTH | cv::IMREAD_GRAYSCALE);
  if (grey.type() != CV_16UC1 || grey.cols != static_cast<int>(layout.width) ||
      grey.rows != static_cast<int>(layout.height)) {
    fail(file, "a valid TIFF", "damaged image data");
  }
  cv::Mat out(grey.rows, grey.cols, CV_8UC3);
  for (int y = 0; y < grey.rows; ++y) {
    for (int x = 0; x < grey.cols; ++x) {
      const auto value = static_cast<uint8_t>(std::min<int>(grey.at<uint16_t>(y, x), 255));
      out.at<cv::Vec3b>(y, x) = cv::Vec3b(value, value, value);
    }
  }
  return out;
}

}  // namespace

DecodedImage decode_bmp(const ImageFile& file, const DecodeOptions& options) {
  check_file_size(file);
  ByteReader reader(file.bytes, /*little_endian=*/true);
  const uint64_t data_offset = reader.u32(10);
  const uint32_t header_bytes = reader.u32(14);
  const bool old_header = header_bytes == 12;
  const auto width = old_header ? static_cast<int64_t>(reader.u16(18))
                                : static_cast<int64_t>(static_cast<int32_t>(reader.u32(18)));
  const auto height = old_header ? static_cast<int64_t>(reader.u16(20))
                                 : static_cast<int64_t>(static_cast<int32_t>(reader.u32(22)));
  const uint32_t bits = reader.u16(old_header ? 24 : 28);
  const uint32_t compression = old_header ? 0 : reader.u32(30);
  if (!reader.ok()) fail_truncated(file, "BMP");
  if (!old_header && header_bytes < 40) {
    fail(file, "a valid BMP", "a header of " + std::to_string(header_bytes) + " bytes");
  }
  if (width < 0) fail(file, "a valid BMP", "a negative width");
  const uint64_t rows = static_cast<uint64_t>(height < 0 ? -height : height);
  check_size(file, static_cast<uint64_t>(width), rows, options);
  if (bits != 1 && bits != 4 && bits != 8 && bits != 16 && bits != 24 && bits != 32) {
    fail(file, "a BMP of 1, 4, 8, 16, 24 or 32 bits a pixel", std::to_string(bits));
  }
  const bool bit_fields = compression == 3 && (bits == 16 || bits == 32);
  if (compression != 0 && !bit_fields) {
    fail(file, "a BMP without compression", "compression " + std::to_string(compression));
  }
  const uint64_t stride = (static_cast<uint64_t>(width) * bits + 31) / 32 * 4;
  if (data_offset + stride * rows > file.bytes.size()) fail_truncated(file, "BMP");
  if (data_offset < 14 + uint64_t{header_bytes}) fail(file, "a valid BMP", "pixels inside the header");
  return {decode_colour(file, "BMP", static_cast<int>(width), static_cast<int>(rows)), 1};
}

DecodedImage decode_webp(const ImageFile& file, const DecodeOptions& options) {
  check_file_size(file);
  const std::string_view bytes = file.bytes;
  ByteReader reader(bytes, /*little_endian=*/true);
  const uint64_t riff_bytes = uint64_t{reader.u32(4)} + 8;
  if (!reader.ok() || riff_bytes > bytes.size()) fail_truncated(file, "WebP");
  uint64_t width = 0;
  uint64_t height = 0;
  DecodedImage decoded;
  // The frame's own size counts; VP8X repeats it, and OpenCV reads the frame.
  bool has_frame = false;
  uint64_t offset = 12;
  while (offset + 8 <= riff_bytes) {
    const auto at = static_cast<size_t>(offset);
    const std::string_view type = bytes.substr(at, 4);
    const uint64_t length = reader.u32(at + 4);
    const size_t body = at + 8;
    if (body + length > riff_bytes) fail_truncated(file, "WebP");
    if (type == "ANIM" || type == "ANMF") fail(file, "a still WebP", "an animation");
    if (type == "EXIF") decoded.orientation = exif_orientation(bytes.substr(body, length));
    if (type == "VP8 " && !has_frame) {
      width = reader.u16(body + 6) & 0x3FFF;
      height = reader.u16(body + 8) & 0x3FFF;
      has_frame = true;
    } else if (type == "VP8L" && !has_frame) {
      const uint32_t packed = reader.u32(body + 1);
      width = (packed & 0x3FFF) + 1;
      height = ((packed >> 14) & 0x3FFF) + 1;
      has_frame = true;
    }
    offset = body + length + (length & 1);
  }
  if (!has_frame || !reader.ok()) fail_truncated(file, "WebP");
  check_size(file, width, height, options);
  decoded.pixels = decode_colour(file, "WebP", static_cast<int>(width), static_cast<int>(height));
  return decoded;
}

DecodedImage decode_tiff(const ImageFile& file, const DecodeOptions& options) {
  check_file_size(file);
  if (file.bytes.size() < 8) fail_truncated(file, "TIFF");
  TiffDirectory directory(file);
  TiffLayout layout;
  layout.width = directory.value(256, 0);
  layout.height = directory.value(257, 0);
  check_size(file, layout.width, layout.height, options);
  layout.bits = directory.value(258, 1);
  layout.samples = directory.value(277, 1);
  layout.compression = directory.value(259, kTiffUncompressed);
  layout.orientation = directory.value(274, 1);
  check_tiff_layout(file, directory, layout);
  check_tiff_data(file, directory, layout);
  DecodedImage decoded;
  decoded.orientation = layout.orientation <= 8 ? static_cast<int>(layout.orientation) : 1;
  if (layout.bits == 16 && layout.samples == 1) {
    decoded.pixels = decode_grey16(file, layout);
    return decoded;
  }
  const std::string copy = without_premultiplication(file, directory);
  const ImageFile shown{copy.empty() ? file.bytes : copy, file.name};
  decoded.pixels = decode_colour(shown, "TIFF", static_cast<int>(layout.width),
                                 static_cast<int>(layout.height));
  return decoded;
}

}  // namespace vizoo::detail
