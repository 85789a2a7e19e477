#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "vizoo/vision/resample.h"

namespace vizoo::detail {

/// Pillow's fixed-point weights: 22 fractional bits, sums start at one half.
constexpr int kWeightBits = 22;
constexpr int32_t kHalfUnit = int32_t{1} << (kWeightBits - 1);

/// Low limb of a weight in the split w = high * 2^kLimbBits + low, low in [-2^10, 2^10): both limbs
/// fit 16 bits, so 16-bit multiply-add instructions give the exact product in two halves.
constexpr int kLimbBits = 11;

/// Taps are stored in groups of four, the last one filled up with zero weights.
constexpr int64_t kGroup = 4;

/// Bytes at the end of each row that the horizontal kernels write besides the pixels.
constexpr int64_t kRowScratch = 32;

/// Weights of one axis. Output index i reads input [first[i], first[i] + count[i]).
struct WeightTable {
  int64_t in_size = 0;
  int64_t out_size = 0;
  Resample filter = Resample::nearest;
  int64_t groups = 0;  ///< groups of four taps per output index
  std::vector<int32_t> first;
  std::vector<int32_t> count;
  std::vector<int32_t> weights;  ///< [out_size, 4 * groups]
  /// [out_size, groups, 4]: the pairs of 16-bit limbs (high 0|1, high 2|3, low 0|1, low 2|3), the
  /// even tap in the lower half of each word.
  std::vector<int32_t> limbs;
};

/// The table of an axis, from a bounded cache that threads share.
std::shared_ptr<const WeightTable> weight_table(int64_t in_size, int64_t out_size, Resample filter);

/// Memory that the table of an axis takes.
int64_t weight_table_bytes(int64_t in_size, int64_t out_size, Resample filter);

/// One pass over all rows of its input or output.
struct HorizontalPass {
  ImageView input;             ///< its rows are those of the output
  int64_t first_input_column;  ///< index of its first column in the whole image
  uint8_t* output;             ///< rows of `columns` pixels
  int64_t output_stride;       ///< bytes; at least columns * channels + kRowScratch
  const WeightTable* table;
  int64_t first_column;  ///< output index of the first column
  int64_t columns;
};

struct VerticalPass {
  const uint8_t* input;  ///< row `first_input_row` of the image
  int64_t first_input_row;
  int64_t input_stride;  ///< bytes
  int64_t row_bytes;     ///< width * channels
  uint8_t* output;       ///< rows of row_bytes bytes, nothing beyond them is written
  int64_t output_stride;
  const WeightTable* table;
  int64_t first_row;  ///< output index of the first row
  int64_t rows;
};

void horizontal_portable(const HorizontalPass& pass);
void vertical_portable(const VerticalPass& pass);

/// One stretch of bytes of one output row; also the tail of the vector kernels.
void vertical_row_portable(const VerticalPass& pass, int64_t row, int64_t begin, int64_t end);

#if defined(__x86_64__)
void horizontal_avx2(const HorizontalPass& pass);
void vertical_avx2(const VerticalPass& pass);
#endif

}  // namespace vizoo::detail
