// Pillow's resize; see resample.h.
#include "vizoo/vision/resample.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "vizoo/core/error.h"
#include "vizoo/vision/resample_kernels.h"

namespace vizoo {
namespace {

using detail::HorizontalPass;
using detail::VerticalPass;
using detail::weight_table;
using detail::WeightTable;

constexpr int64_t kMaxWorkingBytes = int64_t{1} << 30;

// Pillow's nearest neighbour walks the source position by repeated addition in double precision;
// (i + 0.5) * scale differs from that in about one size pair in twenty.
std::vector<int64_t> nearest_indices(int64_t in_size, int64_t out_size) {
  std::vector<int64_t> indices(static_cast<size_t>(out_size));
  const double scale = static_cast<double>(in_size) / static_cast<double>(out_size);
  double position = scale * 0.5;
  for (int64_t i = 0; i < out_size; ++i, position += scale) {
    indices[i] = std::min(static_cast<int64_t>(position), in_size - 1);
  }
  return indices;
}

void resample_nearest(const ImageView& input,
                      int64_t out_height,
                      int64_t out_width,
                      const ResampleWindow& window,
                      const MutableImageView& output) {
  const std::vector<int64_t> rows = nearest_indices(input.height, out_height);
  const std::vector<int64_t> columns = nearest_indices(input.width, out_width);
  for (int64_t y = 0; y < window.height; ++y) {
    const uint8_t* source = input.data + rows[window.top + y] * input.row_stride;
    uint8_t* target = output.data + y * output.row_stride;
    for (int64_t x = 0; x < window.width; ++x) {
      const uint8_t* pixel = source + columns[window.left + x] * input.channels;
      for (int64_t c = 0; c < input.channels; ++c) *target++ = pixel[c];
    }
  }
}

std::string size_text(int64_t height, int64_t width) {
  return std::to_string(height) + " x " + std::to_string(width);
}

void check_sizes(const ImageView& input,
                 int64_t out_height,
                 int64_t out_width,
                 Resample filter,
                 const ResampleWindow& window,
                 const MutableImageView& output) {
  if (input.height <= 0 || input.width <= 0) {
    throw ImageError("image",
                     "resize",
                     "an image of at least 1 x 1 pixels (height x width)",
                     size_text(input.height, input.width));
  }
  check_resize_target(out_height, out_width);
  if (input.channels < 1 || input.channels > 4 || output.channels != input.channels) {
    throw UsageError(
        "image",
        "resize",
        "1 to 4 channels, as many out as in",
        std::to_string(input.channels) + " in, " + std::to_string(output.channels) + " out");
  }
  if (window.top < 0 || window.left < 0 || window.height <= 0 || window.width <= 0 ||
      window.height > out_height - window.top || window.width > out_width - window.left ||
      output.height != window.height || output.width != window.width ||
      output.row_stride < output.width * output.channels ||
      input.row_stride < input.width * input.channels) {
    throw UsageError("image",
                     "resize",
                     "a window inside the resized image and views of its size",
                     size_text(window.height, window.width));
  }
  if (filter == Resample::nearest) return;
  const int64_t limit = std::max(input.height, input.width);
  // Either order of the passes, and the band before a copy.
  const int64_t working =
      (input.height + window.height) * (window.width * input.channels + detail::kRowScratch) +
      window.height * (input.width * input.channels + detail::kRowScratch) +
      detail::weight_table_bytes(input.width, out_width, filter) +
      detail::weight_table_bytes(input.height, out_height, filter);
  if (limit > INT32_MAX || working > kMaxWorkingBytes) {
    throw ImageError(
        "image",
        "resize",
        "a resize that needs at most " + std::to_string(kMaxWorkingBytes >> 20) +
            " MiB of working memory",
        size_text(input.height, input.width) + " to " + size_text(out_height, out_width));
  }
}

void copy_window(const ImageView& input,
                 const ResampleWindow& window,
                 const MutableImageView& output) {
  const uint8_t* source = input.data + window.top * input.row_stride + window.left * input.channels;
  for (int64_t y = 0; y < window.height; ++y) {
    std::memcpy(output.data + y * output.row_stride,
                source + y * input.row_stride,
                static_cast<size_t>(window.width * input.channels));
  }
}

bool use_avx2(InstructionSet set) {
  if (!supports(set)) {
    throw UsageError("image", "resize", "an instruction set that this processor has", "AVX2");
  }
  return set != InstructionSet::portable && supports(InstructionSet::avx2);
}

bool vertical_first(const ImageView& input,
                    int64_t out_height,
                    int64_t out_width,
                    PassOrder order) {
  return order == PassOrder::pillow13 && out_height < input.height &&
         input.height - out_height > 2 * (input.width - out_width);
}

void run_horizontal(const HorizontalPass& pass, bool avx2) {
#if defined(__x86_64__)
  if (avx2) return detail::horizontal_avx2(pass);
#endif
  static_cast<void>(avx2);
  detail::horizontal_portable(pass);
}

void run_vertical(const VerticalPass& pass, bool avx2) {
#if defined(__x86_64__)
  if (avx2) return detail::vertical_avx2(pass);
#endif
  static_cast<void>(avx2);
  detail::vertical_portable(pass);
}

// Working image whose rows have the scratch end that the horizontal kernels need.
class Buffer {
 public:
  Buffer(int64_t height, int64_t width, int64_t channels)
      : height_(height),
        width_(width),
        channels_(channels),
        bytes_(new uint8_t[static_cast<size_t>(height * stride())]) {}

  uint8_t* data() { return bytes_.get(); }
  int64_t stride() const { return width_ * channels_ + detail::kRowScratch; }
  MutableImageView view() { return {data(), height_, width_, channels_, stride()}; }
  ImageView const_view() const { return {bytes_.get(), height_, width_, channels_, stride()}; }

 private:
  int64_t height_;
  int64_t width_;
  int64_t channels_;
  std::unique_ptr<uint8_t[]> bytes_;
};

struct Span {
  int64_t begin;
  int64_t length;
};

// The input indices that outputs [first, first + length) read.
Span source_span(const WeightTable& table, int64_t first, int64_t length) {
  const int64_t last = first + length - 1;
  return {table.first[first], table.first[last] + table.count[last] - table.first[first]};
}

// Horizontal pass to a view without scratch at its row ends.
void horizontal_to(const ImageView& source,
                   int64_t first_input_column,
                   const WeightTable& table,
                   int64_t first_column,
                   const MutableImageView& output,
                   bool avx2) {
  Buffer rows(output.height, output.width, output.channels);
  run_horizontal(
      {source, first_input_column, rows.data(), rows.stride(), &table, first_column, output.width},
      avx2);
  copy_window(rows.const_view(), {0, 0, output.height, output.width}, output);
}

void horizontal_only(const ImageView& input,
                     int64_t out_width,
                     Resample filter,
                     const ResampleWindow& window,
                     const MutableImageView& output,
                     bool avx2) {
  const auto table = weight_table(input.width, out_width, filter);
  const ImageView source{input.data + window.top * input.row_stride,
                         window.height,
                         input.width,
                         input.channels,
                         input.row_stride};
  horizontal_to(source, 0, *table, window.left, output, avx2);
}

void vertical_only(const ImageView& input,
                   int64_t out_height,
                   Resample filter,
                   const ResampleWindow& window,
                   const MutableImageView& output,
                   bool avx2) {
  const auto table = weight_table(input.height, out_height, filter);
  run_vertical({input.data + window.left * input.channels,
                0,
                input.row_stride,
                window.width * input.channels,
                output.data,
                output.row_stride,
                table.get(),
                window.top,
                window.height},
               avx2);
}

}  // namespace

void check_resize_target(int64_t out_height, int64_t out_width) {
  if (out_height > 0 && out_width > 0 && out_height <= kDefaultMaxPixels &&
      out_width <= kDefaultMaxPixels / out_height) {
    return;
  }
  throw ImageError("image",
                   "resize",
                   "a target size of 1 to " + std::to_string(kDefaultMaxPixels) + " pixels",
                   size_text(out_height, out_width) + " (height x width)");
}

bool supports(InstructionSet set) {
  if (set != InstructionSet::avx2) return true;
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2");
#else
  return false;
#endif
}

void resample(const ImageView& input,
              int64_t out_height,
              int64_t out_width,
              Resample filter,
              const ResampleWindow& window,
              const MutableImageView& output,
              const ResampleOptions& options) {
  check_sizes(input, out_height, out_width, filter, window, output);
  const bool avx2 = use_avx2(options.set);
  const bool needs_horizontal = out_width != input.width;
  const bool needs_vertical = out_height != input.height;
  if (!needs_horizontal && !needs_vertical) return copy_window(input, window, output);
  if (filter == Resample::nearest) {
    return resample_nearest(input, out_height, out_width, window, output);
  }
  if (!needs_horizontal) return vertical_only(input, out_height, filter, window, output, avx2);
  if (!needs_vertical) return horizontal_only(input, out_width, filter, window, output, avx2);

  // The first pass makes just what the second reads for the window.
  if (vertical_first(input, out_height, out_width, options.order)) {
    const Span columns =
        source_span(*weight_table(input.width, out_width, filter), window.left, window.width);
    Buffer band(window.height, columns.length, input.channels);
    vertical_only(input,
                  out_height,
                  filter,
                  {window.top, columns.begin, window.height, columns.length},
                  band.view(),
                  avx2);
    const auto table = weight_table(input.width, out_width, filter);
    return horizontal_to(band.const_view(), columns.begin, *table, window.left, output, avx2);
  }
  const Span rows =
      source_span(*weight_table(input.height, out_height, filter), window.top, window.height);
  Buffer band(rows.length, window.width, input.channels);
  const auto table = weight_table(input.width, out_width, filter);
  const ImageView source{input.data + rows.begin * input.row_stride,
                         rows.length,
                         input.width,
                         input.channels,
                         input.row_stride};
  run_horizontal({source, 0, band.data(), band.stride(), table.get(), window.left, window.width},
                 avx2);
  run_vertical({band.data(),
                rows.begin,
                band.stride(),
                window.width * input.channels,
                output.data,
                output.row_stride,
                weight_table(input.height, out_height, filter).get(),
                window.top,
                window.height},
               avx2);
}

void resample(const ImageView& input,
              Resample filter,
              const MutableImageView& output,
              const ResampleOptions& options) {
  resample(input,
           output.height,
           output.width,
           filter,
           {0, 0, output.height, output.width},
           output,
           options);
}

}  // namespace vizoo
