#pragma once

// Vectors for the CPU kernels, as compiler extensions: one source for every instruction set. Each
// file that includes this sets VIZOO_CPU_TARGET, a namespace of its own, so that code compiled for
// one instruction set is never linked into another, and VIZOO_VECTOR_BYTES.

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "vizoo/kernels/half_types.h"

#define VIZOO_INLINE static inline __attribute__((always_inline))

namespace vizoo::kernels {
namespace VIZOO_CPU_TARGET {

/// As many numbers as fit one register.
template <class A>
struct RegisterOf {
  typedef A type __attribute__((vector_size(VIZOO_VECTOR_BYTES)));
};
template <class A>
using Register = typename RegisterOf<A>::type;
template <class A>
constexpr int kLanes = VIZOO_VECTOR_BYTES / static_cast<int>(sizeof(A));

/// Eight scores, one for each of eight keys; one register, or a part or several of it.
constexpr int kBlock = 8;
template <class A>
struct BlockOf {
  typedef A type __attribute__((vector_size(kBlock * sizeof(A))));
};
template <class A>
using Block = typename BlockOf<A>::type;

/// Unaligned. A vector may alias its elements and nothing else, so that the compiler can keep what
/// else is in registers.
template <class V, class A>
VIZOO_INLINE V load(const A* from) {
  typedef V Unaligned __attribute__((aligned(alignof(A))));
  return *reinterpret_cast<const Unaligned*>(from);
}

template <class V, class A>
VIZOO_INLINE void store(A* to, V v) {
  typedef V Unaligned __attribute__((aligned(alignof(A))));
  *reinterpret_cast<Unaligned*>(to) = v;
}

template <class V, class A>
VIZOO_INLINE V broadcast(A x) {
  return x - V{};  // x - 0 is x for every x, x + 0 is not
}

// ---- sums over lanes ------------------------------------------------------------------------

typedef float Floats4 __attribute__((vector_size(16)));
typedef float Floats8 __attribute__((vector_size(32)));
typedef float Floats16 __attribute__((vector_size(64)));

VIZOO_INLINE Floats4 halves_added(Floats4 v) { return v; }
VIZOO_INLINE Floats8 halves_added(Floats8 v) { return v; }
VIZOO_INLINE Floats8 halves_added(Floats16 v) {
  return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
         __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
}

// In each 128-bit part: [a0 + a2, b0 + b2, a1 + a3, b1 + b3].
VIZOO_INLINE Floats4 interleaved_sums(Floats4 a, Floats4 b) {
  return __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
}
VIZOO_INLINE Floats8 interleaved_sums(Floats8 a, Floats8 b) {
  return __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13) +
         __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15);
}

// In each 128-bit part: [sum a, sum b, sum c, sum d] from the interleaved sums of a, b and c, d.
VIZOO_INLINE Floats4 paired_sums(Floats4 ab, Floats4 cd) {
  return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}
VIZOO_INLINE Floats8 paired_sums(Floats8 ab, Floats8 cd) {
  return __builtin_shufflevector(ab, cd, 0, 1, 8, 9, 4, 5, 12, 13) +
         __builtin_shufflevector(ab, cd, 2, 3, 10, 11, 6, 7, 14, 15);
}

VIZOO_INLINE Floats8 joined_sums(Floats4 low, Floats4 high) {
  return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7);
}
VIZOO_INLINE Floats8 joined_sums(Floats8 low, Floats8 high) {
  return __builtin_shufflevector(low, high, 0, 1, 2, 3, 8, 9, 10, 11) +
         __builtin_shufflevector(low, high, 4, 5, 6, 7, 12, 13, 14, 15);
}

/// Lane i of the result is the sum over the lanes of vectors[i]; zero from N on.
template <int N>
VIZOO_INLINE Floats8 sums_over_lanes(const Register<float> (&vectors)[N]) {
  using Folded = decltype(halves_added(Register<float>{}));
  Folded v[kBlock] = {};
  for (int i = 0; i < N; ++i) v[i] = halves_added(vectors[i]);
  const Folded low =
      paired_sums(interleaved_sums(v[0], v[1]), interleaved_sums(v[2], v[3]));
  if constexpr (N <= 4) return joined_sums(low, Folded{});
  const Folded high =
      paired_sums(interleaved_sums(v[4], v[5]), interleaved_sums(v[6], v[7]));
  return joined_sums(low, high);
}

template <int N>
VIZOO_INLINE Block<double> sums_over_lanes(const Register<double> (&vectors)[N]) {
  Block<double> sums = {};
  for (int i = 0; i < N; ++i) {
    double sum = vectors[i][0];
    for (int lane = 1; lane < kLanes<double>; ++lane) sum += vectors[i][lane];
    sums[i] = sum;
  }
  return sums;
}

template <class A>
VIZOO_INLINE A sum_over_lanes(Register<A> v) {
  A sum = v[0];
  for (int lane = 1; lane < kLanes<A>; ++lane) sum += v[lane];
  return sum;
}

template <class A>
VIZOO_INLINE A max_over_lanes(Block<A> v) {
  A greatest = v[0];
  for (int lane = 1; lane < kBlock; ++lane) greatest = v[lane] > greatest ? v[lane] : greatest;
  return greatest;
}

// ---- exponential ----------------------------------------------------------------------------

/// exp(x), correct to about one unit in the last place, for x up to 88.37 (scores less their maximum
/// are at most 0, and larger x give exp(88.37)); 0 below -87.3, NaN for NaN.
/// exp(x) = 2^n exp(r) with n = round(x / ln 2) and |r| <= ln 2 / 2; exp(r) = 1 + r + r^2 p(r), p a
/// polynomial of degree 4 fitted for the least greatest relative error, 3.1e-9.
VIZOO_INLINE Register<float> exponential(Register<float> x) {
  typedef int32_t Bits __attribute__((vector_size(VIZOO_VECTOR_BYTES)));
  constexpr float kLeast = -87.33654f;
  constexpr float kGreatest = 88.37f;
  constexpr float kRound = 0x1.8p23f;  // adding it leaves the nearest integer in the low bits
  const Bits underflows = x < kLeast;
  x = x > kGreatest ? broadcast<Register<float>>(kGreatest) : x;
  const Register<float> rounded = x * 1.44269504f + kRound;
  const Register<float> n = rounded - kRound;
  // ln 2 in two parts, the first short enough for n * part to be exact.
  Register<float> r = x - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  Register<float> p = broadcast<Register<float>>(0x1.6a2434p-10f);
  p = p * r + 0x1.1239e2p-7f;
  p = p * r + 0x1.5558f2p-5f;
  p = p * r + 0x1.555492p-3f;
  p = p * r + 0x1.fffffcp-2f;
  p = (p * r) * r + r;
  p = p + 1.0f;
  const Bits exponent = (Bits)rounded - (Bits)broadcast<Register<float>>(kRound);
  const Register<float> power = (Register<float>)((exponent + 127) << 23);
  return underflows ? Register<float>{} : p * power;
}

VIZOO_INLINE Register<double> exponential(Register<double> x) {
  for (int lane = 0; lane < kLanes<double>; ++lane) x[lane] = std::exp(x[lane]);
  return x;
}

// ---- conversion -----------------------------------------------------------------------------

VIZOO_INLINE float accumulable(float x) { return x; }
VIZOO_INLINE double accumulable(double x) { return x; }
VIZOO_INLINE float accumulable(Float16 x) { return to_float(x); }
VIZOO_INLINE float accumulable(BFloat16 x) { return to_float(x); }

VIZOO_INLINE void assign(float& to, float x) { to = x; }
VIZOO_INLINE void assign(double& to, double x) { to = x; }
VIZOO_INLINE void assign(Float16& to, float x) { to = to_float16(x); }
VIZOO_INLINE void assign(BFloat16& to, float x) { to = to_bfloat16(x); }

}  // namespace VIZOO_CPU_TARGET
}  // namespace vizoo::kernels
