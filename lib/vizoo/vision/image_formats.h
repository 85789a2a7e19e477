#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <opencv2/core.hpp>

#include "vizoo/vision/image.h"
#include "vizoo/vision/image_region.h"

namespace vizoo::detail {

/// A file in memory and the name that messages use.
struct ImageFile {
  std::string_view bytes;
  std::string name;
};

/// What a decoder returns: RGB uint8, and the EXIF orientation (1 to 8) for the caller to apply.
struct DecodedImage {
  cv::Mat pixels;
  int orientation = 1;
};

DecodedImage decode_jpeg(const ImageFile& file, const ImageDecodeOptions& options);
/// As decode_image_region.
cv::Mat decode_jpeg_region(const ImageFile& file,
                           const RegionChooser& choose,
                           const ImageDecodeOptions& options);
DecodedImage decode_png(const ImageFile& file, const ImageDecodeOptions& options);
DecodedImage decode_bmp(const ImageFile& file, const ImageDecodeOptions& options);
DecodedImage decode_webp(const ImageFile& file, const ImageDecodeOptions& options);
DecodedImage decode_tiff(const ImageFile& file, const ImageDecodeOptions& options);

/// Orientation in a TIFF-structured EXIF block, 1 if there is none or it makes no sense.
int exif_orientation(std::string_view exif);

/// Throws `[image] NAME: expected <expected>, got <got>.`
[[noreturn]] void fail(const ImageFile& file, std::string_view expected, std::string_view got);

/// `expected a complete <format>, got a file that ends early`.
[[noreturn]] void fail_truncated(const ImageFile& file, std::string_view format);

/// Throws UsageError unless `region` is not empty and within the image.
void check_region(const ImageFile& file, const ImageRegion& region, const ImageSize& image);

/// The part `region` of an image, which lies within it; shares its memory.
cv::Mat part_of(const cv::Mat& image, const ImageRegion& region);

/// Throws ImageError unless 1 <= width * height <= options.max_pixels.
void check_size(const ImageFile& file,
                uint64_t width,
                uint64_t height,
                const ImageDecodeOptions& options);

/// Bounds-checked little- and big-endian reads; an offset beyond the end gives 0 and clears `ok`.
class ByteReader {
 public:
  ByteReader(std::string_view bytes, bool little_endian)
      : bytes_(bytes), little_endian_(little_endian) {}

  uint32_t u8(size_t offset) { return read(offset, 1); }
  uint32_t u16(size_t offset) { return read(offset, 2); }
  uint32_t u32(size_t offset) { return read(offset, 4); }
  bool ok() const { return ok_; }

 private:
  uint32_t read(size_t offset, size_t length);

  std::string_view bytes_;
  bool little_endian_;
  bool ok_ = true;
};

}  // namespace vizoo::detail
