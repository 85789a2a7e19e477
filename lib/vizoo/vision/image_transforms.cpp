#include "vizoo/vision/image_transforms.h"

#include <ATen/ATen.h>
#include <ATen/Version.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <sstream>

#include "vizoo/core/error.h"
#include "vizoo/vision/image.h"

namespace vizoo {
namespace {

std::string shape_text(const at::Tensor& tensor) {
  std::ostringstream text;
  text << tensor.sizes();
  return text.str();
}

// Pillow's division by 255 with rounding.
uint8_t multiply_255(int a, int b) {
  const int product = a * b + 128;
  return static_cast<uint8_t>((product + (product >> 8)) >> 8);
}

// In place: colours times alpha, alpha last.
void premultiply(cv::Mat& image) {
  const int channels = image.channels();
  for (int y = 0; y < image.rows; ++y) {
    uint8_t* pixel = image.ptr<uint8_t>(y);
    for (int x = 0; x < image.cols; ++x, pixel += channels) {
      for (int c = 0; c + 1 < channels; ++c) {
        pixel[c] = multiply_255(pixel[c], pixel[channels - 1]);
      }
    }
  }
}

void unpremultiply(cv::Mat& image) {
  const int channels = image.channels();
  for (int y = 0; y < image.rows; ++y) {
    uint8_t* pixel = image.ptr<uint8_t>(y);
    for (int x = 0; x < image.cols; ++x, pixel += channels) {
      const int alpha = pixel[channels - 1];
      if (alpha == 0 || alpha == 255) continue;
      for (int c = 0; c + 1 < channels; ++c) {
        pixel[c] = static_cast<uint8_t>(std::min(255 * pixel[c] / alpha, 255));
      }
    }
  }
}

cv::Mat resize_pillow(const cv::Mat& image,
                      const ImageSize& size,
                      Resample filter,
                      const ResampleOptions& options) {
  const ImageView view = image_view(image);
  check_resize_target(size.height, size.width);
  const bool same = view.height == size.height && view.width == size.width;
  const bool alpha = (view.channels == 2 || view.channels == 4) && filter != Resample::nearest;
  cv::Mat source = image;
  if (alpha && !same) {
    source = image.clone();
    premultiply(source);
  }
  const ImageView input = image_view(source);
  cv::Mat out(static_cast<int>(size.height), static_cast<int>(size.width), image.type());
  resample(input, filter, mutable_image_view(out), options);
  if (alpha && !same) unpremultiply(out);
  return out;
}

at::Tensor channel_values(const std::vector<double>& values,
                          const at::Tensor& image,
                          int64_t channels,
                          const char* name) {
  if (values.size() != 1 && static_cast<int64_t>(values.size()) != channels) {
    throw ConfigError(
        "processor",
        std::string("/") + name,
        "one number, or one for each of the image's " + std::to_string(channels) + " channels",
        std::to_string(values.size()) + " numbers");
  }
  return at::tensor(values, at::kDouble).to(image.scalar_type());
}

}  // namespace

bool has_native_uint8_bilinear() {
  const std::string capability = at::get_cpu_capability();
  return capability.find("AVX2") != std::string::npos ||
         capability.find("AVX512") != std::string::npos;
}

SizeDict size_dict(int64_t size, bool default_to_square) {
  if (default_to_square) return {{"height", size}, {"width", size}};
  return {{"shortest_edge", size}};
}

std::string key_text(const SizeDict& size) {
  std::string keys;
  for (const auto& [key, value] : size) {
    if (!keys.empty()) keys += ", ";
    keys += printable(key, 40);
    if (keys.size() > 120) break;
  }
  return "{" + keys + "}";
}

void check_size_dict(const SizeDict& size, const std::string& subject) {
  const std::string keys = key_text(size);
  static const char* const kKeySets[] = {"{height, width}",
                                         "{shortest_edge}",
                                         "{longest_edge, shortest_edge}",
                                         "{longest_edge}",
                                         "{max_height, max_width}"};
  if (std::find(std::begin(kKeySets), std::end(kKeySets), keys) == std::end(kKeySets)) {
    throw ConfigError("processor",
                      subject,
                      "the keys {height, width}, {shortest_edge}, {shortest_edge, longest_edge}, "
                      "{longest_edge} or {max_height, max_width}",
                      keys);
  }
  for (const auto& [key, value] : size) {
    if (value < 1) {
      throw ConfigError(
          "processor", subject + "/" + key, "a length of at least 1", std::to_string(value));
    }
  }
}

ImageSize shortest_edge_size(const ImageSize& image, int64_t shortest_edge) {
  const bool portrait = image.width <= image.height;
  const int64_t short_side = portrait ? image.width : image.height;
  const int64_t long_side = portrait ? image.height : image.width;
  // Python's true division of the exact product, then truncation.
  const double scaled = static_cast<double>(shortest_edge) * static_cast<double>(long_side) /
                        static_cast<double>(short_side);
  const auto new_long = static_cast<int64_t>(std::min(scaled, 1e15));
  return portrait ? ImageSize{new_long, shortest_edge} : ImageSize{shortest_edge, new_long};
}

ImageSize height_and_width(const SizeDict& size, const std::string& subject, const char* expected) {
  const auto height = size.find("height");
  const auto width = size.find("width");
  if (height == size.end() || width == size.end()) {
    throw ConfigError("processor", subject, expected, key_text(size));
  }
  return {height->second, width->second};
}

void check_crop_size(const ImageSize& size, const std::string& subject) {
  if (size.height >= 1 && size.width >= 1 && size.height <= kDefaultMaxPixels &&
      size.width <= kDefaultMaxPixels / size.height) {
    return;
  }
  throw ConfigError("processor",
                    subject,
                    "1 to " + std::to_string(kDefaultMaxPixels) + " pixels",
                    std::to_string(size.height) + " x " + std::to_string(size.width));
}

ImageSize bounded_edge_size(const ImageSize& image, int64_t shortest_edge, int64_t longest_edge) {
  const auto height = static_cast<double>(image.height);
  const auto width = static_cast<double>(image.width);
  const double shorter = std::min(height, width);
  const double longer = std::max(height, width);
  auto scale = static_cast<double>(shortest_edge);
  if (longer / shorter * scale <= static_cast<double>(longest_edge)) {
    return shortest_edge_size(image, shortest_edge);
  }
  scale = static_cast<double>(longest_edge) * shorter / longer;
  const auto edge = static_cast<int64_t>(std::nearbyint(std::min(scale, 1e15)));
  if (shorter == static_cast<double>(edge)) return image;
  const auto other = static_cast<int64_t>(std::min(scale * longer / shorter, 1e15));
  return width < height ? ImageSize{other, edge} : ImageSize{edge, other};
}

ImageSize size_within(const ImageSize& image, int64_t max_height, int64_t max_width) {
  const auto height = static_cast<double>(image.height);
  const auto width = static_cast<double>(image.width);
  const double scale =
      std::min(static_cast<double>(max_height) / height, static_cast<double>(max_width) / width);
  return {static_cast<int64_t>(height * scale), static_cast<int64_t>(width * scale)};
}

ImageSize torchvision_size(const ImageSize& image, const SizeDict& size) {
  const auto max_height = size.find("max_height");
  if (max_height != size.end()) return size_within(image, max_height->second, size.at("max_width"));
  const auto shortest = size.find("shortest_edge");
  if (shortest == size.end()) {
    return height_and_width(
        size, "/size", "the key shortest_edge, height and width, or max_height and max_width");
  }
  const auto longest = size.find("longest_edge");
  if (longest == size.end()) return shortest_edge_size(image, shortest->second);
  return bounded_edge_size(image, shortest->second, longest->second);
}

CropAxis center_crop_axis(int64_t size, int64_t crop, ImageBackend backend) {
  if (crop <= size) {
    const int64_t source = (size - crop) / 2;
    return {source, crop, 0, crop};
  }
  const int64_t deficit = crop - size;
  const int64_t pad = deficit / 2;
  if (backend == ImageBackend::Torchvision) return {0, size, pad, crop};
  // The slow rule: the crop starts at floor(-deficit / 2) of the image, which lies at `pad` of the
  // padded one, and what would start before the padding is cut off.
  const int64_t start = pad - (deficit + 1) / 2;
  return {0, size, pad, start + crop - std::max<int64_t>(start, 0)};
}

cv::Mat resize(const cv::Mat& image,
               const ImageSize& size,
               Resample filter,
               ImageBackend backend,
               const ResampleOptions& options) {
  if (backend == ImageBackend::Pil) return resize_pillow(image, size, filter, options);
  const ImageView view = image_view(image);
  const at::Tensor resized = resize_torchvision(tensor_view(image).permute({2, 0, 1}), size, filter)
                                 .permute({1, 2, 0})
                                 .contiguous();
  cv::Mat out(static_cast<int>(size.height), static_cast<int>(size.width), image.type());
  std::memcpy(out.data,
              resized.const_data_ptr<uint8_t>(),
              static_cast<size_t>(size.height * size.width * view.channels));
  return out;
}

cv::Mat center_crop(const cv::Mat& image, const ImageSize& size, ImageBackend backend) {
  const ImageView view = image_view(image);
  check_crop_size(size, "/crop_size");
  const CropAxis rows = center_crop_axis(view.height, size.height, backend);
  const CropAxis columns = center_crop_axis(view.width, size.width, backend);
  cv::Mat out = cv::Mat::zeros(
      static_cast<int>(rows.out_length), static_cast<int>(columns.out_length), image.type());
  for (int64_t y = 0; y < rows.length; ++y) {
    const uint8_t* source =
        view.data + (rows.source + y) * view.row_stride + columns.source * view.channels;
    uint8_t* target =
        out.ptr<uint8_t>(static_cast<int>(rows.target + y)) + columns.target * view.channels;
    std::memcpy(target, source, static_cast<size_t>(columns.length * view.channels));
  }
  return out;
}

at::Tensor rescale(const at::Tensor& image, double scale) {
  if (image.scalar_type() == at::kFloat) return image * static_cast<float>(scale);
  return (image.to(at::kDouble) * scale).to(at::kFloat);
}

at::Tensor normalize(const at::Tensor& image,
                     const std::vector<double>& mean,
                     const std::vector<double>& std,
                     ChannelDimension layout) {
  const at::Tensor floating = image.is_floating_point() ? image : image.to(at::kFloat);
  const bool first = layout == ChannelDimension::first;
  const int64_t channels = image.size(first ? -3 : -1);
  at::Tensor means = channel_values(mean, floating, channels, "image_mean");
  at::Tensor deviations = channel_values(std, floating, channels, "image_std");
  if (first) {
    means = means.unsqueeze(-1).unsqueeze(-1);
    deviations = deviations.unsqueeze(-1).unsqueeze(-1);
  }
  return (floating - means) / deviations;
}

at::Tensor to_channel_dimension(const at::Tensor& image,
                                ChannelDimension target,
                                ChannelDimension source) {
  if (target == source) return image;
  return target == ChannelDimension::first ? image.permute({2, 0, 1}) : image.permute({1, 2, 0});
}

ChannelDimension infer_channel_dimension(const at::Tensor& image) {
  if (image.dim() != 3) {
    throw ImageError(
        "image", "tensor", "three dimensions for one image, four for a batch", shape_text(image));
  }
  const auto is_channels = [](int64_t size) { return size == 1 || size == 3; };
  if (is_channels(image.size(0))) return ChannelDimension::first;
  if (is_channels(image.size(2))) return ChannelDimension::last;
  throw ImageError("image",
                   "tensor",
                   "1 or 3 channels on the first or last axis",
                   shape_text(image),
                   "Give input_data_format for other numbers of channels");
}

at::Tensor resize_torchvision(const at::Tensor& image, const ImageSize& size, Resample filter) {
  check_resize_target(size.height, size.width);
  if (filter != Resample::nearest && filter != Resample::bilinear && filter != Resample::bicubic) {
    throw ConfigError("processor",
                      "/resample",
                      "nearest, bilinear or bicubic with the torchvision backend",
                      enum_name(filter));
  }
  if (image.size(1) == size.height && image.size(2) == size.width) return image;
  // Channels last always: the contiguous uint8 kernel of LibTorch 2.11 trips over 1 x 1 results,
  // and one channel is both layouts at once, hence three equal ones there.
  const bool widen = image.size(0) == 1 && size.height == 1 && size.width == 1;
  at::Tensor batch = (widen ? image.expand({3, -1, -1}) : image).unsqueeze(0);
  batch = batch.contiguous(at::MemoryFormat::ChannelsLast);
  const std::vector<int64_t> target{size.height, size.width};
  at::Tensor out;
  if (filter == Resample::nearest) {
    out = at::_upsample_nearest_exact2d(batch, target);
  } else if (filter == Resample::bicubic) {
    out = at::_upsample_bicubic2d_aa(batch, target, /*align_corners=*/false);
  } else if (batch.scalar_type() == at::kByte && !has_native_uint8_bilinear()) {
    out = at::_upsample_bilinear2d_aa(batch.to(at::kFloat), target, /*align_corners=*/false)
              .round_()
              .to(at::kByte);
  } else {
    out = at::_upsample_bilinear2d_aa(batch, target, /*align_corners=*/false);
  }
  out = out.squeeze(0);
  return widen ? out.narrow(0, 0, 1) : out;
}

at::Tensor tensor_view(const cv::Mat& image) {
  const ImageView view = image_view(image);
  return at::from_blob(const_cast<uint8_t*>(view.data),
                       {view.height, view.width, view.channels},
                       {view.row_stride, view.channels, 1},
                       at::TensorOptions(at::kByte));
}

}  // namespace vizoo
