// Pillow's weight tables: Resample.c, precompute_coeffs and normalize_coeffs_8bpc.
#include <algorithm>
#include <cmath>
#include <memory>
#include <mutex>
#include <vector>

#include "vizoo/core/constants.h"

#include "vizoo/vision/resample_kernels.h"

namespace vizoo::detail {
namespace {

double sinc(double x) { return x == 0.0 ? 1.0 : std::sin(x * kPi) / (x * kPi); }

// Half width of each filter at scale 1.
double filter_support(Resample filter) {
  switch (filter) {
    case Resample::box:
      return 0.5;
    case Resample::bilinear:
    case Resample::hamming:
      return 1.0;
    case Resample::bicubic:
      return 2.0;
    default:
      return 3.0;
  }
}

double filter_value(Resample filter, double x) {
  const double distance = std::fabs(x);
  switch (filter) {
    case Resample::box:
      return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
    case Resample::bilinear:
      return distance < 1.0 ? 1.0 - distance : 0.0;
    case Resample::hamming: {
      if (distance == 0.0) return 1.0;
      if (distance >= 1.0) return 0.0;
      const double angle = distance * kPi;
      // The constants are single precision in Pillow too.
      return std::sin(angle) / angle * (0.54f + 0.46f * std::cos(angle));
    }
    case Resample::bicubic: {
      constexpr double a = -0.5;
      if (distance < 1.0) {
        return ((a + 2.0) * distance - (a + 3.0)) * distance * distance + 1;
      }
      if (distance < 2.0) return (((distance - 5) * distance + 8) * distance - 4) * a;
      return 0.0;
    }
    default:
      return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
  }
}

// Taps per output index, as Pillow bounds them.
int64_t max_taps(int64_t in_size, int64_t out_size, Resample filter) {
  const double scale = std::max(static_cast<double>(in_size) / static_cast<double>(out_size), 1.0);
  return static_cast<int64_t>(std::ceil(filter_support(filter) * scale)) * 2 + 1;
}

int32_t pack_pair(int32_t even, int32_t odd) {
  return static_cast<int32_t>((static_cast<uint32_t>(even) & 0xFFFFu) |
                              (static_cast<uint32_t>(odd) << 16));
}

void split_limbs(WeightTable& table) {
  const int64_t taps = table.groups * kGroup;
  table.limbs.resize(static_cast<size_t>(table.out_size * taps));
  constexpr int32_t kRound = int32_t{1} << (kLimbBits - 1);
  for (int64_t g = 0; g < table.out_size * table.groups; ++g) {
    const int32_t* weights = table.weights.data() + g * kGroup;
    int32_t high[kGroup];
    int32_t low[kGroup];
    for (int64_t k = 0; k < kGroup; ++k) {
      high[k] = (weights[k] + kRound) >> kLimbBits;
      low[k] = weights[k] - high[k] * (int32_t{1} << kLimbBits);
    }
    int32_t* limbs = table.limbs.data() + g * kGroup;
    limbs[0] = pack_pair(high[0], high[1]);
    limbs[1] = pack_pair(high[2], high[3]);
    limbs[2] = pack_pair(low[0], low[1]);
    limbs[3] = pack_pair(low[2], low[3]);
  }
}

WeightTable make_table(int64_t in_size, int64_t out_size, Resample filter) {
  WeightTable table;
  table.in_size = in_size;
  table.out_size = out_size;
  table.filter = filter;
  table.groups = (max_taps(in_size, out_size, filter) + kGroup - 1) / kGroup;
  table.first.resize(static_cast<size_t>(out_size));
  table.count.resize(static_cast<size_t>(out_size));
  const int64_t taps = table.groups * kGroup;
  table.weights.assign(static_cast<size_t>(out_size * taps), 0);
  const double scale = static_cast<double>(in_size) / static_cast<double>(out_size);
  const double filter_scale = std::max(scale, 1.0);
  const double support = filter_support(filter) * filter_scale;
  const double inverse = 1.0 / filter_scale;
  std::vector<double> values(static_cast<size_t>(taps));
  for (int64_t i = 0; i < out_size; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const int64_t last = std::min<int64_t>(static_cast<int64_t>(center + support + 0.5), in_size);
    const int64_t count = std::max<int64_t>(last - first, 0);
    double sum = 0.0;
    for (int64_t k = 0; k < count; ++k) {
      values[k] = filter_value(filter, (static_cast<double>(k + first) - center + 0.5) * inverse);
      sum += values[k];
    }
    int32_t* weights = table.weights.data() + i * taps;
    for (int64_t k = 0; k < count; ++k) {
      const double value = sum != 0.0 ? values[k] / sum : values[k];
      const double scaled = value * (int32_t{1} << kWeightBits);
      weights[k] = static_cast<int32_t>(value < 0 ? -0.5 + scaled : 0.5 + scaled);
    }
    table.first[i] = static_cast<int32_t>(first);
    table.count[i] = static_cast<int32_t>(count);
  }
  split_limbs(table);
  return table;
}

// The last few tables that were used: batches of photos share their sizes.
class TableCache {
 public:
  std::shared_ptr<const WeightTable> get(int64_t in_size, int64_t out_size, Resample filter) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (const auto& table : tables_) {
        if (table && table->in_size == in_size && table->out_size == out_size &&
            table->filter == filter) {
          return table;
        }
      }
    }
    auto table = std::make_shared<const WeightTable>(make_table(in_size, out_size, filter));
    if (weight_table_bytes(in_size, out_size, filter) <= kMaxTableBytes) {
      const std::lock_guard<std::mutex> lock(mutex_);
      tables_[next_] = table;
      next_ = (next_ + 1) % kTables;
    }
    return table;
  }

 private:
  static constexpr size_t kTables = 32;
  static constexpr int64_t kMaxTableBytes = int64_t{1} << 18;  // 8 MiB in all

  std::mutex mutex_;
  std::shared_ptr<const WeightTable> tables_[kTables];
  size_t next_ = 0;
};

}  // namespace

int64_t weight_table_bytes(int64_t in_size, int64_t out_size, Resample filter) {
  const int64_t groups = (max_taps(in_size, out_size, filter) + kGroup - 1) / kGroup;
  return out_size * groups * kGroup * 2 * static_cast<int64_t>(sizeof(int32_t));
}

std::shared_ptr<const WeightTable> weight_table(int64_t in_size,
                                                int64_t out_size,
                                                Resample filter) {
  static TableCache cache;
  return cache.get(in_size, out_size, filter);
}

}  // namespace vizoo::detail
