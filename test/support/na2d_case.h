#pragma once

// Random problems of neighborhood attention as tensors in every layout that the ops take, and the
// one rule by which results are judged.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "test/support/na2d_oracle.h"

namespace vizoo::test {

/// Whole numbers that do not depend on the standard library.
class Draw {
 public:
  explicit Draw(uint64_t seed) : engine_(seed) {}
  /// From low to high, both included.
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(engine_() % static_cast<uint64_t>(high - low + 1));
  }
  bool one_in(int64_t count) { return between(1, count) == 1; }
  uint64_t seed() { return engine_(); }

 private:
  std::mt19937_64 engine_;
};

/// Sets the number of threads of ATen and puts back what was.
class Threads {
 public:
  explicit Threads(int count) : before_(at::get_num_threads()) { at::set_num_threads(count); }
  ~Threads() { at::set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

/// How a tensor [B, H, W, heads, D] lies in memory. Whatever lies between and around its elements
/// is NaN, so that a stray read shows.
enum class Layout {
  contiguous,
  packed,        ///< query, key and value in one [B, H, W, 3, heads, D]
  heads_first,   ///< stored as [B, heads, H, W, D]
  width_first,   ///< stored as [W, H, B, heads, D]
  odd_offset,    ///< contiguous from an odd element of its storage
  padded_rows,   ///< a slice of a longer last axis
  shared_batch,  ///< stride 0 over the batch
  shared_heads,  ///< stride 0 over the heads
};
constexpr int64_t kLayoutCount = 8;

struct Na2dCase {
  Na2dSizes sizes;
  at::ScalarType dtype = at::kFloat;
  at::Tensor query;
  at::Tensor key;
  at::Tensor value;
  at::Tensor grad_out;
  std::optional<at::Tensor> rpb;
  std::optional<double> scale;  ///< sizes.scale has the value that this means
  std::string description;      ///< one line that says all but the values
};

/// Sizes with default scale; kernel_size and dilation as {height, width}.
Na2dSizes na2d_sizes(int64_t batch,
                     int64_t height,
                     int64_t width,
                     int64_t heads,
                     int64_t head_dim,
                     std::array<int64_t, 2> kernel_size,
                     std::array<int64_t, 2> dilation = {1, 1});

/// A tensor [B, H, W, heads, D] of normally distributed numbers from torch's generator.
at::Tensor draw_tensor(const Na2dSizes& sizes, at::ScalarType dtype, Layout layout);

/// Values from the seed; packed needs all three layouts to be packed.
Na2dCase make_case(const Na2dSizes& sizes,
                   at::ScalarType dtype,
                   bool with_rpb,
                   uint64_t seed,
                   std::array<Layout, 3> layouts = {});

/// Everything random: sizes from K * d to K * d + 2K, K from 3 to 13 and d for each axis, D from 1
/// to 128, batch 0 to 3, 1 to 4 heads, bias, dtype, scale, layouts. Products of query and key
/// number at most 2^largest_work, and fewer for half types, whose composition is always run.
Na2dCase draw_case(uint64_t seed, int64_t largest_work = 20);

/// What the oracle takes: the tensors' own values (after rounding to their dtype) as float64.
std::vector<double> to_doubles(const at::Tensor& tensor);
Na2dInputs oracle_inputs(const Na2dCase& problem);

/// Results and gradients of one case by some route. grad_rpb is undefined or empty without a bias.
/// The composition runs on one thread: its many small calls crawl where cores are shared.
struct Na2dTensors {
  at::Tensor out;
  at::Tensor lse;
  at::Tensor grad_query;
  at::Tensor grad_key;
  at::Tensor grad_value;
  at::Tensor grad_rpb;
};
Na2dTensors run_ops(const Na2dCase& problem);          ///< na2d_forward, then na2d_backward
Na2dTensors run_autograd(const Na2dCase& problem);     ///< na2d and autograd; lse of na2d_forward
Na2dTensors run_composition(const Na2dCase& problem);  ///< plain ATen calls and autograd

/// Largest absolute difference; infinity if the counts differ or any number is not finite.
double largest_error(const at::Tensor& ours, const std::vector<double>& expected);

/// The rule. `ours` is right if its largest error is at most twice that of the plain composition in
/// the same dtype plus 1e-5; float64 has 1e-9 and no composition. Both constants are relative to
/// the largest expected value (but for values below 0.01, such as gradients that cancel to zero).
/// Returns "" or a line that begins with `name`. `composition` is only called where it
/// decides: not where twice the rounding to the dtype, which it cannot beat, excuses the error.
/// Shapes are not compared.
std::string difference(const std::string& name,
                       const at::Tensor& ours,
                       const std::vector<double>& expected,
                       const std::function<at::Tensor()>& composition);

/// All of `ours` against the oracle, and its shapes, dtypes and contiguity; "" or the lines of what
/// is wrong, after the description.
std::string differences(const Na2dCase& problem, const Na2dTensors& ours);

/// One sample of the batch as a problem of its own.
Na2dCase sample_of(const Na2dCase& problem, int64_t index);

/// Same shapes, dtypes and bits.
bool same_bits(const at::Tensor& a, const at::Tensor& b);
bool same_bits(const Na2dTensors& a, const Na2dTensors& b);

}  // namespace vizoo::test
