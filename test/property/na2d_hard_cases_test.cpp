// Fused neighborhood attention on the problems that break such kernels: all-border inputs, mixed
// group lengths, longest inverse windows, partial tiles, large counts and strides, extreme logits.
#include <ATen/ATen.h>

#include "test/support/catch.h"
#include "test/support/na2d_case.h"
#include "vizoo/ops/neighborhood_attention.h"

using vizoo::test::difference;
using vizoo::test::Draw;
using vizoo::test::largest_error;
using vizoo::test::Layout;
using vizoo::test::make_case;
using vizoo::test::na2d_sizes;
using vizoo::test::Na2dCase;
using vizoo::test::Na2dSizes;
using vizoo::test::Na2dTensors;
using vizoo::test::same_bits;
using vizoo::test::to_doubles;

namespace {

/// Runs each of the sizes with and without a bias; what is wrong, or "".
std::string check_sizes(const std::vector<Na2dSizes>& list, at::ScalarType dtype = at::kFloat) {
  std::string wrong;
  uint64_t seed = 500;
  for (const Na2dSizes& sizes : list) {
    for (const bool with_rpb : {true, false}) {
      const Na2dCase problem = make_case(sizes, dtype, with_rpb, seed++);
      wrong += differences(problem, run_ops(problem));
    }
  }
  return wrong;
}

bool all_finite(const Na2dTensors& tensors) {
  for (const auto* tensor : {&tensors.out,
                             &tensors.lse,
                             &tensors.grad_query,
                             &tensors.grad_key,
                             &tensors.grad_value,
                             &tensors.grad_rpb}) {
    if (tensor->defined() && !tensor->isfinite().all().item<bool>()) return false;
  }
  return true;
}

/// For scores so large that float32 holds them, and the logarithm of their sum, to 1e-3: as
/// differences(), but that float32 gradients, made from that logarithm, may be off by as much.
std::string extreme_differences(const Na2dCase& problem) {
  const auto ours = run_ops(problem);
  if (problem.dtype != at::kFloat) return differences(problem, ours);
  const auto inputs = oracle_inputs(problem);
  const auto result = na2d_oracle(problem.sizes, inputs);
  const auto grad = na2d_oracle_backward(problem.sizes, inputs, to_doubles(problem.grad_out));
  const auto plain = run_composition(problem);
  std::string lines = difference("out", ours.out, result.out, [&] { return plain.out; }) +
                      difference("lse", ours.lse, result.lse, [&] { return plain.lse; });
  const auto compare =
      [&](const char* name, const at::Tensor& tensor, const std::vector<double>& expected) {
        const double largest = std::max(1.0, at::tensor(expected).abs().max().item<double>());
        if (largest_error(tensor, expected) > 2e-3 * largest) lines += std::string("\n  ") + name;
      };
  compare("grad_query", ours.grad_query, grad.query);
  compare("grad_key", ours.grad_key, grad.key);
  compare("grad_value", ours.grad_value, grad.value);
  compare("grad_rpb", ours.grad_rpb, grad.rpb);
  return lines.empty() ? "" : problem.description + lines + "\n";
}

}  // namespace

TEST_CASE("every query at a border", "[na2d][hard]") {
  CHECK(check_sizes({na2d_sizes(2, 7, 7, 16, 32, {7, 7}),
                     na2d_sizes(1, 14, 14, 8, 32, {7, 7}),
                     na2d_sizes(1, 14, 14, 8, 32, {7, 7}, {2, 2}),
                     na2d_sizes(1, 28, 28, 4, 32, {7, 7}, {4, 4}),
                     na2d_sizes(1, 56, 56, 2, 32, {7, 7}, {8, 8}),
                     na2d_sizes(1, 13, 13, 2, 16, {13, 13})}) == "");
}

TEST_CASE("groups of two lengths", "[na2d][hard]") {
  CHECK(check_sizes({na2d_sizes(1, 57, 59, 2, 16, {7, 7}, {8, 8}),
                     na2d_sizes(1, 27, 19, 2, 8, {5, 3}, {4, 6}),
                     na2d_sizes(1, 96, 96, 1, 8, {7, 7}, {13, 13}),
                     na2d_sizes(1, 96, 96, 1, 8, {11, 11}, {8, 8})}) == "");
}

TEST_CASE("longest inverse windows", "[na2d][hard]") {
  CHECK(check_sizes({na2d_sizes(1, 25, 25, 2, 8, {13, 13}),
                     na2d_sizes(1, 26, 24, 1, 16, {13, 13}),
                     na2d_sizes(2, 5, 5, 1, 40, {3, 3}),
                     na2d_sizes(1, 10, 9, 1, 64, {3, 5}, {2, 1})}) == "");
}

TEST_CASE("axes that differ in everything", "[na2d][hard]") {
  CHECK(check_sizes({na2d_sizes(2, 11, 17, 2, 24, {5, 3}, {1, 2}),
                     na2d_sizes(2, 9, 29, 2, 16, {3, 13}),
                     na2d_sizes(1, 29, 9, 1, 16, {13, 3}),
                     na2d_sizes(1, 3, 200, 1, 8, {3, 5}, {1, 40}),
                     na2d_sizes(1, 84, 19, 1, 8, {7, 3}, {5, 1}),
                     na2d_sizes(1, 67, 81, 1, 8, {11, 7}, {5, 11}),
                     na2d_sizes(1, 40, 20, 1, 8, {3, 7})}) == "");
}

TEST_CASE("windows above 13, as large as the input and larger than tiles", "[na2d][hard]") {
  CHECK(check_sizes({na2d_sizes(1, 17, 48, 1, 8, {15, 23}),
                     na2d_sizes(1, 17, 48, 1, 5, {17, 47}),
                     na2d_sizes(1, 33, 33, 1, 4, {33, 33}),
                     na2d_sizes(1, 84, 69, 1, 2, {7, 67}),
                     na2d_sizes(1, 33, 18, 1, 8, {17, 5}),
                     na2d_sizes(1, 66, 23, 1, 3, {33, 23}),
                     na2d_sizes(1, 5, 25, 2, 16, {5, 15})}) == "");
}

TEST_CASE("every head dimension", "[na2d][hard][any_cpu]") {
  std::vector<Na2dSizes> list;
  for (int64_t head_dim = 1; head_dim <= 70; ++head_dim) {
    list.push_back(na2d_sizes(1, 6, 7, 2, head_dim, {3, 5}, {2, 1}));
  }
  for (const int64_t head_dim : {72, 80, 96, 100, 127, 128, 129, 160, 192, 200, 248, 255, 256}) {
    list.push_back(na2d_sizes(1, 6, 7, 2, head_dim, {3, 5}, {2, 1}));
  }
  CHECK(check_sizes(list, at::kFloat) == "");
  CHECK(check_sizes(list, at::kDouble) == "");
  list.clear();
  for (const int64_t head_dim : {1, 2, 7, 8, 9, 16, 17, 24, 31, 32, 33, 64, 100, 256}) {
    list.push_back(na2d_sizes(1, 6, 7, 2, head_dim, {3, 5}, {2, 1}));
  }
  CHECK(check_sizes(list, at::kHalf) == "");
  CHECK(check_sizes(list, at::kBFloat16) == "");
}

TEST_CASE("the sizes of published models in every layout", "[na2d][hard][any_cpu]") {
  // Seven columns and D = 32 have code of their own.
  std::string wrong;
  for (uint64_t seed = 560; seed < 620; ++seed) {
    Draw draw(seed);
    const int64_t rows = draw.one_in(2) ? 7 : 2 * draw.between(1, 6) + 1;
    const std::array<int64_t, 2> dilation{draw.between(1, 3), draw.between(1, 4)};
    const auto sizes = na2d_sizes(draw.between(1, 2),
                                  rows * dilation[0] + draw.between(0, 9),
                                  7 * dilation[1] + draw.between(0, 9),
                                  draw.between(1, 3),
                                  32,
                                  {rows, 7},
                                  dilation);
    std::array<Layout, 3> layouts{Layout::packed, Layout::packed, Layout::packed};
    for (size_t i = 0; i < 3 && seed % 4 != 0; ++i) {
      layouts.at(i) = static_cast<Layout>(draw.between(2, vizoo::test::kLayoutCount - 1));
    }
    const auto dtype = seed % 5 == 0 ? at::kDouble : seed % 5 == 1 ? at::kBFloat16 : at::kFloat;
    const Na2dCase problem = make_case(sizes, dtype, seed % 3 != 0, seed, layouts);
    wrong += differences(problem, seed % 2 == 0 ? run_ops(problem) : run_autograd(problem));
  }
  CHECK(wrong == "");
}

TEST_CASE("every kernel size, with and without room around it", "[na2d][hard]") {
  std::vector<Na2dSizes> list;
  for (int64_t size = 3; size <= 15; size += 2) {
    for (const int64_t extra : {0, 1, 6}) {
      for (const int64_t dilation : {1, 2}) {
        const int64_t height = size * dilation + extra;
        list.push_back(na2d_sizes(1, height, 4 + extra, 1, 8, {size, 3}, {dilation, 1}));
        list.push_back(na2d_sizes(1, 4 + extra, height, 1, 8, {3, size}, {1, dilation}));
      }
    }
  }
  CHECK(check_sizes(list) == "");
}

TEST_CASE("rows that many tasks share", "[na2d][hard]") {
  std::vector<Na2dSizes> list;
  for (const int64_t size : {3, 5, 7, 13, 17, 25}) {
    for (const int64_t rows : {31, 32, 33, 34, 47, 49, 64, 65, 66, 97, 130}) {
      for (const int64_t dilation : {1, 2}) {
        // With a dilation, one group is a row longer than the other.
        const int64_t height = rows * dilation + dilation - 1;
        list.push_back(na2d_sizes(1, height, 4, 1, 4, {size, 3}, {dilation, 1}));
      }
    }
  }
  CHECK(check_sizes(list) == "");
  CHECK(check_sizes(list, at::kDouble) == "");
}

TEST_CASE("odd head counts in half types", "[na2d][hard]") {
  for (const auto dtype : {at::kHalf, at::kBFloat16}) {
    CHECK(check_sizes(
              {na2d_sizes(2, 7, 9, 3, 32, {7, 7}), na2d_sizes(1, 15, 16, 3, 24, {5, 7}, {3, 2})},
              dtype) == "");
  }
}

TEST_CASE("feature maps of detection", "[na2d][hard]") {
  CHECK(check_sizes({na2d_sizes(1, 200, 320, 1, 4, {7, 7}),
                     na2d_sizes(1, 200, 320, 1, 3, {7, 7}, {28, 28}),
                     na2d_sizes(1, 100, 160, 1, 8, {7, 7}, {14, 14}),
                     na2d_sizes(2, 50, 80, 1, 8, {7, 7}, {7, 3}),
                     na2d_sizes(2, 25, 40, 2, 8, {7, 7}, {3, 3})}) == "");
  // A tall axis with a wide window and a large dilation.
  CHECK(check_sizes({na2d_sizes(1, 1216, 15, 1, 2, {15, 15}, {16, 1})}) == "");
}

TEST_CASE("the bias gradient of a large batch", "[na2d][hard]") {
  const auto sizes = na2d_sizes(256, 14, 14, 2, 8, {7, 7});
  const auto problem = make_case(sizes, at::kFloat, true, 600);
  const auto first = run_ops(problem);
  CHECK(differences(problem, first) == "");
  for (int run = 1; run < 10; ++run) CHECK(same_bits(run_ops(problem), first));
  // Sums in bfloat16 would be off by a tenth.
  const auto low = make_case(sizes, at::kBFloat16, true, 600);
  const auto grad = na2d_oracle_backward(sizes, oracle_inputs(low), to_doubles(low.grad_out));
  const auto ours = run_ops(low).grad_rpb;
  const double largest = ours.abs().max().item<double>();
  CHECK(largest_error(ours, grad.rpb) < 0.005 * largest);  // 2^-9 for the result and some for out
}

TEST_CASE("batch times heads above 65,535", "[na2d][hard]") {
  Na2dCase problem = make_case(na2d_sizes(4097, 7, 7, 16, 2, {7, 7}), at::kFloat, true, 601);
  // grad_out is zero but for a few samples, so that these alone make the bias gradient.
  const std::vector<int64_t> samples{0, 1, 2047, 4095, 4096};
  auto mask = at::zeros({4097, 1, 1, 1, 1});
  for (const int64_t b : samples) mask[b].fill_(1.0F);
  problem.grad_out = problem.grad_out * mask;
  const Na2dTensors ours = run_ops(problem);
  auto grad_rpb = std::vector<double>(ours.grad_rpb.numel());
  for (const int64_t b : samples) {
    INFO("sample " << b);
    const Na2dCase sample = sample_of(problem, b);
    const auto inputs = oracle_inputs(sample);
    const auto result = na2d_oracle(sample.sizes, inputs);
    const auto grad = na2d_oracle_backward(sample.sizes, inputs, to_doubles(sample.grad_out));
    CHECK(largest_error(ours.out.narrow(0, b, 1), result.out) < 1e-5);
    CHECK(largest_error(ours.lse.narrow(0, b, 1), result.lse) < 1e-5);
    CHECK(largest_error(ours.grad_query.narrow(0, b, 1), grad.query) < 1e-5);
    CHECK(largest_error(ours.grad_key.narrow(0, b, 1), grad.key) < 1e-5);
    CHECK(largest_error(ours.grad_value.narrow(0, b, 1), grad.value) < 1e-5);
    for (size_t i = 0; i < grad_rpb.size(); ++i) grad_rpb[i] += grad.rpb[i];
  }
  CHECK(largest_error(ours.grad_rpb, grad_rpb) < 1e-5);
  CHECK(all_finite(ours));
}

TEST_CASE("strides beyond 2^31 elements", "[na2d][hard]") {
  // Three samples 2^31 + 64 elements apart in memory that is reserved but hardly touched.
  const int64_t apart = (int64_t{1} << 31) + 64;
  const auto sizes = na2d_sizes(3, 7, 8, 2, 8, {7, 7});
  const int64_t sample_size = 7 * 8 * 2 * 8;
  auto problem = make_case(sizes, at::kHalf, true, 602);
  const auto expected = run_ops(problem);
  const auto storage = at::empty({2 * apart + 3 * sample_size}, at::kHalf);
  std::vector<at::Tensor> views;
  for (int64_t i = 0; i < 3; ++i) {
    views.push_back(storage.as_strided(
        problem.query.sizes(), {apart, 8 * 2 * 8, 2 * 8, 8, 1}, i * sample_size));
  }
  problem.query = views[0].copy_(problem.query);
  problem.key = views[1].copy_(problem.key);
  problem.value = views[2].copy_(problem.value);
  CHECK(same_bits(run_ops(problem), expected));
  // Rows and columns that far apart: width outermost, then height.
  const auto columns_apart = make_case(na2d_sizes(1, 3, 3, 1, 8, {3, 3}), at::kHalf, false, 603);
  const auto near = run_ops(columns_apart);
  auto far = columns_apart;
  far.value = storage.as_strided(far.value.sizes(), {8, 8, apart, 8, 1}, 0);
  far.value.copy_(columns_apart.value);
  CHECK(same_bits(run_ops(far), near));
  far.value = storage.as_strided(far.value.sizes(), {8, apart, 8, 8, 1}, 0);
  far.value.copy_(columns_apart.value);
  CHECK(same_bits(run_ops(far), near));
}

TEST_CASE("logits of 1e4 and a bias of 1e4", "[na2d][hard][any_cpu]") {
  for (const auto dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    for (const int64_t head_dim : {8, 12}) {
      auto problem = make_case(na2d_sizes(2, 9, 10, 2, head_dim, {5, 7}), dtype, true, 604);
      problem.query.mul_(100);
      problem.key.mul_(100);
      INFO(problem.description);
      CHECK(run_ops(problem).lse.max().item<double>() > 1e4);
      CHECK(extreme_differences(problem) == "");
      problem = make_case(problem.sizes, dtype, true, 605);
      problem.rpb->sign_().mul_(1e4);
      CHECK(extreme_differences(problem) == "");
      problem.rpb->fill_(-1e4);
      CHECK(extreme_differences(problem) == "");
      problem.value.fill_(1);
      CHECK(run_ops(problem).out.sub(1).abs().max().item<double>() < 1e-5);
    }
  }
}

TEST_CASE("numbers whose products overflow half types", "[na2d][hard]") {
  // Scores up to 250 * 250 * 16 * 0.25 = 250,000 lie above the largest float16.
  auto problem = make_case(na2d_sizes(1, 7, 8, 2, 16, {7, 7}), at::kHalf, false, 606);
  problem.query.sign_().mul_(250);
  problem.key.sign_().mul_(250);
  const auto ours = run_ops(problem);
  CHECK(all_finite(ours));
  const auto result = na2d_oracle(problem.sizes, oracle_inputs(problem));
  // Without a bias the scores are exact in float32; half of the last place of float16 below 4.
  CHECK(largest_error(ours.out, result.out) < 2e-3);
}

TEST_CASE("constant rows and a dominant key", "[na2d][hard]") {
  for (const auto dtype : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16}) {
    auto problem = make_case(na2d_sizes(1, 9, 8, 2, 16, {5, 3}), dtype, true, 607);
    INFO(problem.description);
    // Every key alike: uniform weights but for the bias.
    problem.key.fill_(1);
    CHECK(differences(problem, run_ops(problem)) == "");
    problem.rpb->fill_(0.5);
    auto ours = run_ops(problem);
    CHECK(differences(problem, ours) == "");
    CHECK(all_finite(ours));
    // Every value alike: nothing to learn from the scores, and rows sum to one.
    problem = make_case(problem.sizes, dtype, true, 608);
    problem.value.fill_(1);
    ours = run_ops(problem);
    CHECK(differences(problem, ours) == "");
    CHECK(ours.out.sub(1).abs().max().item<double>() <= (dtype == at::kBFloat16 ? 1e-2 : 1e-3));
    // One key that outshines the others: exp underflows for all but one.
    problem = make_case(problem.sizes, dtype, true, 609);
    problem.query.abs_();
    problem.key.select(1, 4).select(1, 4).fill_(100);
    CHECK(extreme_differences(problem) == "");
    // All zero.
    problem.query.zero_();
    problem.key.zero_();
    problem.value.zero_();
    problem.rpb->zero_();
    problem.grad_out.zero_();
    ours = run_ops(problem);
    CHECK(differences(problem, ours) == "");
    CHECK(ours.out.eq(0).all().item<bool>());
  }
}

TEST_CASE("an empty batch", "[na2d][hard]") {
  for (const auto dtype : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16}) {
    CHECK(check_sizes(
              {na2d_sizes(0, 7, 7, 2, 32, {7, 7}), na2d_sizes(0, 9, 12, 1, 5, {3, 5}, {2, 1})},
              dtype) == "");
  }
  const auto problem = make_case(na2d_sizes(0, 7, 7, 2, 32, {7, 7}), at::kFloat, true, 610);
  CHECK(run_ops(problem).grad_rpb.eq(0).all().item<bool>());
  CHECK(run_autograd(problem).grad_rpb.eq(0).all().item<bool>());
}
