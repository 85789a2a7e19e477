// What the neighborhood attention kernels are held against on one core: the same loops written
// plainly and left to the compiler (built with -O3 -march=native -ffast-math), and the most
// multiplications that the core can do. Called by scripts/bench/neighborhood_attention.py.
#include <chrono>
#include <cmath>
#include <cstdint>
#include <vector>

#include "vizoo/kernels/na_window.h"

namespace {

using vizoo::kernels::bias_begin;
using vizoo::kernels::group_length;
using vizoo::kernels::window_begin;

}  // namespace

/// out = softmax(scale * query . key + rpb) . value for one image: query, key, value, out
/// [heads, length, length, dim], contiguous, rpb [heads, 2 K - 1, 2 K - 1].
extern "C" void na2d_loop_nest(const float* query,
                               const float* key,
                               const float* value,
                               const float* rpb,
                               float* out,
                               int heads,
                               int length,
                               int dim,
                               int kernel_size,
                               int dilation,
                               float scale) {
  const int window = kernel_size * kernel_size;
  const int bias_size = 2 * kernel_size - 1;
  std::vector<float> weights(static_cast<std::size_t>(window));
  for (int h = 0; h < heads; ++h) {
    const int64_t head = int64_t{h} * length * length * dim;
    for (int y = 0; y < length; ++y) {
      const int rows = group_length(length, dilation, y % dilation);
      const int first_row = window_begin(y / dilation, rows, kernel_size);
      const int bias_row = bias_begin(y / dilation, rows, kernel_size);
      for (int x = 0; x < length; ++x) {
        const int columns = group_length(length, dilation, x % dilation);
        const int first_column = window_begin(x / dilation, columns, kernel_size);
        const int bias_column = bias_begin(x / dilation, columns, kernel_size);
        const float* const q = query + head + (int64_t{y} * length + x) * dim;
        const auto token = [&](int i, int j) {
          const int64_t row = y % dilation + int64_t{dilation} * (first_row + i);
          const int64_t column = x % dilation + int64_t{dilation} * (first_column + j);
          return head + (row * length + column) * dim;
        };
        float greatest = -INFINITY;
        for (int i = 0; i < kernel_size; ++i) {
          for (int j = 0; j < kernel_size; ++j) {
            const float* const k = key + token(i, j);
            float sum = 0;
            for (int d = 0; d < dim; ++d) sum += q[d] * k[d];
            sum = sum * scale + rpb[(h * bias_size + bias_row + i) * bias_size + bias_column + j];
            weights[static_cast<std::size_t>(i * kernel_size + j)] = sum;
            greatest = sum > greatest ? sum : greatest;
          }
        }
        float total = 0;
        for (auto& weight : weights) {
          weight = std::exp(weight - greatest);
          total += weight;
        }
        float* const o = out + head + (int64_t{y} * length + x) * dim;
        for (int d = 0; d < dim; ++d) o[d] = 0;
        for (int i = 0; i < kernel_size; ++i) {
          for (int j = 0; j < kernel_size; ++j) {
            const float* const v = value + token(i, j);
            const float weight = weights[static_cast<std::size_t>(i * kernel_size + j)] / total;
            for (int d = 0; d < dim; ++d) o[d] += weight * v[d];
          }
        }
      }
    }
  }
}

/// Billions of float32 operations a second of one core that only multiplies and adds in registers;
/// a fused multiply-add counts as two.
extern "C" double fma_peak() {
#if defined(__AVX512F__)
  constexpr int kBytes = 64;
#elif defined(__AVX2__)
  constexpr int kBytes = 32;
#else
  constexpr int kBytes = 16;
#endif
  typedef float Vector __attribute__((vector_size(kBytes)));
  constexpr int kChains = 12;
  constexpr int kSteps = 1000000;
  Vector sums[kChains] = {};
  Vector factor = Vector{} + 0.999f;
  Vector term = Vector{} + 1e-4f;
  const auto begin = std::chrono::steady_clock::now();
  for (int step = 0; step < kSteps; ++step) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) {
      sums[i] = sums[i] * factor + term;
      asm volatile("" : "+x"(sums[i]));
    }
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  const double operations = 2.0 * kSteps * kChains * kBytes / sizeof(float);
  return operations / elapsed.count() * 1e-9;
}
