#include "vizoo/vision/image_region.h"

#include <new>
#include <string>

#include "vizoo/core/error.h"
#include "vizoo/vision/image_formats.h"

namespace vizoo {
namespace detail {

void check_region(const ImageFile& file, const ImageRegion& region, const ImageSize& image) {
  if (region.top >= 0 && region.left >= 0 && region.height >= 1 && region.width >= 1 &&
      region.height <= image.height - region.top && region.width <= image.width - region.left) {
    return;
  }
  const auto size_text = [](int64_t height, int64_t width) {
    return std::to_string(height) + " x " + std::to_string(width);
  };
  throw UsageError("image",
                   file.name,
                   "a part of the image, " + size_text(image.height, image.width),
                   size_text(region.height, region.width) + " from row " +
                       std::to_string(region.top) + ", column " + std::to_string(region.left));
}

cv::Mat part_of(const cv::Mat& image, const ImageRegion& region) {
  return image(
      cv::Range(static_cast<int>(region.top), static_cast<int>(region.top + region.height)),
      cv::Range(static_cast<int>(region.left), static_cast<int>(region.left + region.width)));
}

}  // namespace detail

cv::Mat decode_image_region(std::string_view bytes,
                            std::string_view name,
                            const RegionChooser& choose,
                            const ImageDecodeOptions& options) {
  const detail::ImageFile file{bytes, printable(name)};
  if (options.apply_exif_orientation) {
    throw UsageError("image", file.name, "parts of the image as it is stored", "an orientation");
  }
  if (bytes.substr(0, 2) == "\xFF\xD8") {
    try {
      return detail::decode_jpeg_region(file, choose, options);
    } catch (const cv::Exception& error) {
      detail::fail(file, "an image that fits the memory", quote(error.err));
    } catch (const std::bad_alloc&) {
      detail::fail(file, "an image that fits the memory", "no memory");
    }
  }
  const cv::Mat image = decode_image(bytes, name, options);
  const ImageRegion region = choose({image.rows, image.cols});
  detail::check_region(file, region, {image.rows, image.cols});
  return detail::part_of(image, region);
}

}  // namespace vizoo
