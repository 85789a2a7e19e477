// The oracle itself: against finite differences of its own forward, against dense attention with a
// mask, and against the composition that the library falls back on.
#include "test/support/na2d_oracle.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "test/support/catch.h"
#include "test/support/na2d_case.h"
#include "vizoo/ops/na2d_composition.h"

using vizoo::test::Na2dCase;
using vizoo::test::Na2dInputs;
using vizoo::test::Na2dResult;
using vizoo::test::Na2dSizes;
using vizoo::test::to_doubles;
namespace composition = vizoo::ops::composition;

namespace {

double inner_product(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double sum = 0.0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// Largest difference between `grad` and the central differences of f in each element of `values`.
template <class Function>
double finite_difference_error(std::vector<double>& values,
                               const std::vector<double>& grad,
                               const Function& f) {
  constexpr double kStep = 1e-5;
  REQUIRE(values.size() == grad.size());
  double largest = 0.0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double value = values[i];
    values[i] = value + kStep;
    const double above = f();
    values[i] = value - kStep;
    const double below = f();
    values[i] = value;
    largest = std::max(largest, std::abs((above - below) / (2 * kStep) - grad[i]));
  }
  return largest;
}

std::vector<Na2dSizes> small_sizes() {
  using vizoo::test::na2d_sizes;
  auto scaled = na2d_sizes(1, 4, 7, 1, 2, {3, 5});
  scaled.scale = -0.7;
  return {na2d_sizes(2, 5, 6, 2, 3, {3, 3}),
          na2d_sizes(1, 7, 7, 1, 2, {3, 3}, {2, 2}),
          na2d_sizes(1, 8, 7, 1, 2, {5, 5}),
          na2d_sizes(1, 6, 7, 2, 1, {5, 3}, {1, 2}),
          scaled};
}

/// Queries that attend to `key`, a position in a group of `count`, by the inverse formula: an
/// independent second source for the windows.
bool attends(int64_t query, int64_t key, int64_t count, int64_t kernel_size) {
  const int64_t first = key < kernel_size ? 0 : key - kernel_size / 2;
  const int64_t end = key >= count - kernel_size ? count : key + kernel_size / 2 + 1;
  return first <= query && query < end;
}

/// Bias index of a pair of tokens of one axis, or -1 if the query does not see the key.
int64_t bias_index(int64_t query, int64_t key, int64_t length, int64_t kernel, int64_t dilation) {
  if (query % dilation != key % dilation) return -1;
  const int64_t count = (length - 1 - query % dilation) / dilation + 1;
  if (!attends(query / dilation, key / dilation, count, kernel)) return -1;
  return (key - query) / dilation + kernel - 1;
}

/// Dense attention over all H * W tokens with the windows as a mask of minus infinity.
Na2dResult dense_attention(const Na2dCase& problem) {
  const Na2dSizes& sizes = problem.sizes;
  const auto [kernel_height, kernel_width] = sizes.kernel_size;
  const int64_t width = sizes.width;
  const int64_t tokens = sizes.height * width;
  auto bias = at::full(
      {sizes.heads, tokens, tokens}, -std::numeric_limits<double>::infinity(), at::kDouble);
  for (int64_t q = 0; q < tokens; ++q) {
    for (int64_t k = 0; k < tokens; ++k) {
      const auto y =
          bias_index(q / width, k / width, sizes.height, kernel_height, sizes.dilation[0]);
      const auto x = bias_index(q % width, k % width, width, kernel_width, sizes.dilation[1]);
      if (y < 0 || x < 0) continue;
      auto pair = bias.select(2, k).select(1, q);  // [heads]
      pair.copy_(problem.rpb ? problem.rpb->select(2, x).select(1, y) : at::zeros_like(pair));
    }
  }
  const auto tokens_first = [](const at::Tensor& x) {
    return x.flatten(1, 2).transpose(1, 2);  // [B, heads, H * W, D]
  };
  const auto query = tokens_first(problem.query) * sizes.scale;
  const auto scores = at::matmul(query, tokens_first(problem.key).transpose(2, 3)) + bias;
  const auto out = at::matmul(scores.softmax(-1), tokens_first(problem.value));
  return {to_doubles(out.transpose(1, 2)), to_doubles(scores.logsumexp(-1).transpose(1, 2))};
}

}  // namespace

TEST_CASE("the oracle's gradients are those of its forward", "[na2d][oracle]") {
  uint64_t seed = 1;
  for (const Na2dSizes& sizes : small_sizes()) {
    const auto problem = make_case(sizes, at::kDouble, /*with_rpb=*/true, seed++);
    INFO(problem.description);
    Na2dInputs inputs = oracle_inputs(problem);
    const auto grad_out = to_doubles(problem.grad_out);
    const Na2dInputs grad = na2d_oracle_backward(sizes, inputs, grad_out);
    const auto loss = [&] { return inner_product(na2d_oracle(sizes, inputs).out, grad_out); };
    CHECK(finite_difference_error(inputs.query, grad.query, loss) < 1e-8);
    CHECK(finite_difference_error(inputs.key, grad.key, loss) < 1e-8);
    CHECK(finite_difference_error(inputs.value, grad.value, loss) < 1e-8);
    CHECK(finite_difference_error(inputs.rpb, grad.rpb, loss) < 1e-8);
  }
}

TEST_CASE("the unfused oracles' gradients are those of their forwards", "[na2d][oracle]") {
  uint64_t seed = 10;
  for (const Na2dSizes& sizes : small_sizes()) {
    const auto problem = make_case(sizes, at::kDouble, true, seed++);
    INFO(problem.description);
    Na2dInputs inputs = oracle_inputs(problem);
    auto attn = to_doubles(at::randn({sizes.rows(), sizes.window()}, at::kDouble));
    const auto grad_out = to_doubles(problem.grad_out);
    const auto scores = [&] { return inner_product(na2d_qk_oracle(sizes, inputs), attn); };
    const Na2dInputs grad = na2d_qk_oracle_backward(sizes, inputs, attn);
    CHECK(finite_difference_error(inputs.query, grad.query, scores) < 1e-8);
    CHECK(finite_difference_error(inputs.key, grad.key, scores) < 1e-8);
    CHECK(finite_difference_error(inputs.rpb, grad.rpb, scores) < 1e-8);
    const auto sum = [&] {
      return inner_product(na2d_av_oracle(sizes, attn, inputs.value), grad_out);
    };
    const auto av = na2d_av_oracle_backward(sizes, attn, inputs.value, grad_out);
    CHECK(finite_difference_error(attn, av.attn, sum) < 1e-8);
    CHECK(finite_difference_error(inputs.value, av.value, sum) < 1e-8);
  }
}

TEST_CASE("the oracle is dense attention with a mask", "[na2d][oracle]") {
  using vizoo::test::na2d_sizes;
  auto list = small_sizes();
  list.push_back(na2d_sizes(1, 7, 7, 2, 4, {7, 7}));
  list.push_back(na2d_sizes(1, 13, 11, 1, 3, {3, 3}, {4, 3}));
  list.push_back(na2d_sizes(2, 10, 9, 1, 3, {5, 7}));
  uint64_t seed = 20;
  for (const Na2dSizes& sizes : list) {
    for (const bool with_rpb : {true, false}) {
      const auto problem = make_case(sizes, at::kDouble, with_rpb, seed++);
      INFO(problem.description);
      const Na2dResult expected = dense_attention(problem);
      const Na2dResult result = na2d_oracle(sizes, oracle_inputs(problem));
      REQUIRE(result.out.size() == expected.out.size());
      REQUIRE(result.lse.size() == expected.lse.size());
      double error = 0.0;
      for (size_t i = 0; i < result.out.size(); ++i) {
        error = std::max(error, std::abs(result.out[i] - expected.out[i]));
      }
      for (size_t i = 0; i < result.lse.size(); ++i) {
        error = std::max(error, std::abs(result.lse[i] - expected.lse[i]));
      }
      CHECK(error < 1e-12);
    }
  }
}

TEST_CASE("the composition agrees with the oracle in float64", "[na2d][oracle]") {
  const vizoo::test::Threads one(1);
  std::string wrong;
  for (uint64_t seed = 1000; seed < 1060; ++seed) {
    const auto drawn = vizoo::test::draw_case(seed, /*largest_work=*/17);
    auto problem = make_case(drawn.sizes, at::kDouble, drawn.rpb.has_value(), seed);
    wrong += differences(problem, run_composition(problem));
    // The composition's own backward, which the ops fall back on, beside autograd's above.
    const auto [out, lse] = composition::na2d_forward(problem.query,
                                                      problem.key,
                                                      problem.value,
                                                      problem.rpb,
                                                      problem.sizes.kernel_size,
                                                      problem.sizes.dilation,
                                                      problem.sizes.scale);
    const auto [grad_query, grad_key, grad_value, grad_rpb] =
        composition::na2d_backward(problem.grad_out,
                                   problem.query,
                                   problem.key,
                                   problem.value,
                                   problem.rpb,
                                   lse,
                                   problem.sizes.kernel_size,
                                   problem.sizes.dilation,
                                   problem.sizes.scale);
    wrong += differences(problem, {out, lse, grad_query, grad_key, grad_value, grad_rpb});
  }
  CHECK(wrong == "");
}
