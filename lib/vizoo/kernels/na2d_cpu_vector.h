#pragma once

// Vectors for the CPU kernels, as compiler extensions: one source for every instruction set. Each
// file that includes this sets VIZOO_CPU_TARGET, a namespace of its own, so that code compiled for
// one instruction set is never linked into another, and VIZOO_VECTOR_BYTES.

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "vizoo/kernels/half_types.h"

#define VIZOO_ALWAYS_INLINE inline __attribute__((always_inline))
#define VIZOO_INLINE static VIZOO_ALWAYS_INLINE

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

/// Keeps x in a register: compilers would rather read memory once for each use, and loads are
/// scarce.
template <class V>
VIZOO_INLINE void keep_in_register(V& x) {
#if defined(__x86_64__) && VIZOO_VECTOR_BYTES > 16
  if constexpr (sizeof(V) == VIZOO_VECTOR_BYTES) asm("" : "+x"(x));
#else
  (void)x;
#endif
}

/// A size that is either known to the compiler or, with 0, to the program only.
template <int Constant>
struct Extent {
  explicit Extent(int /*value*/) {}
  constexpr operator int() const { return Constant; }
};
template <>
struct Extent<0> {
  explicit Extent(int size) : value(size) {}
  operator int() const { return value; }
  int value;
};

// ---- reductions over lanes --------------------------------------------------------------------

typedef float Floats4 __attribute__((vector_size(16)));
typedef float Floats8 __attribute__((vector_size(32)));
typedef float Floats16 __attribute__((vector_size(64)));

struct Add {
  template <class V>
  VIZOO_INLINE V of(V a, V b) {
    return a + b;
  }
};
struct Max {
  template <class V>
  VIZOO_INLINE V of(V a, V b) {
    return a > b ? a : b;
  }
};

struct Min {
  template <class V>
  VIZOO_INLINE V of(V a, V b) {
    return a < b ? a : b;
  }
};

// Eight vectors are reduced together, by transposing as much as each step needs.
template <class Op>
struct Reduction {
  VIZOO_INLINE Floats4 halves(Floats4 v) { return v; }
  VIZOO_INLINE Floats8 halves(Floats8 v) { return v; }
  VIZOO_INLINE Floats8 halves(Floats16 v) {
    return Op::of(__builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7),
                  __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15));
  }

  // In each 128-bit part: [a0 a2, b0 b2, a1 a3, b1 b3].
  VIZOO_INLINE Floats4 interleaved(Floats4 a, Floats4 b) {
    return Op::of(__builtin_shufflevector(a, b, 0, 4, 1, 5),
                  __builtin_shufflevector(a, b, 2, 6, 3, 7));
  }
  VIZOO_INLINE Floats8 interleaved(Floats8 a, Floats8 b) {
    return Op::of(__builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13),
                  __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15));
  }

  // In each 128-bit part: [a, b, c, d] from interleaved a, b and c, d.
  VIZOO_INLINE Floats4 paired(Floats4 ab, Floats4 cd) {
    return Op::of(__builtin_shufflevector(ab, cd, 0, 1, 4, 5),
                  __builtin_shufflevector(ab, cd, 2, 3, 6, 7));
  }
  VIZOO_INLINE Floats8 paired(Floats8 ab, Floats8 cd) {
    return Op::of(__builtin_shufflevector(ab, cd, 0, 1, 8, 9, 4, 5, 12, 13),
                  __builtin_shufflevector(ab, cd, 2, 3, 10, 11, 6, 7, 14, 15));
  }

  VIZOO_INLINE Floats8 joined(Floats4 low, Floats4 high) {
    return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7);
  }
  VIZOO_INLINE Floats8 joined(Floats8 low, Floats8 high) {
    return Op::of(__builtin_shufflevector(low, high, 0, 1, 2, 3, 8, 9, 10, 11),
                  __builtin_shufflevector(low, high, 4, 5, 6, 7, 12, 13, 14, 15));
  }
};

template <class V>
using Element = typename std::decay<decltype(V{}[0])>::type;

/// Lane i of the result is Op over the lanes of vectors[i], for i < N; V is a register or a block.
template <class Op, class V, int N>
VIZOO_INLINE Block<Element<V>> over_lanes(const V (&vectors)[N]) {
  if constexpr (std::is_same<Element<V>, float>::value) {
    using R = Reduction<Op>;
    using Folded = decltype(R::halves(V{}));
    Folded v[kBlock] = {};
    for (int i = 0; i < N; ++i) v[i] = R::halves(vectors[i]);
    const Folded low = R::paired(R::interleaved(v[0], v[1]), R::interleaved(v[2], v[3]));
    if constexpr (N <= 4) return R::joined(low, Folded{});
    const Folded high = R::paired(R::interleaved(v[4], v[5]), R::interleaved(v[6], v[7]));
    return R::joined(low, high);
  } else {
    Block<Element<V>> result = {};
    for (int i = 0; i < N; ++i) {
      auto x = vectors[i][0];
      for (int lane = 1; lane < static_cast<int>(sizeof(V) / sizeof(x)); ++lane) {
        x = Op::of(x, vectors[i][lane]);
      }
      result[i] = x;
    }
    return result;
  }
}

// ---- exponential and logarithm --------------------------------------------------------------

/// exp(x), correct to about one unit in the last place, for x up to 88.37 (scores less their
/// maximum are at most 0, and larger x give exp(88.37)); 0 below -87.7, NaN for NaN. exp(x) = 2^n
/// exp(r) with n = round(x / ln 2) and |r| <= ln 2 / 2; exp(r) = 1 + r + r^2 p(r), p a polynomial
/// of degree 4 fitted for the least greatest relative error, 3.1e-9.
VIZOO_INLINE Register<float> exponential(Register<float> x) {
  typedef int32_t Bits __attribute__((vector_size(VIZOO_VECTOR_BYTES)));
  constexpr float kLeast = -88.0f;  // n = -127, whose power of two has no bits set: 0
  constexpr float kGreatest = 88.37f;
  constexpr float kRound = 0x1.8p23f;  // adding it leaves the nearest integer in the low bits
  auto least = broadcast<Register<float>>(kLeast);
  auto greatest = broadcast<Register<float>>(kGreatest);
  keep_in_register(least);  // GCC 12 makes two instructions of a comparison with a constant
  keep_in_register(greatest);
  x = Max::of(least, x);  // in this order NaN stays
  x = Min::of(greatest, x);
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
  return p * power;
}

VIZOO_INLINE Register<double> exponential(Register<double> x) {
  for (int lane = 0; lane < kLanes<double>; ++lane) x[lane] = std::exp(x[lane]);
  return x;
}

/// log(x), correct to about one unit in the last place, for normal x > 0; NaN for NaN. log(x) = n
/// ln 2 + log(1 + r) with 1 + r in [sqrt(1/2), sqrt(2)); log(1 + r) = r - r^2 / 2 + r^3 p(r), p a
/// polynomial of degree 7 fitted for the least greatest relative error, 5.9e-9.
VIZOO_INLINE Block<float> logarithm(Block<float> x) {
  typedef int32_t Bits __attribute__((vector_size(kBlock * sizeof(int32_t))));
  constexpr int32_t kRootOfHalf = 0x3f3504f3;  // the bits of sqrt(1/2)
  const Bits above = (Bits)x - kRootOfHalf;
  const Block<float> n = __builtin_convertvector(above >> 23, Block<float>);
  const Block<float> r = (Block<float>)((above & 0x7fffff) + kRootOfHalf) - 1.0f;
  Block<float> p = broadcast<Block<float>>(-0x1.38b544p-4f);
  p = p * r + 0x1.055b5ep-3f;
  p = p * r - 0x1.0d8548p-3f;
  p = p * r + 0x1.22da1ep-3f;
  p = p * r - 0x1.547244p-3f;
  p = p * r + 0x1.99a008p-3f;
  p = p * r - 0x1.000226p-2f;
  p = p * r + 0x1.555554p-2f;
  const Block<float> square = r * r;
  // ln 2 in two parts, the first short enough for n * part to be exact.
  const Block<float> small = (p * r - 0.5f) * square - n * 2.12194440e-4f;
  return (small + r + n * 0.693359375f) + (x - x);  // x - x is NaN for NaN
}

VIZOO_INLINE Block<double> logarithm(Block<double> x) {
  for (int lane = 0; lane < kBlock; ++lane) x[lane] = std::log(x[lane]);
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
