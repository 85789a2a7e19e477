#include "vizoo/vision/gaussian_zoom.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace vizoo {
namespace {

// numpy's sum of a contiguous array: blocks of eight partial sums, halves of what is long.
double pairwise_sum(const double* values, int64_t count) {
  constexpr int64_t kBlock = 128;
  if (count < 8) {
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) sum += values[i];
    return sum;
  }
  if (count > kBlock) {
    const int64_t half = count / 2 - count / 2 % 8;
    return pairwise_sum(values, half) + pairwise_sum(values + half, count - half);
  }
  std::array<double, 8> sums;
  std::copy_n(values, 8, sums.begin());
  int64_t i = 8;
  for (; i < count - count % 8; i += 8) {
    for (int64_t j = 0; j < 8; ++j) sums[j] += values[i + j];
  }
  double sum =
      ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
  for (; i < count; ++i) sum += values[i];
  return sum;
}

int64_t mirrored_index(int64_t index, int64_t size) {
  if (size == 1) return 0;
  const int64_t period = 2 * size - 2;
  index = std::abs(index) % period;
  return index < size ? index : period - index;
}

double sigma_of(int64_t in_size, int64_t out_size) {
  const double factor = static_cast<double>(in_size) / static_cast<double>(out_size);
  return std::max(0.0, (factor - 1.0) / 2.0);
}

// How a filtered sum is stored.
template <class T>
T stored(double value) {
  return static_cast<T>(value);
}

// How a zoomed one is.
template <class T>
T zoomed(double value) {
  return static_cast<T>(value);
}

template <>
uint8_t zoomed<uint8_t>(double value) {
  return static_cast<uint8_t>(std::min(value + 0.5, 255.0));
}

// out = ((a0 wy0) wx0 + (a1 wy0) wx1) + (b0 wy1) wx0 + (b1 wy1) wx1, in this order.
template <class T>
void blend(const T* __restrict a,
           const T* __restrict b,
           int64_t stride,
           const double* __restrict first_weights,
           const double* __restrict second_weights,
           const ZoomSample& rows,
           T* __restrict out,
           int64_t count) {
  const T* __restrict a1 = a + stride;
  const T* __restrict b1 = b + stride;
  const double upper = rows.first_weight;
  const double lower = rows.second_weight;
  for (int64_t i = 0; i < count; ++i) {
    double sum = static_cast<double>(a[i]) * upper * first_weights[i];
    sum += static_cast<double>(a1[i]) * upper * second_weights[i];
    sum += static_cast<double>(b[i]) * lower * first_weights[i];
    sum += static_cast<double>(b1[i]) * lower * second_weights[i];
    out[i] = zoomed<T>(sum);
  }
}

// Rows of the canvas, filtered along both axes. Columns right of the image and out of the filter's
// reach are all alike: a row ends with the first of them.
template <class T>
class FilteredRows {
 public:
  /// `samples`: the columns that will be asked for.
  FilteredRows(const ZoomGeometry& geometry,
               const std::vector<ZoomSample>& samples,
               T canvas_value,
               const RowReader<T>& read_row)
      : geometry_(geometry),
        read_row_(read_row),
        row_weights_(gaussian_weights(sigma_of(geometry.canvas.height, geometry.out.height))),
        column_weights_(gaussian_weights(sigma_of(geometry.canvas.width, geometry.out.width))),
        row_radius_(static_cast<int64_t>(row_weights_.size()) - 1),
        column_radius_(static_cast<int64_t>(column_weights_.size()) - 1),
        columns_(std::min(geometry.canvas.width, geometry.image.width + column_radius_ + 1)),
        ring_size_(std::min(geometry.image.height, 2 * row_radius_ + 1)),
        ring_rows_(static_cast<size_t>(ring_size_), -1),
        ring_(static_cast<size_t>(ring_size_ * values()), canvas_value),
        blank_(static_cast<size_t>(values()), canvas_value),
        filtered_(static_cast<size_t>(values())) {
    if (column_radius_ > 0) {
      line_.resize(static_cast<size_t>((columns_ + 2 * column_radius_) * geometry.channels));
    }
    if (geometry.canvas.width / geometry.out.width < kSparse) return;
    for (const ZoomSample& sample : samples) {
      needed_.push_back(std::min(sample.first, columns_ - 1));
      needed_.push_back(std::min(sample.second, columns_ - 1));
    }
  }

  int64_t columns() const { return columns_; }

  // The first row that equals row `y`.
  int64_t representative(int64_t y) const {
    return std::min(y, geometry_.image.height + row_radius_);
  }

  // Row `y`: columns() * channels values, until the next call.
  const T* row(int64_t y) {
    if (row_radius_ == 0 && column_radius_ == 0) return canvas_row(y);
    if (row_radius_ > 0) {
      filter_down(y);
    } else {
      std::copy_n(canvas_row(y), values(), filtered_.data());
    }
    if (column_radius_ > 0) filter_across();
    return filtered_.data();
  }

 private:
  int64_t values() const { return columns_ * geometry_.channels; }

  // A ring of as many rows as the filter covers: each is read once.
  const T* canvas_row(int64_t y) {
    if (y >= geometry_.image.height) return blank_.data();
    const auto slot = static_cast<size_t>(y % ring_size_);
    T* row = ring_.data() + slot * static_cast<size_t>(values());
    if (ring_rows_[slot] != y) {
      read_row_(y, row);
      ring_rows_[slot] = y;
    }
    return row;
  }

  void filter_down(int64_t y) {
    constexpr int64_t kChunk = 512;  // sums that stay in the first cache
    std::array<double, kChunk> sums;
    const T* centre = canvas_row(y);
    pairs_.clear();
    for (int64_t j = row_radius_; j > 0; --j) {
      const int64_t height = geometry_.canvas.height;
      pairs_.push_back(
          {canvas_row(mirrored_index(y - j, height)), canvas_row(mirrored_index(y + j, height))});
    }
    const double centre_weight = row_weights_.back();
    for (int64_t begin = 0; begin < values(); begin += kChunk) {
      const int64_t count = std::min(kChunk, values() - begin);
      for (int64_t i = 0; i < count; ++i) {
        sums[i] = static_cast<double>(centre[begin + i]) * centre_weight;
      }
      for (size_t j = 0; j < pairs_.size(); ++j) {
        const T* __restrict above = pairs_[j].first + begin;
        const T* __restrict below = pairs_[j].second + begin;
        const double weight = row_weights_[j];
        for (int64_t i = 0; i < count; ++i) {
          sums[i] += (static_cast<double>(above[i]) + static_cast<double>(below[i])) * weight;
        }
      }
      for (int64_t i = 0; i < count; ++i) filtered_[begin + i] = stored<T>(sums[i]);
    }
  }

  void filter_across() {
    constexpr int64_t kChunk = 512;
    std::array<double, kChunk> sums;
    const int64_t channels = geometry_.channels;
    const int64_t width = geometry_.canvas.width;
    const int64_t margin = column_radius_ * channels;
    std::copy_n(filtered_.data(), values(), line_.data() + margin);
    for (int64_t j = 1; j <= column_radius_; ++j) {
      const int64_t left = std::min(mirrored_index(-j, width), columns_ - 1);
      const int64_t right = std::min(mirrored_index(columns_ - 1 + j, width), columns_ - 1);
      for (int64_t c = 0; c < channels; ++c) {
        line_[margin - j * channels + c] = filtered_[left * channels + c];
        line_[margin + values() + (j - 1) * channels + c] = filtered_[right * channels + c];
      }
    }
    if (!needed_.empty()) return filter_needed();
    const double centre_weight = column_weights_.back();
    for (int64_t begin = 0; begin < values(); begin += kChunk) {
      const int64_t count = std::min(kChunk, values() - begin);
      const double* centre = line_.data() + margin + begin;
      for (int64_t i = 0; i < count; ++i) sums[i] = centre[i] * centre_weight;
      for (int64_t j = column_radius_; j > 0; --j) {
        const double* __restrict left = centre - j * channels;
        const double* __restrict right = centre + j * channels;
        const double weight = column_weights_[static_cast<size_t>(column_radius_ - j)];
        for (int64_t i = 0; i < count; ++i) sums[i] += (left[i] + right[i]) * weight;
      }
      for (int64_t i = 0; i < count; ++i) filtered_[begin + i] = stored<T>(sums[i]);
    }
  }

  // One by one: few of the columns are read where many become one.
  void filter_needed() {
    const int64_t channels = geometry_.channels;
    for (const int64_t column : needed_) {
      for (int64_t c = 0; c < channels; ++c) {
        const double* centre = line_.data() + (column + column_radius_) * channels + c;
        double sum = *centre * column_weights_.back();
        for (int64_t j = column_radius_; j > 0; --j) {
          sum += (centre[-j * channels] + centre[j * channels]) *
                 column_weights_[static_cast<size_t>(column_radius_ - j)];
        }
        filtered_[column * channels + c] = stored<T>(sum);
      }
    }
  }

  static constexpr int64_t kSparse = 16;  // input columns for each output column

  const ZoomGeometry geometry_;
  const RowReader<T>& read_row_;
  const std::vector<double> row_weights_;
  const std::vector<double> column_weights_;
  const int64_t row_radius_;
  const int64_t column_radius_;
  const int64_t columns_;
  const int64_t ring_size_;
  std::vector<int64_t> ring_rows_;
  std::vector<T> ring_;
  std::vector<T> blank_;
  std::vector<T> filtered_;
  std::vector<double> line_;     // a row between its mirror images
  std::vector<int64_t> needed_;  // empty: all columns
  std::vector<std::pair<const T*, const T*>> pairs_;
};

// Filtered rows as the zoom reads them: for each output column the first value, then the second
// one of all of them, channel after channel.
template <class T>
class SpreadRows {
 public:
  SpreadRows(FilteredRows<T>& rows, const std::vector<ZoomSample>& columns, int64_t channels)
      : rows_(rows), channels_(channels) {
    for (const ZoomSample& column : columns) {
      const int64_t last = rows.columns() - 1;
      first_.push_back(std::min(column.first, last) * channels);
      second_.push_back(std::min(column.second, last) * channels);
    }
    for (Slot& slot : slots_)
      slot.values.resize(2 * columns.size() * static_cast<size_t>(channels));
  }

  // Row `y`; valid until two other rows have been asked for.
  const T* row(int64_t y) {
    y = rows_.representative(y);
    for (Slot& slot : slots_) {
      if (slot.y == y) return slot.values.data();
    }
    Slot& slot = slots_[next_];
    next_ = (next_ + 1) % slots_.size();
    slot.y = y;
    const T* row = rows_.row(y);
    T* out = slot.values.data();
    const auto count = static_cast<int64_t>(first_.size());
    for (int64_t c = 0; c < channels_; ++c) {
      for (int64_t i = 0; i < count; ++i) out[c * count + i] = row[first_[i] + c];
    }
    out += channels_ * count;
    for (int64_t c = 0; c < channels_; ++c) {
      for (int64_t i = 0; i < count; ++i) out[c * count + i] = row[second_[i] + c];
    }
    return slot.values.data();
  }

 private:
  struct Slot {
    int64_t y = -1;
    std::vector<T> values;
  };

  FilteredRows<T>& rows_;
  const int64_t channels_;
  std::vector<int64_t> first_;
  std::vector<int64_t> second_;
  std::array<Slot, 3> slots_;
  size_t next_ = 0;
};

}  // namespace

std::vector<double> gaussian_weights(double sigma) {
  if (!(sigma > 1e-15)) return {1.0};
  const auto radius = static_cast<int64_t>(4.0 * sigma + 0.5);
  std::vector<double> weights;
  for (int64_t x = -radius; x <= radius; ++x) {
    weights.push_back(std::exp(-0.5 / (sigma * sigma) * static_cast<double>(x * x)));
  }
  const double sum = pairwise_sum(weights.data(), static_cast<int64_t>(weights.size()));
  weights.resize(static_cast<size_t>(radius) + 1);
  for (double& weight : weights) weight /= sum;
  return weights;
}

std::vector<ZoomSample> zoom_samples(int64_t in_size, int64_t out_size) {
  const double ratio = static_cast<double>(in_size) / static_cast<double>(out_size);
  std::vector<ZoomSample> samples(static_cast<size_t>(out_size));
  for (int64_t k = 0; k < out_size; ++k) {
    // Half a sample beyond the ends at most; only that before the first one is mirrored.
    const double coordinate =
        in_size == 1 ? 0.0 : std::abs((static_cast<double>(k) + 0.5) * ratio - 0.5);
    const double whole = std::floor(coordinate);
    const double weight = 1.0 - (coordinate - whole);
    const auto first = static_cast<int64_t>(whole);
    samples[static_cast<size_t>(k)] = {
        first, mirrored_index(first + 1, in_size), weight, 1.0 - weight};
  }
  return samples;
}

template <class T>
void gaussian_zoom(const ZoomGeometry& geometry,
                   T canvas_value,
                   const RowReader<T>& read_row,
                   const RowWriter<T>& write_row) {
  const auto rows = zoom_samples(geometry.canvas.height, geometry.out.height);
  const auto columns = zoom_samples(geometry.canvas.width, geometry.out.width);
  const int64_t width = geometry.out.width;
  const int64_t channels = geometry.channels;
  FilteredRows<T> filtered(geometry, columns, canvas_value, read_row);
  SpreadRows<T> spread(filtered, columns, channels);
  std::vector<double> first_weights;
  std::vector<double> second_weights;
  for (const ZoomSample& column : columns) {
    first_weights.push_back(column.first_weight);
    second_weights.push_back(column.second_weight);
  }
  std::vector<T> out(static_cast<size_t>(width * channels));
  for (int64_t y = 0; y < geometry.out.height; ++y) {
    const ZoomSample& sample = rows[static_cast<size_t>(y)];
    const T* upper = spread.row(sample.first);
    const T* lower = spread.row(sample.second);
    for (int64_t c = 0; c < channels; ++c) {
      blend(upper + c * width,
            lower + c * width,
            channels * width,
            first_weights.data(),
            second_weights.data(),
            sample,
            out.data() + c * width,
            width);
    }
    write_row(y, out.data());
  }
}

template void gaussian_zoom(const ZoomGeometry&,
                            float,
                            const RowReader<float>&,
                            const RowWriter<float>&);
template void gaussian_zoom(const ZoomGeometry&,
                            double,
                            const RowReader<double>&,
                            const RowWriter<double>&);
template void gaussian_zoom(const ZoomGeometry&,
                            uint8_t,
                            const RowReader<uint8_t>&,
                            const RowWriter<uint8_t>&);

}  // namespace vizoo
