#pragma once

// The two half types as bits, with their conversions, for kernels that know no torch.

#include <cstdint>
#include <cstring>

namespace vizoo::kernels {

/// IEEE 754 binary16.
struct Float16 {
  uint16_t bits;
};

/// The upper half of a float32.
struct BFloat16 {
  uint16_t bits;
};

namespace half_bits {

template <class To, class From>
__attribute__((always_inline)) inline To bit_cast(From value) {
  static_assert(sizeof(To) == sizeof(From));
  To result;
  std::memcpy(&result, &value, sizeof(result));
  return result;
}

}  // namespace half_bits

/// Exact.
__attribute__((always_inline)) inline float to_float(BFloat16 value) {
  return half_bits::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16);
}

/// Exact, subnormal numbers, infinities and NaN included.
__attribute__((always_inline)) inline float to_float(Float16 value) {
  const uint32_t sign = static_cast<uint32_t>(value.bits & 0x8000u) << 16;
  const uint32_t magnitude = value.bits & 0x7fffu;
  // Exponent and fraction in float32's places: 2^112 too small, subnormal or not.
  const float scaled = half_bits::bit_cast<float>(magnitude << 13) * 0x1p112f;
  const uint32_t finite = half_bits::bit_cast<uint32_t>(scaled);
  const uint32_t special = 0x7f800000u | (magnitude << 13);
  return half_bits::bit_cast<float>(sign | (magnitude >= 0x7c00u ? special : finite));
}

/// To nearest, ties to even; NaN stays NaN.
__attribute__((always_inline)) inline BFloat16 to_bfloat16(float value) {
  const uint32_t bits = half_bits::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const uint32_t quiet_nan = (bits >> 16) | 0x40u;
  return {static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet_nan : rounded)};
}

/// To nearest, ties to even; too large becomes infinite; NaN stays NaN.
__attribute__((always_inline)) inline Float16 to_float16(float value) {
  const uint32_t bits = half_bits::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  // Normal: move the exponent's bias from 127 to 15 and round away 13 bits.
  const uint32_t normal = (magnitude - (112u << 23) + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  // Subnormal: adding 0.5 makes the hardware round to multiples of 2^-24.
  const float shifted = half_bits::bit_cast<float>(magnitude) + 0.5f;
  const uint32_t subnormal = half_bits::bit_cast<uint32_t>(shifted) - 0x3f000000u;
  const uint32_t finite = magnitude < (113u << 23) ? subnormal : normal;
  const uint32_t special = magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u;
  // 65520 and above round to infinity.
  return {static_cast<uint16_t>(sign | (magnitude >= 0x477ff000u ? special : finite))};
}

}  // namespace vizoo::kernels
