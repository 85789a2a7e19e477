#include "vizoo/vision/image.h"

#include <algorithm>
#include <fstream>
#include <system_error>

#include "vizoo/core/error.h"
#include "vizoo/vision/image_formats.h"

namespace vizoo {
namespace detail {

void fail(const ImageFile& file, std::string_view expected, std::string_view got) {
  throw ImageError("image", file.name, expected, got);
}

void fail_truncated(const ImageFile& file, std::string_view format) {
  fail(file, "a complete " + std::string(format), "a file that ends early");
}

void check_size(const ImageFile& file,
                uint64_t width,
                uint64_t height,
                const ImageDecodeOptions& options) {
  const std::string size = std::to_string(width) + " x " + std::to_string(height);
  if (width == 0 || height == 0) fail(file, "at least one pixel", size);
  const auto limit = static_cast<uint64_t>(std::max<int64_t>(options.max_pixels, 0));
  if (width > limit / height) {
    fail(file, "at most " + std::to_string(limit) + " pixels", size);
  }
}

uint32_t ByteReader::read(size_t offset, size_t length) {
  if (offset > bytes_.size() || bytes_.size() - offset < length) {
    ok_ = false;
    return 0;
  }
  uint32_t value = 0;
  for (size_t i = 0; i < length; ++i) {
    const size_t at = little_endian_ ? length - 1 - i : i;
    value = (value << 8) | static_cast<unsigned char>(bytes_[offset + at]);
  }
  return value;
}

int exif_orientation(std::string_view exif) {
  if (exif.substr(0, 6) == std::string_view("Exif\0\0", 6)) exif.remove_prefix(6);
  const bool little = exif.substr(0, 2) == "II";
  if (!little && exif.substr(0, 2) != "MM") return 1;
  ByteReader reader(exif, little);
  if (reader.u16(2) != 42) return 1;
  const size_t directory = reader.u32(4);
  const uint32_t entries = reader.u16(directory);
  for (uint32_t i = 0; i < entries && reader.ok(); ++i) {
    const size_t entry = directory + 2 + size_t{12} * i;
    if (reader.u16(entry) != 0x0112) continue;
    const uint32_t value = reader.u16(entry + 8);
    return reader.ok() && value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

}  // namespace detail

namespace {

using detail::DecodedImage;
using detail::ImageFile;

bool starts_with(std::string_view bytes, std::string_view magic) {
  return bytes.substr(0, magic.size()) == magic;
}

std::string_view other_format(std::string_view bytes) {
  if (starts_with(bytes, "GIF8")) return "a GIF";
  if (bytes.substr(4, 8) == "ftypavif") return "an AVIF";
  if (bytes.substr(4, 4) == "ftyp") return "an ISO media file";
  if (starts_with(bytes, "%PDF")) return "a PDF";
  if (starts_with(bytes, std::string_view("II+\0", 4)) ||
      starts_with(bytes, std::string_view("MM\0+", 4))) {
    return "a BigTIFF";
  }
  return "something else";
}

DecodedImage decode_image(const ImageFile& file, const ImageDecodeOptions& options) {
  const std::string_view bytes = file.bytes;
  if (bytes.empty()) detail::fail(file, "an image", "an empty file");
  if (starts_with(bytes, "\xFF\xD8")) return detail::decode_jpeg(file, options);
  if (starts_with(bytes, "\x89PNG\r\n\x1A\n")) return detail::decode_png(file, options);
  if (starts_with(bytes, "BM")) return detail::decode_bmp(file, options);
  if (starts_with(bytes, "RIFF") && bytes.substr(8, 4) == "WEBP") {
    return detail::decode_webp(file, options);
  }
  if (starts_with(bytes, std::string_view("II*\0", 4)) ||
      starts_with(bytes, std::string_view("MM\0*", 4))) {
    return detail::decode_tiff(file, options);
  }
  detail::fail(file, "a JPEG, PNG, BMP, WebP or TIFF image", other_format(bytes));
}

// Orientation 1 to 8: where row 0 and column 0 of the stored image belong.
cv::Mat upright(const cv::Mat& image, int orientation) {
  if (orientation <= 1) return image;
  const bool transpose = orientation >= 5;
  const bool flip_rows =
      orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  const bool flip_columns =
      orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  const int rows = transpose ? image.cols : image.rows;
  const int columns = transpose ? image.rows : image.cols;
  cv::Mat out(rows, columns, CV_8UC3);
  for (int y = 0; y < rows; ++y) {
    const int v = flip_rows ? rows - 1 - y : y;
    for (int x = 0; x < columns; ++x) {
      const int u = flip_columns ? columns - 1 - x : x;
      out.at<cv::Vec3b>(y, x) = transpose ? image.at<cv::Vec3b>(u, v) : image.at<cv::Vec3b>(v, u);
    }
  }
  return out;
}

std::string read_bytes(const std::filesystem::path& path, const std::string& name) {
  std::error_code code;
  const auto status = std::filesystem::status(path, code);
  if (!std::filesystem::exists(status)) {
    throw ImageError("image", name, "an image file", "no such file");
  }
  if (!std::filesystem::is_regular_file(status)) {
    throw ImageError("image", name, "an image file", "a folder or special file");
  }
  std::ifstream stream(path, std::ios::binary);
  const auto size = std::filesystem::file_size(path, code);
  if (!stream || code) throw ImageError("image", name, "a readable file", "a read error");
  std::string bytes(static_cast<size_t>(size), '\0');
  stream.read(bytes.data(), static_cast<std::streamsize>(size));
  if (static_cast<uintmax_t>(stream.gcount()) != size) {
    throw ImageError("image", name, "a readable file", "a read error");
  }
  return bytes;
}

}  // namespace

cv::Mat decode_image(std::string_view bytes,
                     std::string_view name,
                     const ImageDecodeOptions& options) {
  const ImageFile file{bytes, printable(name)};
  try {
    const DecodedImage decoded = decode_image(file, options);
    return options.apply_exif_orientation ? upright(decoded.pixels, decoded.orientation)
                                          : decoded.pixels;
  } catch (const cv::Exception& error) {
    detail::fail(file, "an image that OpenCV can decode", quote(error.err));
  } catch (const std::bad_alloc&) {
    detail::fail(file, "an image that fits the memory", "no memory");
  }
}

cv::Mat read_image(const std::filesystem::path& path, const ImageDecodeOptions& options) {
  const std::string name = path.string();
  return decode_image(read_bytes(path, printable(name)), name, options);
}

ImageView image_view(const cv::Mat& image) {
  if (image.empty() || image.dims != 2 || image.depth() != CV_8U || image.channels() > 4) {
    throw ImageError("image",
                     "cv::Mat",
                     "a two-dimensional 8-bit image of 1 to 4 channels",
                     image.empty() ? "an empty one" : cv::typeToString(image.type()));
  }
  return {image.ptr<uint8_t>(),
          image.rows,
          image.cols,
          image.channels(),
          static_cast<int64_t>(image.step[0])};
}

MutableImageView mutable_image_view(cv::Mat& image) {
  const ImageView view = image_view(image);
  return {image.ptr<uint8_t>(), view.height, view.width, view.channels, view.row_stride};
}

}  // namespace vizoo
