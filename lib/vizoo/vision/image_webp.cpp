// WebP by OpenCV, after the structure has been checked here: what OpenCV sees is complete.
#include <string>
#include <utility>

#include <opencv2/core.hpp>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/imgcodecs.hpp>

#include "vizoo/core/error.h"
#include "vizoo/vision/image_formats.h"

namespace vizoo::detail {
namespace {

// OpenCV's own log lines are none of the library's output.
void silence_opencv() {
  static const bool once = [] {
    cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
    return true;
  }();
  static_cast<void>(once);
}

cv::Mat decode_frame(const ImageFile& file, int width, int height) {
  silence_opencv();
  const cv::Mat bytes(
      1, static_cast<int>(file.bytes.size()), CV_8UC1, const_cast<char*>(file.bytes.data()));
  cv::Mat image = cv::imdecode(bytes, cv::IMREAD_COLOR | cv::IMREAD_IGNORE_ORIENTATION);
  if (image.empty() || image.type() != CV_8UC3 || image.cols != width || image.rows != height) {
    fail(file, "a valid WebP", "damaged image data");
  }
  for (int y = 0; y < image.rows; ++y) {
    uint8_t* pixel = image.ptr<uint8_t>(y);
    for (int x = 0; x < image.cols; ++x, pixel += 3) std::swap(pixel[0], pixel[2]);
  }
  return image;
}

}  // namespace

DecodedImage decode_webp(const ImageFile& file, const ImageDecodeOptions& options) {
  if (file.bytes.size() > INT32_MAX) fail(file, "a WebP below 2 GiB", "a larger one");
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
  decoded.pixels = decode_frame(file, static_cast<int>(width), static_cast<int>(height));
  return decoded;
}

}  // namespace vizoo::detail
