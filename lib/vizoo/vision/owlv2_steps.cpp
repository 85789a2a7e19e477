#include "vizoo/vision/owlv2_steps.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <sstream>
#include <utility>
#include <vector>

#include "vizoo/core/error.h"
#include "vizoo/vision/gaussian_zoom.h"
#include "vizoo/vision/image.h"
#include "vizoo/vision/pixel_table.h"

namespace vizoo::detail {
namespace {

// The image before padding, row by row, and what it is padded with.
template <class T>
struct Source {
  RowReader<T> read;
  T pad;
  T lowest;  // over the padded image; above `highest` if all of it is NaN
  T highest;
};

uint8_t to_byte(double value) { return static_cast<uint8_t>(std::clamp(value, 0.0, 255.0)); }

std::pair<uint8_t, uint8_t> byte_range(const ImageView& view) {
  uint8_t lowest = 255;
  uint8_t highest = 0;
  for (int64_t y = 0; y < view.height; ++y) {
    const uint8_t* row = view.data + y * view.row_stride;
    for (int64_t i = 0; i < view.width * view.channels; ++i) {
      lowest = std::min(lowest, row[i]);
      highest = std::max(highest, row[i]);
    }
  }
  return {lowest, highest};
}

Source<uint8_t> bytes_source(const ImageView& view, double pad_value) {
  const auto [lowest, highest] = byte_range(view);
  const auto read = [view](int64_t y, uint8_t* row) {
    std::memcpy(
        row, view.data + y * view.row_stride, static_cast<size_t>(view.width * view.channels));
  };
  return {read, to_byte(pad_value), lowest, highest};
}

Source<float> rescaled_source(const ImageView& view, const ProcessorSettings& settings) {
  std::array<float, 256> values;
  for (int byte = 0; byte < 256; ++byte) {
    values[byte] = static_cast<float>(static_cast<double>(byte) * settings.rescale_factor);
  }
  const auto [lowest, highest] = byte_range(view);
  const auto read = [view, values](int64_t y, float* row) {
    const uint8_t* bytes = view.data + y * view.row_stride;
    for (int64_t i = 0; i < view.width * view.channels; ++i) row[i] = values[bytes[i]];
  };
  const auto [low, high] = std::minmax(values[lowest], values[highest]);
  return {read, static_cast<float>(*settings.pad_value), low, high};
}

// `values`: [H, W, C], contiguous, which must outlive the source.
template <class T>
Source<T> floating_source(const at::Tensor& values, double pad_value) {
  const T* data = values.const_data_ptr<T>();
  const int64_t length = values.size(1) * values.size(2);
  Source<T> source{
      [data, length](int64_t y, T* row) { std::copy_n(data + y * length, length, row); },
      static_cast<T>(pad_value),
      std::numeric_limits<T>::infinity(),
      -std::numeric_limits<T>::infinity()};
  for (int64_t i = 0; i < values.numel(); ++i) {  // NaN compares with nothing
    if (data[i] < source.lowest) source.lowest = data[i];
    if (data[i] > source.highest) source.highest = data[i];
  }
  return source;
}

// Mean and deviation of each channel, in the type of the result; none if it is not normalised.
template <class Out>
struct Normalization {
  std::vector<Out> mean;
  std::vector<Out> deviation;
};

template <class Out>
Normalization<Out> normalization(const ProcessorSettings& settings, int64_t channels) {
  if (!settings.do_normalize) return {};
  check_channels(settings.image_mean, channels, "image_mean");
  check_channels(settings.image_std, channels, "image_std");
  Normalization<Out> result;
  for (int64_t c = 0; c < channels; ++c) {
    const auto of_channel = [c](const std::vector<double>& values) {
      return static_cast<Out>(values[values.size() == 1 ? 0 : static_cast<size_t>(c)]);
    };
    result.mean.push_back(of_channel(settings.image_mean));
    result.deviation.push_back(of_channel(settings.image_std));
  }
  return result;
}

template <class T>
T clip(T value, T lowest, T highest) {
  value = value < lowest ? lowest : value;
  return value > highest ? highest : value;
}

// Zooms, clips and normalises; `out`: [C, H, W], contiguous.
template <class T, class Out>
void zoom_to(Source<T> source,
             const ZoomGeometry& geometry,
             const ProcessorSettings& settings,
             Out* out) {
  if (!(geometry.image == geometry.canvas)) {
    source.lowest = std::min(source.lowest, source.pad);
    source.highest = std::max(source.highest, source.pad);
  }
  const auto steps = normalization<Out>(settings, geometry.channels);
  const bool clips = source.lowest <= source.highest;
  const T lowest = source.lowest;
  const T highest = source.highest;
  const auto write = [&](int64_t y, T* row) {
    const int64_t width = geometry.out.width;
    for (int64_t c = 0; c < geometry.channels; ++c) {
      T* __restrict values = row + c * width;
      Out* __restrict target = out + (c * geometry.out.height + y) * width;
      if (clips) {
        for (int64_t x = 0; x < width; ++x) values[x] = clip(values[x], lowest, highest);
      }
      if (steps.mean.empty()) {
        for (int64_t x = 0; x < width; ++x) target[x] = static_cast<Out>(values[x]);
        continue;
      }
      const Out mean = steps.mean[static_cast<size_t>(c)];
      const Out deviation = steps.deviation[static_cast<size_t>(c)];
      for (int64_t x = 0; x < width; ++x) {
        target[x] = (static_cast<Out>(values[x]) - mean) / deviation;
      }
    }
  };
  gaussian_zoom<T>(geometry, source.pad, source.read, write);
}

// [C, H, W] of the image as it came; shares its memory.
at::Tensor channels_first(const WorkImage& image) {
  return image.bytes.empty() ? image.floating : tensor_view(image.bytes).permute({2, 0, 1});
}

at::Tensor pad_to(const at::Tensor& image, const ImageSize& canvas, double value) {
  const int64_t down = canvas.height - image.size(1);
  const int64_t right = canvas.width - image.size(2);
  if (down == 0 && right == 0) return image;
  const double stored = image.scalar_type() == at::kByte ? to_byte(value) : value;
  return at::constant_pad_nd(image, {0, right, 0, down}, stored);
}

// Without a resize every step is a plain one.
at::Tensor unresized(const WorkImage& image,
                     const ImageSize& canvas,
                     const ProcessorSettings& settings) {
  at::Tensor values = channels_first(image);
  if (settings.do_rescale) values = rescale(values, settings.rescale_factor);
  values = pad_to(values, canvas, *settings.pad_value);
  if (!settings.do_normalize) return values;
  return normalize(values, settings.image_mean, settings.image_std, ChannelDimension::first);
}

// One axis of the torchvision blur, in float32 as upstream computes it. No blur: sigma 0.
struct Blur {
  float sigma = 0.0f;
  int64_t size = 1;
};

Blur blur_of(int64_t in_size, int64_t out_size) {
  const float factor = static_cast<float>(in_size) / static_cast<float>(out_size);
  const float sigma = std::max((factor - 1.0f) / 2.0f, 0.0f);
  return {sigma, 2 * static_cast<int64_t>(std::ceil(3.0f * sigma)) + 1};
}

void check_blur(const Blur& x, const Blur& y, const at::Tensor& image) {
  constexpr double kMaxProducts = 1e12;  // minutes
  const double products = static_cast<double>(x.size) * static_cast<double>(y.size) *
                          static_cast<double>(image.numel());
  const bool inside = x.size / 2 < image.size(2) && y.size / 2 < image.size(1);
  if (inside && products <= kMaxProducts) return;
  std::ostringstream got;
  got << x.size << " x " << y.size << " weights for " << image.size(1) << " x " << image.size(2)
      << " pixels";
  throw ConfigError("processor",
                    "/size",
                    "a size that needs no such blur with the torchvision backend",
                    got.str(),
                    "The pil backend has no such limit");
}

at::Tensor blur_weights(const Blur& blur, const at::TensorOptions& options) {
  // In float32, since upstream hands torchvision the size as a tensor.
  const float limit = static_cast<float>(blur.size - 1) / static_cast<float>(2.0 * std::sqrt(2.0));
  const at::Tensor x = at::linspace(-limit, limit, blur.size, options);
  return x.div(static_cast<double>(blur.sigma)).pow(2).neg().softmax(0);
}

// torchvision's gaussian_blur of an image [C, H, W].
at::Tensor gaussian_blur(const at::Tensor& image, const Blur& x, const Blur& y) {
  check_blur(x, y, image);
  const bool bytes = image.scalar_type() == at::kByte;
  const at::Tensor values = bytes ? image.to(at::kFloat) : image;
  const at::Tensor row = blur_weights(x, values.options());
  const at::Tensor column = blur_weights(y, values.options());
  const int64_t channels = image.size(0);
  // [C, 1, y, x]
  const at::Tensor weights = (column.unsqueeze(-1) * row).expand({channels, 1, y.size, x.size});
  const at::Tensor padded =
      at::reflection_pad2d(values.unsqueeze(0), {x.size / 2, x.size / 2, y.size / 2, y.size / 2});
  const std::array<int64_t, 1> one{1};
  const std::array<int64_t, 1> none{0};
  const at::Tensor blurred =
      at::conv2d(padded, weights, /*bias=*/{}, /*stride=*/one, /*padding=*/none, one, channels)
          .squeeze(0);
  return bytes ? blurred.round().to(at::kByte) : blurred;
}

// Bilinear, without antialiasing.
at::Tensor resize_bilinear(const at::Tensor& image, const ImageSize& target) {
  if (image.size(1) == target.height && image.size(2) == target.width) return image;
  const bool bytes = image.scalar_type() == at::kByte && !has_native_uint8_bilinear();
  const at::Tensor values = (bytes ? image.to(at::kFloat) : image).unsqueeze(0);
  const at::Tensor resized =
      at::upsample_bilinear2d(values, {target.height, target.width}, /*align_corners=*/false)
          .squeeze(0);
  return bytes ? resized.round().to(at::kByte) : resized;
}

}  // namespace

at::ScalarType owlv2_pil_type(const WorkImage& image, const ProcessorSettings& settings) {
  if (settings.do_rescale) return at::kFloat;
  if (!image.bytes.empty()) return settings.do_normalize ? at::kFloat : at::kByte;
  return image.floating.scalar_type();
}

void owlv2_pil(const WorkImage& image,
               const ImageSize& canvas,
               const ImageSize& target,
               const ProcessorSettings& settings,
               at::Tensor& out) {
  if (!settings.do_resize) {
    out.copy_(unresized(image, canvas, settings));
    return;
  }
  const ZoomGeometry geometry{size_of(image), canvas, channels_of(image), target};
  at::Tensor made = out.is_contiguous() ? out : at::empty(out.sizes(), out.options());
  if (!image.bytes.empty()) {
    const ImageView view = image_view(image.bytes);
    const double pad_value = *settings.pad_value;
    if (settings.do_rescale) {
      zoom_to(rescaled_source(view, settings), geometry, settings, made.mutable_data_ptr<float>());
    } else if (settings.do_normalize) {
      zoom_to(bytes_source(view, pad_value), geometry, settings, made.mutable_data_ptr<float>());
    } else {
      zoom_to(bytes_source(view, pad_value), geometry, settings, made.mutable_data_ptr<uint8_t>());
    }
  } else {
    at::Tensor values = image.floating;
    if (settings.do_rescale) values = rescale(values, settings.rescale_factor);
    values = values.permute({1, 2, 0}).contiguous();
    AT_DISPATCH_FLOATING_TYPES(values.scalar_type(), "owlv2_pil", [&] {
      zoom_to(floating_source<scalar_t>(values, *settings.pad_value),
              geometry,
              settings,
              made.mutable_data_ptr<scalar_t>());
    });
  }
  if (!made.is_same(out)) out.copy_(made);
}

at::Tensor owlv2_torchvision(const WorkImage& image,
                             const ImageSize& canvas,
                             const ImageSize& target,
                             const ProcessorSettings& settings) {
  // Contiguous: ATen's kernel for channels last rounds otherwise.
  at::Tensor values = channels_first(image).contiguous();
  if (settings.do_rescale) values = values.mul(settings.rescale_factor);
  values = pad_to(values, canvas, *settings.pad_value);
  if (settings.do_resize) {
    const Blur x = blur_of(canvas.height, target.height);  // the axes swapped, as upstream
    const Blur y = blur_of(canvas.width, target.width);
    if (x.sigma > 0 && y.sigma > 0) values = gaussian_blur(values, x, y);
    values = resize_bilinear(values, target);
  }
  if (!settings.do_normalize) return values;
  ProcessorSettings rescaled = settings;
  rescaled.do_rescale = false;
  return normalize_fused(values.to(at::kFloat), rescaled);
}

}  // namespace vizoo::detail
