#pragma once

#include <torch/arg.h>

#include <memory>
#include <optional>
#include <string_view>

#include "vizoo/training/random_stream.h"
#include "vizoo/vision/image_processor.h"
#include "vizoo/vision/image_region.h"

namespace vizoo {

namespace detail {
class PixelTable;
}

/// How training images differ from epoch to epoch. Defaults are those of torchvision's
/// RandomResizedCrop and RandomHorizontalFlip: a crop of 8 to 100 % of the area, as Szegedy et al.
/// 2015 (https://arxiv.org/abs/1409.4842, section 6) trained with.
struct ImageAugmentationOptions {
  /// Off, the image is what the image processor makes of it, but for the mirroring.
  TORCH_ARG(bool, random_resized_crop) = true;
  /// Height and width that crops are resized to; without it those that the image processor makes of
  /// a square image.
  TORCH_ARG(std::optional<ImageSize>, size);
  /// Share of the image's area that the crop has, lowest and highest; 0 < low <= high <= 1.
  TORCH_ARG(double, min_scale) = 0.08;
  TORCH_ARG(double, max_scale) = 1.0;
  /// Width / height of the crop; 0 < low <= high.
  TORCH_ARG(double, min_ratio) = 3.0 / 4.0;
  TORCH_ARG(double, max_ratio) = 4.0 / 3.0;
  /// Probability of a mirror image, left for right, in [0, 1].
  TORCH_ARG(double, horizontal_flip) = 0.5;
};

/// Throws UsageError for options out of range.
void check_augmentation(const ImageAugmentationOptions& options);

/// The crop of RandomResizedCrop (torchvision, transforms/transforms.py, get_params): ten tries at
/// an area uniform in `scale` and a ratio log-uniform in `ratio`, both rounded to pixels (half to
/// even), at a uniform place; if none fits into the image, the largest crop around the centre whose
/// ratio is in range. The random numbers are our own.
ImageRegion random_resized_crop(const ImageSize& image,
                                const ImageAugmentationOptions& options,
                                RandomStream& random);

/// Turns an 8-bit image of three channels left for right, in place.
void mirror(cv::Mat& image);

/// An image file's way into a training batch: crop, resize, mirror, rescale and normalise.
///
/// Only what the crop needs is decoded. Resizing is that of the image processor (filter, Pillow's
/// bytes or torchvision's), and so are rescaling, mean and standard deviation. Immutable; many
/// threads may share one.
class ImageAugmentation {
 public:
  /// Throws UsageError for options out of range. With random_resized_crop, ConfigError for a
  /// processor that pads, and for one that does not bring squares to one size, if the options have
  /// none.
  ImageAugmentation(std::shared_ptr<const ImageProcessor> processor,
                    const ImageAugmentationOptions& options);

  /// float32, [3, height, width]. `bytes`: an image file; `name` stands in messages. Throws
  /// ImageError.
  at::Tensor operator()(std::string_view bytes, std::string_view name, RandomStream& random) const;

 private:
  at::Tensor crop(std::string_view bytes, std::string_view name, RandomStream& random) const;

  std::shared_ptr<const ImageProcessor> processor_;
  ImageAugmentationOptions options_;
  ProcessorSettings settings_;
  ImageSize size_;
  std::shared_ptr<const detail::PixelTable> table_;
};

}  // namespace vizoo
