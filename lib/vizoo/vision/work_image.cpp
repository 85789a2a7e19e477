#include "vizoo/vision/work_image.h"

#include <ATen/ATen.h>

#include <cmath>
#include <sstream>

#include "vizoo/core/error.h"
#include "vizoo/vision/image.h"

namespace vizoo::detail {
namespace {

// A matrix over the memory of a uint8 tensor [H, W, C], which must outlive it.
cv::Mat matrix_view(const at::Tensor& tensor) {
  if (tensor.size(2) < 1 || tensor.size(2) > 4) {
    throw ImageError("image", "tensor", "1 to 4 channels", std::to_string(tensor.size(2)));
  }
  if (tensor.size(0) > INT32_MAX || tensor.size(1) > INT32_MAX || tensor.numel() == 0) {
    throw ImageError("image", "tensor", "at least one pixel", "an empty tensor");
  }
  return cv::Mat(static_cast<int>(tensor.size(0)),
                 static_cast<int>(tensor.size(1)),
                 CV_8UC(static_cast<int>(tensor.size(2))),
                 const_cast<uint8_t*>(tensor.const_data_ptr<uint8_t>()));
}

cv::Mat matrix_copy(const at::Tensor& tensor) { return matrix_view(tensor).clone(); }

// numpy.allclose(image, image.astype(int)): |a - b| <= 1e-8 + 1e-5 |b|.
bool is_whole(const at::Tensor& image) {
  const at::Tensor values = image.to(at::kDouble);
  const at::Tensor whole = values.trunc();
  return ((values - whole).abs() <= 1e-8 + 1e-5 * whole.abs()).all().item<bool>();
}

// What Pillow would be given: whole numbers as they are, values in 0..1 times 255, truncated.
void floating_to_bytes(WorkImage& image) {
  at::Tensor values = image.floating;
  const auto lowest = values.min().item<double>();
  const auto highest = values.max().item<double>();
  const bool whole = std::isfinite(lowest) && std::isfinite(highest) && is_whole(values);
  const double limit = whole ? 255.0 : 1.0;
  if (!(lowest >= 0 && highest <= limit)) {
    std::ostringstream got;
    got << lowest << " to " << highest;
    throw ImageError("image",
                     "tensor",
                     whole ? "values in 0 to 255" : "whole numbers, or values in 0 to 1",
                     got.str(),
                     "Only such images can be resized");
  }
  if (!whole) values = rescale(values, 255.0);
  image.bytes = matrix_copy(values.to(at::kByte).permute({1, 2, 0}).contiguous());
  image.scaled_by_255 = !whole;
  image.floating = at::Tensor();
}

at::Tensor crop_floating(const at::Tensor& image, const ImageSize& size, ImageBackend backend) {
  check_crop_size(size, "/crop_size");
  const CropAxis rows = center_crop_axis(image.size(1), size.height, backend);
  const CropAxis columns = center_crop_axis(image.size(2), size.width, backend);
  at::Tensor out = at::zeros({image.size(0), rows.out_length, columns.out_length}, image.options());
  out.narrow(1, rows.target, rows.length)
      .narrow(2, columns.target, columns.length)
      .copy_(image.narrow(1, rows.source, rows.length).narrow(2, columns.source, columns.length));
  return out;
}

// Resize and crop in one: only the part of the resized image that the crop keeps is computed.
cv::Mat resize_and_crop(const cv::Mat& image,
                        const ImageSize& size,
                        const ImageSize& crop,
                        Resample filter,
                        const ResampleOptions& options) {
  const ImageView view = image_view(image);
  check_resize_target(size.height, size.width);
  const int64_t top = (size.height - crop.height) / 2;
  const int64_t left = (size.width - crop.width) / 2;
  cv::Mat out(static_cast<int>(crop.height), static_cast<int>(crop.width), image.type());
  resample(view,
           size.height,
           size.width,
           filter,
           {top, left, crop.height, crop.width},
           mutable_image_view(out),
           options);
  return out;
}

}  // namespace

ImageSize size_of(const WorkImage& image) {
  if (!image.bytes.empty()) return {image.bytes.rows, image.bytes.cols};
  return {image.floating.size(1), image.floating.size(2)};
}

int64_t channels_of(const WorkImage& image) {
  return image.bytes.empty() ? image.floating.size(0) : image.bytes.channels();
}

at::Tensor supported_tensor(const at::Tensor& image) {
  if (!image.defined() || !image.device().is_cpu()) {
    throw ImageError("image", "tensor", "a tensor on the CPU", "another");
  }
  switch (image.scalar_type()) {
    case at::kByte:
    case at::kFloat:
    case at::kDouble:
      return image;
    case at::kHalf:
    case at::kBFloat16:
      return image.to(at::kFloat);
    case at::kChar:
    case at::kShort:
    case at::kInt:
    case at::kLong:
      return image.to(at::kDouble);
    default:
      throw ImageError("image",
                       "tensor",
                       "uint8, another integer or a floating dtype",
                       at::toString(image.scalar_type()));
  }
}

WorkImage work_image(const at::Tensor& image, ChannelDimension layout, at::Tensor& keep_alive) {
  WorkImage work;
  if (image.dim() != 3) infer_channel_dimension(image);  // throws
  if (image.numel() == 0)
    throw ImageError("image", "tensor", "at least one pixel", "an empty tensor");
  if (image.scalar_type() == at::kByte) {
    keep_alive = to_channel_dimension(image, ChannelDimension::last, layout).contiguous();
    work.bytes = matrix_view(keep_alive);
  } else {
    work.floating = to_channel_dimension(image, ChannelDimension::first, layout);
  }
  return work;
}

cv::Mat to_rgb(const cv::Mat& image) {
  const int channels = image_view(image).channels;
  if (channels == 3) return image;
  cv::Mat out(image.rows, image.cols, CV_8UC3);
  const int grey[] = {0, 0, 0, 1, 0, 2};
  const int colour[] = {0, 0, 1, 1, 2, 2};
  cv::mixChannels(&image, 1, &out, 1, channels < 3 ? grey : colour, 3);
  return out;
}

void apply_geometry(WorkImage& image,
                    const ImageGeometry& geometry,
                    const ProcessorSettings& settings,
                    ImageBackend backend,
                    PassOrder order) {
  if (backend == ImageBackend::Pil && geometry.resize && image.bytes.empty()) {
    floating_to_bytes(image);
  }
  if (image.bytes.empty()) {
    if (geometry.resize) {
      image.floating = resize_torchvision(image.floating, *geometry.resize, settings.resample);
    }
    if (geometry.crop) image.floating = crop_floating(image.floating, *geometry.crop, backend);
    return;
  }
  ResampleOptions options;
  options.order = order;
  const bool opaque = image.bytes.channels() % 2 == 1;
  if (backend == ImageBackend::Pil && opaque && geometry.resize && geometry.crop &&
      geometry.crop->height <= geometry.resize->height &&
      geometry.crop->width <= geometry.resize->width) {
    image.bytes =
        resize_and_crop(image.bytes, *geometry.resize, *geometry.crop, settings.resample, options);
    return;
  }
  if (geometry.resize) {
    image.bytes = resize(image.bytes, *geometry.resize, settings.resample, backend, options);
  }
  if (geometry.crop) image.bytes = center_crop(image.bytes, *geometry.crop, backend);
}

}  // namespace vizoo::detail
