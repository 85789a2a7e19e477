#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <opencv2/core.hpp>

#include "vizoo/core/config.h"
#include "vizoo/vision/resample.h"

namespace vizoo {

/// Whose arithmetic a processor follows. They differ by at most two grey levels after resizing.
enum class ImageBackend {
  Pil,          ///< Transformers 4.37's (slow) classes: Pillow's resize, byte for byte
  Torchvision,  ///< the fast classes: ATen's antialiased resize of uint8 tensors, bit for bit
};

template <>
struct EnumNames<ImageBackend> {
  static constexpr std::pair<ImageBackend, const char*> table[] = {
      {ImageBackend::Pil, "pil"},
      {ImageBackend::Torchvision, "torchvision"},
  };
};

/// Where the channel axis of an image is.
enum class ChannelDimension { first, last };

template <>
struct EnumNames<ChannelDimension> {
  static constexpr std::pair<ChannelDimension, const char*> table[] = {
      {ChannelDimension::first, "channels_first"},
      {ChannelDimension::last, "channels_last"},
  };
};

/// A `size` as the JSON file holds it: {height, width}, {shortest_edge},
/// {shortest_edge, longest_edge}, {longest_edge} or {max_height, max_width}.
using SizeDict = std::map<std::string, int64_t>;

/// Height and width, in this order.
struct ImageSize {
  int64_t height = 0;
  int64_t width = 0;

  bool operator==(const ImageSize& other) const {
    return height == other.height && width == other.width;
  }
};

/// The dict that a plain number stands for: {height, width} if `default_to_square`, else
/// {shortest_edge}.
SizeDict size_dict(int64_t size, bool default_to_square);

/// Throws ConfigError (`[processor] <subject>: expected ..., got ...`) unless the keys are one of
/// the sets above and all values are positive.
void check_size_dict(const SizeDict& size, const std::string& subject);

/// {height, width} of a dict with these two keys; throws ConfigError that names `subject` and what
/// was `expected` for others.
ImageSize height_and_width(const SizeDict& size,
                           const std::string& subject,
                           const char* expected = "the keys height and width");

/// The keys of a dict as messages quote them: `{height, width}`.
std::string key_text(const SizeDict& size);

/// Throws ConfigError that names `subject` unless the sides are positive and the area is at most
/// kDefaultMaxPixels: a crop or a padding of that size may take memory.
void check_crop_size(const ImageSize& size, const std::string& subject);

/// Size of `image` after its shorter edge has become `shortest_edge`; the longer one is
/// int(shortest_edge * long / short). Source: image_transforms.py, get_resize_output_image_size.
ImageSize shortest_edge_size(const ImageSize& image, int64_t shortest_edge);

/// As shortest_edge_size, unless the longer edge would then be above `longest_edge`: it becomes
/// that one, and the shorter edge is rounded half to even. Source: image_transforms.py of
/// Transformers 5.17, get_size_with_aspect_ratio.
ImageSize bounded_edge_size(const ImageSize& image, int64_t shortest_edge, int64_t longest_edge);

/// The largest size of `image`'s proportions within max_height x max_width, sides truncated;
/// smaller images grow. Source: image_utils.py of Transformers 5.17,
/// get_image_size_for_max_height_width.
ImageSize size_within(const ImageSize& image, int64_t max_height, int64_t max_width);

/// The size that Transformers' torchvision backend resizes `image` to: one of the three above or
/// {height, width}, as the keys of `size` say. Throws ConfigError for other keys. Source:
/// image_processing_backends.py of Transformers 5.17, TorchvisionBackend.resize.
ImageSize torchvision_size(const ImageSize& image, const SizeDict& size);

/// One axis of a centre crop: `out_length` pixels, of which [target, target + length) come from
/// [source, source + length) of the image and the rest are zero.
struct CropAxis {
  int64_t source = 0;
  int64_t length = 0;
  int64_t target = 0;
  int64_t out_length = 0;
};

/// The centre crop of an axis of `size` pixels to `crop` pixels. An axis that is too short is
/// padded with zeros. Transformers 4.37's slow rule (Pil) loses one pixel when the deficit is odd:
/// a crop to 24 of 21 pixels has 23; the fast rule (Torchvision) pads to the full size. Source:
/// image_transforms.py, center_crop; torchvision, center_crop.
CropAxis center_crop_axis(int64_t size, int64_t crop, ImageBackend backend);

/// Resizes an 8-bit image of 1 to 4 channels. Pil: `resample`; two- and four-channel images are
/// taken as Pillow takes them, with alpha last, premultiplied while they are resized. Torchvision:
/// see resize_torchvision. Throws ImageError as `resample` does.
cv::Mat resize(const cv::Mat& image,
               const ImageSize& size,
               Resample filter,
               ImageBackend backend = ImageBackend::Pil,
               const ResampleOptions& options = {});

/// Centre crop of an 8-bit image; see center_crop_axis. Throws ConfigError as check_crop_size does.
cv::Mat center_crop(const cv::Mat& image, const ImageSize& size, ImageBackend backend);

/// image * scale, float32. uint8 and other integers and float64 are multiplied in double and
/// rounded once; float32 is multiplied in float32 by the rounded scale.
/// Source: image_transforms.py, rescale, under numpy 1.
at::Tensor rescale(const at::Tensor& image, double scale);

/// (image - mean) / std in the image's floating dtype (float32 for integers), after mean and std
/// were rounded to it. `mean` and `std`: one number for all channels, or one for each.
/// Throws ConfigError if their number is neither.
at::Tensor normalize(const at::Tensor& image,
                     const std::vector<double>& mean,
                     const std::vector<double>& std,
                     ChannelDimension layout);

/// A view of a 3-D image in the layout `target`.
at::Tensor to_channel_dimension(const at::Tensor& image,
                                ChannelDimension target,
                                ChannelDimension source);

/// Transformers' guess: the first axis if its size is 1 or 3, else the last if its size is; so an
/// image of height 1 or 3 with channels last is misread. Throws ImageError if neither fits or the
/// image has not three dimensions.
ChannelDimension infer_channel_dimension(const at::Tensor& image);

/// Whether ATen resizes uint8 bilinearly as such on this processor; torchvision goes through
/// float32 elsewhere.
bool has_native_uint8_bilinear();

/// torchvision's v2 `resize(antialias=True)` of one image [C, H, W], uint8 or floating, on the CPU.
/// bilinear and bicubic: `at::_upsample_*2d_aa`, for uint8 in its own fixed-point arithmetic; as in
/// torchvision, uint8 bilinear on a processor without AVX2 goes through float32 and is rounded half
/// to even. nearest: nearest-exact. Others: ConfigError. Same size: the image itself.
at::Tensor resize_torchvision(const at::Tensor& image, const ImageSize& size, Resample filter);

/// A tensor [H, W, C] that shares the memory of an 8-bit image; it must not outlive the image.
at::Tensor tensor_view(const cv::Mat& image);

}  // namespace vizoo
