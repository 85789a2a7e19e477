// The passes in plain C++: every processor, and the test of the vector kernels.
#include <algorithm>

#include "vizoo/vision/resample_kernels.h"

namespace vizoo::detail {
namespace {

uint8_t to_pixel(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kWeightBits, 0, 255));
}

template <int kChannels>
void horizontal_rows(const HorizontalPass& pass) {
  const WeightTable& table = *pass.table;
  for (int64_t y = 0; y < pass.input.height; ++y) {
    const uint8_t* row = pass.input.data + y * pass.input.row_stride;
    uint8_t* output = pass.output + y * pass.output_stride;
    for (int64_t x = 0; x < pass.columns; ++x) {
      const int64_t index = pass.first_column + x;
      const int32_t* weights = table.weights.data() + index * table.groups * kGroup;
      const uint8_t* pixel = row + (table.first[index] - pass.first_input_column) * kChannels;
      int32_t sums[kChannels];
      std::fill(sums, sums + kChannels, kHalfUnit);
      for (int64_t k = 0; k < table.count[index]; ++k, pixel += kChannels) {
        for (int c = 0; c < kChannels; ++c) sums[c] += pixel[c] * weights[k];
      }
      for (int c = 0; c < kChannels; ++c) *output++ = to_pixel(sums[c]);
    }
  }
}

}  // namespace

void horizontal_portable(const HorizontalPass& pass) {
  switch (pass.input.channels) {
    case 1:
      return horizontal_rows<1>(pass);
    case 2:
      return horizontal_rows<2>(pass);
    case 3:
      return horizontal_rows<3>(pass);
    default:
      return horizontal_rows<4>(pass);
  }
}

void vertical_row_portable(const VerticalPass& pass, int64_t row, int64_t begin, int64_t end) {
  const WeightTable& table = *pass.table;
  const int64_t index = pass.first_row + row;
  const int32_t* weights = table.weights.data() + index * table.groups * kGroup;
  const uint8_t* source =
      pass.input + (table.first[index] - pass.first_input_row) * pass.input_stride;
  uint8_t* output = pass.output + row * pass.output_stride;
  // Blocks keep the sums in registers or the nearest cache while rows stream by.
  constexpr int64_t kBlock = 64;
  for (int64_t x = begin; x < end; x += kBlock) {
    const int64_t length = std::min(kBlock, end - x);
    int32_t sums[kBlock];
    std::fill(sums, sums + length, kHalfUnit);
    for (int64_t k = 0; k < table.count[index]; ++k) {
      const uint8_t* pixels = source + k * pass.input_stride + x;
      const int32_t weight = weights[k];
      for (int64_t i = 0; i < length; ++i) sums[i] += pixels[i] * weight;
    }
    for (int64_t i = 0; i < length; ++i) output[x + i] = to_pixel(sums[i]);
  }
}

void vertical_portable(const VerticalPass& pass) {
  for (int64_t row = 0; row < pass.rows; ++row) {
    vertical_row_portable(pass, row, 0, pass.row_bytes);
  }
}

}  // namespace vizoo::detail
