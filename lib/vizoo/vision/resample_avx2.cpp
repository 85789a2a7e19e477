// Compiled with -mavx2; called only where the processor has it. See Note [Two limbs].
#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "vizoo/vision/resample_kernels.h"

namespace vizoo::detail {
namespace {

// Note [Two limbs]
// A weight has up to 24 bits, the multiply-add of AVX2 takes 16-bit factors. With
// w = high * 2^11 + low, sum(p w) = (sum(p high) << 11) + sum(p low), and as every step is exact
// modulo 2^32 and the true sum fits 32 bits, the result is Pillow's to the bit.

__m256i finish(__m256i high, __m256i low) {
  const __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(high, kLimbBits), low);
  return _mm256_srai_epi32(sum, kWeightBits);
}

__m256i multiply_accumulate(__m256i sum, __m256i pixels, __m256i weights) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pixels, weights));
}

__m256i broadcast(const int32_t* word) { return _mm256_set1_epi32(*word); }

// Two rows in one register: 16 bytes of each.
__m256i load_rows(const uint8_t* a, const uint8_t* b) {
  const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a));
  const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b));
  return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

// Shuffle that spreads two pixels, starting at pixel `tap`, into 16-bit pairs per channel:
// [c0 of tap, c0 of tap + 1, c1 of tap, c1 of tap + 1, ...]; unused lanes become zero.
__m256i spread_mask(int64_t channels, int64_t tap) {
  alignas(16) int8_t mask[16];
  std::fill(mask, mask + 16, static_cast<int8_t>(-128));
  for (int64_t c = 0; c < channels; ++c) {
    mask[4 * c] = static_cast<int8_t>(channels * tap + c);
    mask[4 * c + 2] = static_cast<int8_t>(channels * (tap + 1) + c);
  }
  return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(mask)));
}

// Sums of one output pixel for four rows, shifted back to pixels: rows 0 and 1, rows 2 and 3.
struct FourRows {
  __m256i rows01;
  __m256i rows23;
};

// kPairs > 0: every output has at most that many pairs of taps and the loop unrolls; 0: any number.
template <int kPairs>
[[gnu::always_inline]] inline FourRows weigh(const uint8_t* row0,
                                             const uint8_t* row1,
                                             const uint8_t* row2,
                                             const uint8_t* row3,
                                             int64_t offset,
                                             int64_t channels,
                                             const int32_t* limbs,
                                             int64_t pairs,
                                             __m256i spread01,
                                             __m256i spread23) {
  const __m256i half = _mm256_set1_epi32(kHalfUnit);
  __m256i high_a = _mm256_setzero_si256();
  __m256i high_b = _mm256_setzero_si256();
  __m256i low_a = half;
  __m256i low_b = half;
  __m256i bytes_a = half;
  __m256i bytes_b = half;
  const auto add_pair = [&](int64_t pair) __attribute__((always_inline)) {
    const int64_t within = pair % 2;
    if (within == 0) {
      const int64_t at = offset + pair * 2 * channels;
      bytes_a = load_rows(row0 + at, row1 + at);
      bytes_b = load_rows(row2 + at, row3 + at);
    }
    const __m256i spread = within == 0 ? spread01 : spread23;
    const __m256i a = _mm256_shuffle_epi8(bytes_a, spread);
    const __m256i b = _mm256_shuffle_epi8(bytes_b, spread);
    const int32_t* word = limbs + (pair / 2) * 4 + within;
    const __m256i high = broadcast(word);
    const __m256i low = broadcast(word + 2);
    high_a = multiply_accumulate(high_a, a, high);
    high_b = multiply_accumulate(high_b, b, high);
    low_a = multiply_accumulate(low_a, a, low);
    low_b = multiply_accumulate(low_b, b, low);
  };
  if constexpr (kPairs > 0) {
#pragma GCC unroll 8
    for (int pair = 0; pair < kPairs; ++pair) add_pair(pair);
  } else {
    int64_t pair = 0;
    for (; pair + 1 < pairs; pair += 2) {
      add_pair(pair);
      add_pair(pair + 1);
    }
    if (pair < pairs) add_pair(pair);
  }
  return {finish(high_a, low_a), finish(high_b, low_b)};
}

void store8(uint8_t* target, __m128i bytes) {
  _mm_storel_epi64(reinterpret_cast<__m128i*>(target), bytes);
}

// Four input rows to four output rows, two pixels at a time.
template <int kPairs>
void horizontal_four_rows(const HorizontalPass& pass,
                          const uint8_t* const rows[4],
                          uint8_t* output) {
  // Plain locals: the byte stores below could alias anything behind a pointer.
  const int64_t channels = pass.input.channels;
  const int64_t stride = pass.output_stride;
  const int64_t columns = pass.columns;
  const int64_t origin = pass.first_input_column;
  const int64_t row_limbs = pass.table->groups * 4;
  const int32_t* first = pass.table->first.data() + pass.first_column;
  const int32_t* count = pass.table->count.data() + pass.first_column;
  const int32_t* limbs = pass.table->limbs.data() + pass.first_column * row_limbs;
  const __m256i spread01 = spread_mask(channels, 0);
  const __m256i spread23 = spread_mask(channels, 2);
  const uint8_t* const row0 = rows[0];
  const uint8_t* const row1 = rows[1];
  const uint8_t* const row2 = rows[2];
  const uint8_t* const row3 = rows[3];
  // [pixel of 4, pixel of 4, ...] -> pixels side by side.
  alignas(16) int8_t order[16];
  std::fill(order, order + 16, static_cast<int8_t>(-128));
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t pixel = 0; pixel < 4; ++pixel) {
      order[8 * (pixel / 2) + (pixel % 2) * channels + c] = static_cast<int8_t>(4 * pixel + c);
    }
  }
  const __m256i together =
      _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(order)));
  for (int64_t x = 0; x < columns; x += 2) {
    // An odd last pixel is computed twice; its copy falls into the scratch end of the row.
    const int64_t next = std::min(x + 1, columns - 1);
    const auto pixel = [&](int64_t at) __attribute__((always_inline)) {
      return weigh<kPairs>(row0,
                           row1,
                           row2,
                           row3,
                           (first[at] - origin) * channels,
                           channels,
                           limbs + at * row_limbs,
                           (count[at] + 1) / 2,
                           spread01,
                           spread23);
    };
    const FourRows p = pixel(x);
    const FourRows q = pixel(next);
    const __m256i words01 = _mm256_packs_epi32(p.rows01, q.rows01);
    const __m256i words23 = _mm256_packs_epi32(p.rows23, q.rows23);
    // Rows 0 and 2 in the lower half, 1 and 3 in the upper; two pixels in eight bytes of each row.
    const __m256i bytes = _mm256_shuffle_epi8(_mm256_packus_epi16(words01, words23), together);
    const __m128i even = _mm256_castsi256_si128(bytes);
    const __m128i odd = _mm256_extracti128_si256(bytes, 1);
    uint8_t* target = output + x * channels;
    store8(target, even);
    store8(target + stride, odd);
    store8(target + 2 * stride, _mm_unpackhi_epi64(even, even));
    store8(target + 3 * stride, _mm_unpackhi_epi64(odd, odd));
  }
}

void four_rows(const HorizontalPass& pass,
               int64_t pairs,
               const uint8_t* const rows[4],
               uint8_t* output) {
  switch (pairs) {
    case 1:
      return horizontal_four_rows<1>(pass, rows, output);
    case 2:
      return horizontal_four_rows<2>(pass, rows, output);
    case 3:
      return horizontal_four_rows<3>(pass, rows, output);
    case 4:
      return horizontal_four_rows<4>(pass, rows, output);
    case 5:
      return horizontal_four_rows<5>(pass, rows, output);
    case 6:
      return horizontal_four_rows<6>(pass, rows, output);
    default:
      return horizontal_four_rows<0>(pass, rows, output);
  }
}

}  // namespace

void horizontal_avx2(const HorizontalPass& pass) {
  const ImageView& input = pass.input;
  const int64_t row_bytes = input.width * input.channels;
  // The last load of a row may reach this far beyond its end: up to 11 taps of weight zero that the
  // unrolled loops read besides, and the rest of the last 16 bytes.
  constexpr int64_t kOverread = 64;
  const int32_t taps = *std::max_element(pass.table->count.begin(), pass.table->count.end());
  const int64_t pairs = (taps + 1) / 2;
  const uint8_t* end = input.data + (input.height - 1) * input.row_stride + row_bytes;
  std::vector<uint8_t> padded;
  std::vector<uint8_t> spare;
  for (int64_t y = 0; y < input.height; y += 4) {
    const uint8_t* rows[4];
    const int64_t valid = std::min<int64_t>(4, input.height - y);
    for (int64_t i = 0; i < 4; ++i) {
      rows[i] = input.data + (y + std::min(i, valid - 1)) * input.row_stride;
      if (end - rows[i] >= row_bytes + kOverread) continue;
      if (padded.empty()) padded.resize(static_cast<size_t>(4 * (row_bytes + kOverread)));
      uint8_t* copy = padded.data() + i * (row_bytes + kOverread);
      std::memcpy(copy, rows[i], static_cast<size_t>(row_bytes));
      rows[i] = copy;
    }
    uint8_t* output = pass.output + y * pass.output_stride;
    if (valid == 4) {
      four_rows(pass, pairs, rows, output);
    } else {
      spare.resize(static_cast<size_t>(4 * pass.output_stride));
      four_rows(pass, pairs, rows, spare.data());
      std::memcpy(output, spare.data(), static_cast<size_t>(valid * pass.output_stride));
    }
  }
}

void vertical_avx2(const VerticalPass& pass) {
  constexpr int64_t kChunk = 32;
  const WeightTable& table = *pass.table;
  const __m256i zero = _mm256_setzero_si256();
  const __m256i half = _mm256_set1_epi32(kHalfUnit);
  for (int64_t y = 0; y < pass.rows; ++y) {
    if (pass.row_bytes < kChunk) {
      vertical_row_portable(pass, y, 0, pass.row_bytes);
      continue;
    }
    const int64_t index = pass.first_row + y;
    const int64_t count = table.count[index];
    const int32_t* limbs = table.limbs.data() + index * table.groups * 4;
    const uint8_t* source =
        pass.input + (table.first[index] - pass.first_input_row) * pass.input_stride;
    uint8_t* output = pass.output + y * pass.output_stride;
    for (int64_t x = 0; x < pass.row_bytes; x += kChunk) {
      // The last chunk overlaps the one before rather than leave a tail.
      const int64_t at = std::min(x, pass.row_bytes - kChunk);
      __m256i high0 = zero, high1 = zero, high2 = zero, high3 = zero;
      __m256i low0 = half, low1 = half, low2 = half, low3 = half;
      for (int64_t tap = 0; tap < count; tap += 2) {
        const uint8_t* row = source + tap * pass.input_stride + at;
        const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row));
        // An odd last tap has a zero partner weight: any readable row will do.
        const uint8_t* next = tap + 1 < count ? row + pass.input_stride : row;
        const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(next));
        const __m256i ab_low = _mm256_unpacklo_epi8(a, b);
        const __m256i ab_high = _mm256_unpackhi_epi8(a, b);
        const __m256i p0 = _mm256_unpacklo_epi8(ab_low, zero);
        const __m256i p1 = _mm256_unpackhi_epi8(ab_low, zero);
        const __m256i p2 = _mm256_unpacklo_epi8(ab_high, zero);
        const __m256i p3 = _mm256_unpackhi_epi8(ab_high, zero);
        const int32_t* pair = limbs + (tap / kGroup) * 4 + (tap % kGroup) / 2;
        const __m256i high = broadcast(pair);
        const __m256i low = broadcast(pair + 2);
        high0 = multiply_accumulate(high0, p0, high);
        high1 = multiply_accumulate(high1, p1, high);
        high2 = multiply_accumulate(high2, p2, high);
        high3 = multiply_accumulate(high3, p3, high);
        low0 = multiply_accumulate(low0, p0, low);
        low1 = multiply_accumulate(low1, p1, low);
        low2 = multiply_accumulate(low2, p2, low);
        low3 = multiply_accumulate(low3, p3, low);
      }
      // The packs undo the interleaving of the unpacks within each 128-bit lane.
      const __m256i words0 = _mm256_packs_epi32(finish(high0, low0), finish(high1, low1));
      const __m256i words1 = _mm256_packs_epi32(finish(high2, low2), finish(high3, low3));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(output + at),
                          _mm256_packus_epi16(words0, words1));
    }
  }
}

}  // namespace vizoo::detail

#endif
