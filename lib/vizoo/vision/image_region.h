#pragma once

#include <functional>
#include <string_view>

#include <opencv2/core.hpp>

#include "vizoo/vision/image.h"
#include "vizoo/vision/image_transforms.h"

namespace vizoo {

/// Part of an image: rows [top, top + height), columns [left, left + width).
struct ImageRegion {
  int64_t top = 0;
  int64_t left = 0;
  int64_t height = 0;
  int64_t width = 0;

  bool operator==(const ImageRegion& other) const {
    return top == other.top && left == other.left && height == other.height && width == other.width;
  }
};

/// Chooses the part of an image of which only the size is known yet.
using RegionChooser = std::function<ImageRegion(const ImageSize&)>;

/// The part of decode_image's image that `choose` asks for, byte for byte. It is called once, with
/// the size of the image before any orientation; apply_exif_orientation must be off.
///
/// Of a JPEG only the rows and columns that are needed are decoded, if it ends with its end marker:
/// damage below the part then goes unnoticed. Throws ImageError as decode_image, UsageError for a
/// part that is empty or not within the image, and what `choose` throws.
cv::Mat decode_image_region(std::string_view bytes,
                            std::string_view name,
                            const RegionChooser& choose,
                            const ImageDecodeOptions& options = {});

}  // namespace vizoo
