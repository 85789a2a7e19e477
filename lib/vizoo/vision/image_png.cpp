// PNG by libpng: its own error handlers keep it silent, and the end of the data is an error.
#include <png.h>

#include <csetjmp>
#include <cstring>
#include <string>

#include "vizoo/core/error.h"
#include "vizoo/vision/image_formats.h"

namespace vizoo::detail {
namespace {

constexpr size_t kSignatureBytes = 8;
constexpr size_t kChunkOverhead = 12;  // length, type, checksum

// Deflate cannot pack more than this into one byte (258 bytes in two bits).
constexpr uint64_t kMaxDeflateRatio = 1032;

struct PngErrorState {
  std::jmp_buf jump;
  std::string_view rest;
  bool truncated = false;
  char message[128] = {};
};

[[noreturn]] void on_png_error(png_structp png, png_const_charp message) {
  auto& state = *static_cast<PngErrorState*>(png_get_error_ptr(png));
  std::strncpy(state.message, message, sizeof(state.message) - 1);
  std::longjmp(state.jump, 1);
}

void on_png_warning(png_structp, png_const_charp) {}

void read_data(png_structp png, png_bytep target, size_t length) {
  auto& state = *static_cast<PngErrorState*>(png_get_io_ptr(png));
  if (length > state.rest.size()) {
    state.truncated = true;
    png_error(png, "end of file");
  }
  std::memcpy(target, state.rest.data(), length);
  state.rest.remove_prefix(length);
}

struct Chunks {
  uint64_t data_bytes = 0;  // of all IDAT chunks
  std::string_view exif;
};

// Walks the chunk lengths up to IEND without looking inside.
Chunks walk_chunks(const ImageFile& file) {
  Chunks chunks;
  ByteReader reader(file.bytes, /*little_endian=*/false);
  size_t offset = kSignatureBytes;
  while (true) {
    const uint64_t length = reader.u32(offset);
    if (!reader.ok() || file.bytes.size() - offset < length + kChunkOverhead) {
      fail_truncated(file, "PNG");
    }
    const std::string_view type = file.bytes.substr(offset + 4, 4);
    if (offset == kSignatureBytes && (type != "IHDR" || length != 13)) {
      fail(file, "a PNG that starts with its header", quote(type));
    }
    if (type == "IEND") return chunks;
    if (type == "IDAT") chunks.data_bytes += length;
    if (type == "eXIf") chunks.exif = file.bytes.substr(offset + 8, static_cast<size_t>(length));
    offset += static_cast<size_t>(length) + kChunkOverhead;
  }
}

// Owns libpng's structures; see the same class for JPEG.
class PngReader {
 public:
  explicit PngReader(const ImageFile& file) : file_(file) {
    error_.rest = file.bytes;
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &error_, on_png_error, on_png_warning);
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      throw std::bad_alloc();
    }
  }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  void read_header() {
    if (!try_header()) report();
  }

  // Fills an image whose rows are libpng's: 8-bit RGB or, for 16-bit grey, big-endian grey.
  void read_rows(cv::Mat& image) {
    if (!try_rows(image.data, image.step[0], image.rows)) report();
  }

  uint32_t width() const { return png_get_image_width(png_, info_); }
  uint32_t height() const { return png_get_image_height(png_, info_); }
  int depth() const { return png_get_bit_depth(png_, info_); }
  int colour() const { return png_get_color_type(png_, info_); }
  int channels() const { return png_get_channels(png_, info_); }

 private:
  bool try_header() {
    if (setjmp(error_.jump) != 0) return false;
    png_set_read_fn(png_, &error_, read_data);
    // Ancillary chunks change no pixel here; tRNS is dropped with the alpha channel below.
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_read_info(png_, info_);
    return true;
  }

  bool try_rows(uint8_t* data, size_t stride, int height) {
    if (setjmp(error_.jump) != 0) return false;
    if (colour() == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png_);
    if (colour() == PNG_COLOR_TYPE_GRAY && depth() < 8) png_set_expand_gray_1_2_4_to_8(png_);
    if (!(colour() == PNG_COLOR_TYPE_GRAY && depth() == 16)) {
      png_set_strip_16(png_);
      if ((colour() & PNG_COLOR_MASK_COLOR) == 0) png_set_gray_to_rgb(png_);
    }
    png_set_strip_alpha(png_);
    const int passes = png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    for (int pass = 0; pass < passes; ++pass) {
      for (int y = 0; y < height; ++y)
        png_read_row(png_, data + stride * static_cast<size_t>(y), nullptr);
    }
    png_read_end(png_, nullptr);
    return true;
  }

  [[noreturn]] void report() const {
    if (error_.truncated || std::strstr(error_.message, "Not enough image data") != nullptr) {
      fail_truncated(file_, "PNG");
    }
    fail(file_, "a valid PNG", quote(error_.message));
  }

  const ImageFile& file_;
  PngErrorState error_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

// 16-bit grey is the one case in which Pillow clips instead of taking the high byte.
void grey16_to_rgb(const cv::Mat& grey, cv::Mat& out) {
  for (int y = 0; y < grey.rows; ++y) {
    const uint8_t* source = grey.ptr<uint8_t>(y);
    uint8_t* target = out.ptr<uint8_t>(y);
    for (int x = 0; x < grey.cols; ++x, source += 2) {
      const uint8_t value = source[0] != 0 ? 255 : source[1];
      for (int c = 0; c < 3; ++c) *target++ = value;
    }
  }
}

}  // namespace

DecodedImage decode_png(const ImageFile& file, const ImageDecodeOptions& options) {
  // The header's own numbers first: an absurd size is told as such, whatever else is wrong.
  ByteReader header(file.bytes, /*little_endian=*/false);
  const uint32_t width = header.u32(kSignatureBytes + 8);
  const uint32_t height = header.u32(kSignatureBytes + 12);
  if (!header.ok()) fail_truncated(file, "PNG");
  const Chunks chunks = walk_chunks(file);
  check_size(file, width, height, options);
  if (width > INT32_MAX || height > INT32_MAX) fail(file, "a valid PNG", "a side above 2^31");
  PngReader reader(file);
  reader.read_header();
  const auto pixel_bits = static_cast<uint64_t>(reader.depth() * reader.channels());
  // Each row has a byte for its filter.
  const uint64_t raw_bytes = height + uint64_t{width} * height * pixel_bits / 8;
  if (raw_bytes / kMaxDeflateRatio > chunks.data_bytes) fail_truncated(file, "PNG");

  DecodedImage decoded;
  decoded.orientation = exif_orientation(chunks.exif);
  decoded.pixels.create(static_cast<int>(height), static_cast<int>(width), CV_8UC3);
  const bool grey16 = reader.colour() == PNG_COLOR_TYPE_GRAY && reader.depth() == 16;
  cv::Mat grey;
  if (grey16) grey.create(decoded.pixels.rows, decoded.pixels.cols, CV_16UC1);
  reader.read_rows(grey16 ? grey : decoded.pixels);
  if (grey16) grey16_to_rgb(grey, decoded.pixels);
  return decoded;
}

}  // namespace vizoo::detail
