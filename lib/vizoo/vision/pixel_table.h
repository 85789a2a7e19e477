#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>

#include "vizoo/vision/image_processor.h"

namespace vizoo::detail {

/// Rescaling and normalising of uint8 images as one look-up: the 256 results per channel are
/// computed by the very steps that would be taken for each pixel, so the numbers are the same.
class PixelTable {
 public:
  /// `scaled_by_255`: the bytes stand for floating values in 0..1 (Pil backend only).
  /// Throws ConfigError if mean or std do not fit the channels.
  PixelTable(const ProcessorSettings& settings,
             ImageBackend backend,
             int64_t channels,
             bool scaled_by_255);

  /// [H, W, C] bytes to [C, H, W] or [H, W, C] floats, contiguous.
  void write_channels_first(const ImageView& image, float* out) const;
  void write_channels_last(const ImageView& image, float* out) const;

 private:
  std::array<std::array<float, 256>, 4> values_;
};

/// Throws ConfigError that names /`name` unless there is one value, or one for each channel.
void check_channels(const std::vector<double>& values, int64_t channels, const char* name);

/// The fast classes' fused step: mean and std times 1 / rescale_factor (if rescaling is on) in
/// float32, then (x - mean) / std of a float32 image [C, H, W].
at::Tensor normalize_fused(const at::Tensor& image, const ProcessorSettings& settings);

}  // namespace vizoo::detail
