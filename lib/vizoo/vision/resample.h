#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "vizoo/core/config.h"

namespace vizoo {

/// Resampling filters under Pillow's names, with the integers that preprocessor_config.json holds.
enum class Resample : int64_t {
  nearest = 0,
  lanczos = 1,
  bilinear = 2,
  bicubic = 3,
  box = 4,
  hamming = 5,
};

template <>
struct EnumNames<Resample> {
  static constexpr std::pair<Resample, const char*> table[] = {
      {Resample::nearest, "nearest"},
      {Resample::lanczos, "lanczos"},
      {Resample::bilinear, "bilinear"},
      {Resample::bicubic, "bicubic"},
      {Resample::box, "box"},
      {Resample::hamming, "hamming"},
  };
};

/// Largest number of pixels that an image or a resized image may have: the count at which Pillow
/// speaks of a decompression bomb (a quarter of 2^31 / 3).
constexpr int64_t kDefaultMaxPixels = 178956970;

/// Read-only uint8 image: `height` rows of `width` interleaved pixels of 1 to 4 channels;
/// `row_stride` is in bytes and at least width * channels.
struct ImageView {
  const uint8_t* data = nullptr;
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 0;
  int64_t row_stride = 0;
};

/// As ImageView, writable.
struct MutableImageView {
  uint8_t* data = nullptr;
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 0;
  int64_t row_stride = 0;
};

/// Part of the resized image that is computed: rows [top, top + height), columns
/// [left, left + width).
struct ResampleWindow {
  int64_t top = 0;
  int64_t left = 0;
  int64_t height = 0;
  int64_t width = 0;
};

/// Which kernels run. All give the same bytes; `best` asks the processor.
enum class InstructionSet { best, portable, avx2 };

/// Order of the two passes; it matters because the result between them is rounded.
enum class PassOrder {
  /// Pillow 13: vertical first if the height shrinks by more than twice what the width shrinks,
  /// out_height < height and height - out_height > 2 (width - out_width); else horizontal first.
  pillow13,
  /// Pillow up to 12: always horizontal first.
  horizontal_first,
};

/// How a resize runs.
struct ResampleOptions {
  InstructionSet set = InstructionSet::best;
  PassOrder order = PassOrder::pillow13;
};

/// True if this build has kernels for `set` and the processor can run them.
bool supports(InstructionSet set);

/// Throws ImageError unless an image of this size may be made: both sides positive and at most
/// kDefaultMaxPixels pixels.
void check_resize_target(int64_t out_height, int64_t out_width);

/// Resizes `input` to out_height x out_width and writes the part `window` of it to `output`, equal
/// byte for byte to that part of Pillow's `Image.resize((out_width, out_height), filter)`: two
/// passes with 22-bit fixed-point weights in the order of `options`, rounded to uint8 between them;
/// a pass whose length does not change is skipped. Channels are treated alike: alpha is not
/// premultiplied.
/// `output` has the window's size and the input's channels and may not overlap the input.
/// Throws ImageError for an empty image, a size that is not positive, more than
/// `kDefaultMaxPixels` output pixels, or a resize that would need more than 1 GiB of working
/// memory, all before anything is allocated; UsageError for views or a window that do not fit, or
/// an instruction set that the processor lacks.
/// Source: Pillow, src/libImaging/Resample.c (and Geometry.c for nearest).
void resample(const ImageView& input,
              int64_t out_height,
              int64_t out_width,
              Resample filter,
              const ResampleWindow& window,
              const MutableImageView& output,
              const ResampleOptions& options = {});

/// As above for the whole resized image; its size is the output view's.
void resample(const ImageView& input,
              Resample filter,
              const MutableImageView& output,
              const ResampleOptions& options = {});

}  // namespace vizoo
