#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include <opencv2/core.hpp>

#include "vizoo/vision/resample.h"

namespace vizoo {

/// How an image file becomes pixels.
struct ImageDecodeOptions {
  /// Turn the image upright by its EXIF orientation, as Transformers' pipelines do. Off by default:
  /// the processors see what `PIL.Image.open` gives, which ignores the tag.
  bool apply_exif_orientation = false;
  /// Width times height that a file may claim; checked before anything of that size is allocated.
  int64_t max_pixels = kDefaultMaxPixels;
};

/// Decodes an image file as `PIL.Image.open(path).convert("RGB")` does: H x W x 3, uint8, RGB.
///
/// Formats: JPEG, PNG, BMP, WebP and TIFF, told apart by content, not by name. Grey becomes three
/// equal channels, palettes are looked up, alpha and transparency are dropped (not blended), CMYK
/// JPEG is converted as Pillow does. 16-bit channels keep their high byte, except 16-bit grey,
/// whose values are clipped to 255, as in Pillow. Where Pillow pads or tolerates, we do not: a file
/// that ends early is an error, also when all of its pixels could be guessed.
/// Not read: animated WebP, lossless or 12-bit JPEG, run-length encoded BMP, BigTIFF, and TIFF with
/// other compressions than none, LZW, Deflate and PackBits. Of several images in a TIFF the first.
/// Throws ImageError: `[image] photo.jpg: expected ..., got ...`.
cv::Mat read_image(const std::filesystem::path& path, const ImageDecodeOptions& options = {});

/// As read_image for a file held in memory; `name` stands in the messages.
cv::Mat decode_image(std::string_view bytes,
                     std::string_view name,
                     const ImageDecodeOptions& options = {});

/// A view of an 8-bit matrix of 1 to 4 channels. Throws ImageError for other depths and for empty
/// matrices.
ImageView image_view(const cv::Mat& image);
MutableImageView mutable_image_view(cv::Mat& image);

}  // namespace vizoo
