#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "vizoo/vision/image_transforms.h"

namespace vizoo {

/// The image that `gaussian_zoom` reads and the one that it makes.
struct ZoomGeometry {
  ImageSize image;
  /// The image lies in the upper left corner of a canvas, at least as large, of one value. Rows and
  /// columns of the canvas are never stored as such: only what differs takes memory and time.
  ImageSize canvas;
  int64_t channels = 3;
  ImageSize out;
};

/// Gives row `y` of the image: width * channels interleaved values.
template <class T>
using RowReader = std::function<void(int64_t y, T* row)>;

/// Takes row `y` of the result: `channels` stretches of out.width values. It may change them.
template <class T>
using RowWriter = std::function<void(int64_t y, T* row)>;

/// Resizes as SciPy does, bit by bit: `gaussian_filter` with sigma = max(0, (in / out - 1) / 2) on
/// each axis, then `zoom` of order 1 with grid_mode, both with mode "mirror" (c b | a b c | b a).
///
/// T: float, double, or uint8_t (the filter then truncates and the zoom rounds, as SciPy does).
/// Sums are made in double and stored as T between the passes, rows first. Time is in proportion to
/// the larger of canvas and result whatever their ratio, memory to the rows under the filter.
/// The sizes must be at least 1, and the canvas no smaller than the image.
/// Source: image_processing_owlv2.py (4.37.2), resize; SciPy 1.17, ni_filters.c,
/// ni_interpolation.c.
template <class T>
void gaussian_zoom(const ZoomGeometry& geometry,
                   T canvas_value,
                   const RowReader<T>& read_row,
                   const RowWriter<T>& write_row);

/// Weights of SciPy's Gaussian of standard deviation `sigma` from the outermost to the centre: the
/// radius is int(4 sigma + 0.5). Alone the centre, 1, for a sigma of at most 1e-15.
std::vector<double> gaussian_weights(double sigma);

/// Where an output sample of `zoom` reads: values at `first` and `second` times their weights.
struct ZoomSample {
  int64_t first = 0;
  int64_t second = 0;
  double first_weight = 1.0;
  double second_weight = 0.0;
};

/// One for each output index of an axis of in_size samples that becomes out_size long.
std::vector<ZoomSample> zoom_samples(int64_t in_size, int64_t out_size);

}  // namespace vizoo
