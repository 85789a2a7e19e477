// Fused neighborhood attention on random problems: results and all four gradients against the
// float64 oracle, repeatability, and that windows do not leak.
#include <ATen/ATen.h>

#include <limits>
#include <map>
#include <set>

#include "test/support/catch.h"
#include "test/support/na2d_case.h"
#include "vizoo/ops/neighborhood_attention.h"

using vizoo::test::draw_case;
using vizoo::test::Layout;
using vizoo::test::make_case;
using vizoo::test::na2d_sizes;
using vizoo::test::Na2dCase;
using vizoo::test::same_bits;
using vizoo::test::Threads;

namespace {

constexpr uint64_t kFirstSeed = 20'220'414;  // a failure names the seed of its case
constexpr uint64_t kCases = 2000;

/// That the random problems are what their description says.
struct Coverage {
  void add(const Na2dCase& problem) {
    const auto& sizes = problem.sizes;
    kernel_sizes.insert(sizes.kernel_size.begin(), sizes.kernel_size.end());
    dilations.insert(sizes.dilation.begin(), sizes.dilation.end());
    head_dims.insert(sizes.head_dim);
    batches.insert(sizes.batch);
    heads.insert(sizes.heads);
    ++dtypes[problem.dtype];
    biased += problem.rpb.has_value();
    shortest += sizes.height == sizes.kernel_size[0] * sizes.dilation[0];
    uneven += sizes.dilation[0] > 1 && sizes.height % sizes.dilation[0] != 0;
  }

  void check() const {
    CHECK(kernel_sizes == std::set<int64_t>{3, 5, 7, 9, 11, 13});
    CHECK(dilations == std::set<int64_t>{1, 2, 3, 4, 5, 6, 7, 8});
    CHECK(head_dims.size() >= 100);
    CHECK(batches == std::set<int64_t>{0, 1, 2, 3});
    CHECK(heads == std::set<int64_t>{1, 2, 3, 4});
    for (const auto& [dtype, count] : dtypes) CHECK(count >= 100);
    CHECK(dtypes.size() == 4);
    CHECK(biased >= 1000);
    CHECK(shortest >= 200);
    CHECK(uneven >= 200);
  }

  std::set<int64_t> kernel_sizes, dilations, head_dims, batches, heads;
  std::map<at::ScalarType, int> dtypes;
  int biased = 0;
  int shortest = 0;
  int uneven = 0;
};

}  // namespace

TEST_CASE("2,000 random problems agree with the oracle", "[na2d][any_cpu]") {
  std::string wrong;
  int failures = 0;
  Coverage coverage;
  for (uint64_t seed = kFirstSeed; seed < kFirstSeed + kCases && failures < 5; ++seed) {
    const Na2dCase problem = draw_case(seed);
    coverage.add(problem);
    const bool by_autograd = seed % 2 == 0;
    const auto ours = by_autograd ? run_autograd(problem) : run_ops(problem);
    const std::string lines = differences(problem, ours);
    failures += lines.empty() ? 0 : 1;
    wrong += lines;
    if (seed % 10 != 0) continue;
    INFO(problem.description);
    auto other = by_autograd ? run_ops(problem) : run_autograd(problem);
    if (!problem.rpb) other.grad_rpb = ours.grad_rpb;
    CHECK(same_bits(other, ours));
  }
  REQUIRE(wrong == "");
  coverage.check();
}

TEST_CASE("ten runs are equal to the bit with any number of threads", "[na2d][any_cpu]") {
  std::vector<Na2dCase> problems;
  for (uint64_t seed = 1; seed <= 40; ++seed) problems.push_back(draw_case(seed));
  for (const auto dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    problems.push_back(make_case(na2d_sizes(2, 29, 31, 3, 16, {7, 7}, {2, 3}), dtype, true, 99));
    problems.push_back(make_case(na2d_sizes(33, 7, 7, 2, 8, {7, 7}), dtype, true, 98));
    problems.push_back(make_case(na2d_sizes(1, 57, 59, 1, 24, {7, 7}, {8, 8}), dtype, true, 97));
  }
  for (const Na2dCase& problem : problems) {
    INFO(problem.description);
    const auto first = [&] {
      const Threads one(1);
      return run_ops(problem);
    }();
    for (int run = 0; run < 10; ++run) {
      const Threads threads(1 + run % 4);
      REQUIRE(same_bits(run_ops(problem), first));
    }
  }
}

TEST_CASE("the result does not depend on the layout", "[na2d]") {
  for (const auto dtype : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16}) {
    for (const int64_t head_dim : {1, 8, 13, 32}) {
      const auto sizes = na2d_sizes(2, 9, 16, 3, head_dim, {5, 7}, {1, 2});
      auto problem =
          make_case(sizes, dtype, true, 5, {Layout::packed, Layout::packed, Layout::packed});
      const auto packed = run_ops(problem);
      problem.query = problem.query.contiguous();
      problem.key = problem.key.transpose(1, 3).contiguous().transpose(1, 3);
      problem.value = problem.value.transpose(0, 2).contiguous().transpose(0, 2);
      INFO(problem.description);
      CHECK(same_bits(run_ops(problem), packed));
    }
  }
}

TEST_CASE("a batch is its samples, one by one", "[na2d]") {
  for (const auto dtype : {at::kFloat, at::kHalf}) {
    const auto problem = make_case(na2d_sizes(5, 8, 15, 2, 24, {3, 7}, {2, 1}), dtype, true, 6);
    const auto all = run_ops(problem);
    for (int64_t b = 0; b < 5; ++b) {
      const auto one = run_ops(sample_of(problem, b));
      CHECK(same_bits(one.out, all.out.narrow(0, b, 1)));
      CHECK(same_bits(one.lse, all.lse.narrow(0, b, 1)));
      CHECK(same_bits(one.grad_query, all.grad_query.narrow(0, b, 1)));
      CHECK(same_bits(one.grad_key, all.grad_key.narrow(0, b, 1)));
      CHECK(same_bits(one.grad_value, all.grad_value.narrow(0, b, 1)));
    }
  }
}

TEST_CASE("a value that is no number reaches the queries that see it and no others",
          "[na2d][any_cpu]") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const auto dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    for (const int64_t head_dim : {5, 8, 32}) {
      const auto sizes = na2d_sizes(2, 16, 17, 2, head_dim, {5, 3}, {2, 3});
      const auto clean = make_case(sizes, dtype, true, 7);
      auto dirty = clean;
      dirty.key = clean.key.clone();
      dirty.value = clean.value.clone();
      // Batch 1, row 4, column 9, head 0.
      dirty.key.select(0, 1).select(0, 4).select(0, 9).select(0, 0).fill_(nan);
      dirty.value.select(0, 1).select(0, 4).select(0, 9).select(0, 0).fill_(nan);
      const auto expected = run_ops(clean);
      const auto ours = run_ops(dirty);
      // Row 4 is position 2 of the 8 in group 0, seen from positions 0 to 4: rows 0, 2, ... 8.
      // Column 9 is position 3 of the 6 in group 0, seen from 2 to the border: 6, 9, 12, 15.
      auto seen = at::zeros({2, 16, 17, 2}, at::kBool);
      for (const int64_t row : {0, 2, 4, 6, 8}) {
        for (const int64_t column : {6, 9, 12, 15}) seen[1][row][column][0].fill_(true);
      }
      INFO(clean.description);
      CHECK(at::equal(ours.out.isnan().all(-1), seen));
      CHECK(at::equal(ours.out.isnan().any(-1), seen));
      CHECK(at::equal(ours.lse.isnan(), seen));
      const auto hidden = seen.logical_not();
      CHECK(same_bits(ours.out.index({hidden}), expected.out.index({hidden})));
      CHECK(same_bits(ours.grad_query.index({hidden}), expected.grad_query.index({hidden})));
      CHECK(at::equal(ours.grad_query.isnan().any(-1), seen));
      // The other head and sample have nothing to do with it.
      CHECK(same_bits(ours.grad_key.select(0, 0), expected.grad_key.select(0, 0)));
      CHECK(same_bits(ours.grad_key.select(3, 1), expected.grad_key.select(3, 1)));
      CHECK(same_bits(ours.grad_value.select(3, 1), expected.grad_value.select(3, 1)));
    }
  }
}

TEST_CASE("inputs are left alone", "[na2d]") {
  const auto problem = make_case(na2d_sizes(2, 9, 9, 2, 8, {7, 7}), at::kFloat, true, 8);
  const auto query = problem.query.clone();
  const auto key = problem.key.clone();
  const auto value = problem.value.clone();
  const auto rpb = problem.rpb->clone();
  const auto grad_out = problem.grad_out.clone();
  run_ops(problem);
  CHECK(same_bits(problem.query, query));
  CHECK(same_bits(problem.key, key));
  CHECK(same_bits(problem.value, value));
  CHECK(same_bits(*problem.rpb, rpb));
  CHECK(same_bits(problem.grad_out, grad_out));
}
