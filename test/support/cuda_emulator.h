#pragma once

// Runs CUDA kernels on a CPU, thread by thread, so that their index arithmetic, barriers and use of
// shared memory are tested where there is no GPU. It takes the place of cuda_primitives.cuh:
// include this first, then a kernel. A thread is a coroutine; what is collective on a GPU
// (barriers, shuffles, matrix loads and products) waits here for every participant, and a kernel in
// which some never come is an error. Asynchronous copies happen as late as they may. Shared memory
// starts as NaN and ends at the byte that was asked for.

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <type_traits>

#define VIZOO_CUDA_EMULATION
#define VIZOO_DEVICE inline
#define VIZOO_GLOBAL inline
#define VIZOO_UNROLL
#define VIZOO_LAUNCH_BOUNDS(...)

namespace vizoo::test {

/// Runs `kernel` for every thread of every block, one block after another. `reversed` runs threads
/// in the opposite order and copies at once instead of when they are waited for, to show what hangs
/// on either. Throws std::runtime_error if threads wait for
/// others that never come, or lanes of a warp call different things.
void emulate(int64_t blocks,
             int threads,
             int64_t shared_bytes,
             const std::function<void()>& kernel,
             bool reversed = false);

namespace emulator {

int thread_index();
int64_t block_index();
int block_size();
int64_t grid_size();
unsigned char* shared_memory();
void sync_threads();
void sync_warp();
/// Gives every lane of `mask` what lane (own ^ offset) has in `value`.
void shuffle_xor(unsigned mask, void* value, int bytes, int offset);
void copy_async(void* shared, const void* global);
void copy_async_commit();
void copy_async_wait(int open);
void load_matrices(uint32_t (&matrix)[4], const void* row, bool transposed);
void multiply_add(
    float* c, const uint32_t (&a)[4], uint32_t b0, uint32_t b1, float (*widen)(uint16_t));

}  // namespace emulator
}  // namespace vizoo::test

namespace vizoo::kernels::cuda {

inline int thread_index() { return test::emulator::thread_index(); }
inline int64_t block_index() { return test::emulator::block_index(); }
inline int block_size() { return test::emulator::block_size(); }
inline int64_t grid_size() { return test::emulator::grid_size(); }
inline unsigned char* shared_memory() { return test::emulator::shared_memory(); }
inline void sync_threads() { test::emulator::sync_threads(); }
inline void sync_warp() { test::emulator::sync_warp(); }

template <class V>
V shuffle_xor(unsigned mask, V value, int offset) {
  test::emulator::shuffle_xor(mask, &value, sizeof(value), offset);
  return value;
}

inline float widen(float value) { return value; }
inline double widen(double value) { return value; }
inline float widen(c10::Half value) { return value; }
inline float widen(c10::BFloat16 value) { return value; }
template <class T, class V>
T narrow(V value) {
  return static_cast<T>(value);
}

inline float exponential(float value) { return std::exp(value); }
inline double exponential(double value) { return std::exp(value); }
inline float logarithm(float value) { return std::log(value); }
inline double logarithm(double value) { return std::log(value); }
inline float larger(float a, float b) { return std::fmax(a, b); }
inline double larger(double a, double b) { return std::fmax(a, b); }
inline float fast_exp2(float value) { return std::exp2(value); }

template <class T>
uint32_t pack(float first, float second) {
  return static_cast<uint32_t>(T(first).x) | static_cast<uint32_t>(T(second).x) << 16;
}
template <class T>
float widen_bits(uint16_t bits) {
  return T(bits, T::from_bits());
}
template <class T>
void unpack(uint32_t pair, float& first, float& second) {
  first = widen_bits<T>(static_cast<uint16_t>(pair & 0xffffU));
  second = widen_bits<T>(static_cast<uint16_t>(pair >> 16));
}

inline void copy_async(void* shared, const void* global) {
  test::emulator::copy_async(shared, global);
}
inline void copy_async_commit() { test::emulator::copy_async_commit(); }
template <int kOpen>
void copy_async_wait() {
  test::emulator::copy_async_wait(kOpen);
}

inline void load_matrices(uint32_t (&matrix)[4], const void* row) {
  test::emulator::load_matrices(matrix, row, false);
}
inline void load_matrices_transposed(uint32_t (&matrix)[4], const void* row) {
  test::emulator::load_matrices(matrix, row, true);
}
template <class T>
void multiply_add(float* c, const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  test::emulator::multiply_add(c, a, b0, b1, widen_bits<T>);
}

}  // namespace vizoo::kernels::cuda
