#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include <opencv2/core.hpp>

#include "vizoo/vision/image_processor.h"

// The first half of the image processors' pipeline: from what the caller gave to the cropped image.
namespace vizoo::detail {

/// An image on its way: uint8 with channels last, or floating as it came, channels first.
struct WorkImage {
  cv::Mat bytes;               ///< empty if `floating` is in use
  bool scaled_by_255 = false;  ///< the bytes stand for values in 0..1
  at::Tensor floating;
};

ImageSize size_of(const WorkImage& image);
int64_t channels_of(const WorkImage& image);

/// `image` with a dtype that the pipeline takes. Throws ImageError for others and for tensors that
/// are not on the CPU.
at::Tensor supported_tensor(const at::Tensor& image);

/// A tensor of one image in `layout`; bytes share the memory of `keep_alive`, which is set.
/// Throws ImageError for a tensor that is no image.
WorkImage work_image(const at::Tensor& image, ChannelDimension layout, at::Tensor& keep_alive);

/// An 8-bit image of 1 (grey), 2 (grey, alpha), 3 or 4 (RGB, alpha) channels as Pillow's
/// `convert("RGB")` makes it: alpha is dropped. One of three channels is returned as it is.
cv::Mat to_rgb(const cv::Mat& image);

/// Resizes and crops. Throws ImageError or ConfigError for a target that is too large.
void apply_geometry(WorkImage& image,
                    const ImageGeometry& geometry,
                    const ProcessorSettings& settings,
                    ImageBackend backend,
                    PassOrder order);

}  // namespace vizoo::detail
