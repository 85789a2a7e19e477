#include "vizoo/vision/pixel_table.h"

#include <ATen/ATen.h>

#include "vizoo/core/error.h"

namespace vizoo::detail {
namespace {

double value_of_channel(const std::vector<double>& values, int64_t channel) {
  return values[values.size() == 1 ? 0 : static_cast<size_t>(channel)];
}

// Pil: the slow classes' steps in the order and precision of image_transforms.py.
float slow_value(int byte, const ProcessorSettings& settings, int64_t channel, bool scaled_by_255) {
  float value = static_cast<float>(byte);
  if (scaled_by_255) {
    value = static_cast<float>(static_cast<double>(byte) * (1.0 / 255.0));
    if (settings.do_rescale) value *= static_cast<float>(settings.rescale_factor);
  } else if (settings.do_rescale) {
    value = static_cast<float>(static_cast<double>(byte) * settings.rescale_factor);
  }
  if (settings.do_normalize) {
    value -= static_cast<float>(value_of_channel(settings.image_mean, channel));
    value /= static_cast<float>(value_of_channel(settings.image_std, channel));
  }
  return value;
}

// Factor by which the fast classes multiply mean and std.
float fused_factor(const ProcessorSettings& settings) {
  return settings.do_rescale ? static_cast<float>(1.0 / settings.rescale_factor) : 1.0f;
}

float fast_value(int byte, const ProcessorSettings& settings, int64_t channel) {
  const auto value = static_cast<float>(byte);
  if (!settings.do_normalize) {
    return settings.do_rescale ? value * static_cast<float>(settings.rescale_factor) : value;
  }
  const float factor = fused_factor(settings);
  const float mean = static_cast<float>(value_of_channel(settings.image_mean, channel)) * factor;
  const float deviation =
      static_cast<float>(value_of_channel(settings.image_std, channel)) * factor;
  return (value - mean) / deviation;
}

}  // namespace

void check_channels(const std::vector<double>& values, int64_t channels, const char* name) {
  if (values.size() == 1 || static_cast<int64_t>(values.size()) == channels) return;
  throw ConfigError(
      "processor",
      std::string("/") + name,
      "one number, or one for each of the image's " + std::to_string(channels) + " channels",
      std::to_string(values.size()) + " numbers");
}

PixelTable::PixelTable(const ProcessorSettings& settings,
                       ImageBackend backend,
                       int64_t channels,
                       bool scaled_by_255) {
  if (settings.do_normalize) {
    check_channels(settings.image_mean, channels, "image_mean");
    check_channels(settings.image_std, channels, "image_std");
  }
  for (int64_t c = 0; c < channels; ++c) {
    for (int byte = 0; byte < 256; ++byte) {
      values_[c][byte] = backend == ImageBackend::Pil ? slow_value(byte, settings, c, scaled_by_255)
                                                      : fast_value(byte, settings, c);
    }
  }
}

void PixelTable::write_channels_first(const ImageView& image, float* out) const {
  const int64_t plane = image.height * image.width;
  for (int64_t y = 0; y < image.height; ++y) {
    const uint8_t* row = image.data + y * image.row_stride;
    float* target = out + y * image.width;
    if (image.channels == 3) {
      for (int64_t x = 0; x < image.width; ++x) {
        target[x] = values_[0][row[3 * x]];
        target[x + plane] = values_[1][row[3 * x + 1]];
        target[x + 2 * plane] = values_[2][row[3 * x + 2]];
      }
      continue;
    }
    for (int64_t c = 0; c < image.channels; ++c) {
      for (int64_t x = 0; x < image.width; ++x) {
        target[x + c * plane] = values_[c][row[x * image.channels + c]];
      }
    }
  }
}

void PixelTable::write_channels_last(const ImageView& image, float* out) const {
  for (int64_t y = 0; y < image.height; ++y) {
    const uint8_t* row = image.data + y * image.row_stride;
    for (int64_t x = 0; x < image.width; ++x) {
      for (int64_t c = 0; c < image.channels; ++c) *out++ = values_[c][*row++];
    }
  }
}

at::Tensor normalize_fused(const at::Tensor& image, const ProcessorSettings& settings) {
  check_channels(settings.image_mean, image.size(0), "image_mean");
  check_channels(settings.image_std, image.size(0), "image_std");
  const float factor = fused_factor(settings);
  const auto column = [&](const std::vector<double>& values) {
    return (at::tensor(values, at::kFloat) * factor).unsqueeze(-1).unsqueeze(-1);
  };
  return (image - column(settings.image_mean)) / column(settings.image_std);
}

}  // namespace vizoo::detail
