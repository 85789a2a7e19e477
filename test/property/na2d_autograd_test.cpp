// Fused neighborhood attention inside autograd and autocast.
#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/grad_mode.h>

#include "test/support/catch.h"
#include "test/support/na2d_case.h"
#include "vizoo/ops/neighborhood_attention.h"

using torch::autograd::grad;
using vizoo::ops::na2d;
using vizoo::test::Layout;
using vizoo::test::make_case;
using vizoo::test::na2d_sizes;
using vizoo::test::Na2dCase;
using vizoo::test::Na2dSizes;
using vizoo::test::same_bits;

namespace {

at::Tensor attend(const Na2dCase& problem) {
  return na2d(problem.query,
              problem.key,
              problem.value,
              problem.rpb,
              problem.sizes.kernel_size,
              problem.sizes.dilation,
              problem.scale);
}

/// Which of a problem's inputs require a gradient, and the op's result for them.
struct Leaves {
  Leaves(const Na2dCase& problem, bool query, bool key, bool value, bool rpb) : inputs(problem) {
    inputs.query = problem.query.detach().requires_grad_(query);
    inputs.key = problem.key.detach().requires_grad_(key);
    inputs.value = problem.value.detach().requires_grad_(value);
    if (problem.rpb && problem.rpb->defined())
      inputs.rpb = problem.rpb->detach().requires_grad_(rpb);
    out = attend(inputs);
  }
  Na2dCase inputs;
  at::Tensor out;
};

/// Compares the op's gradients for a few cotangents with central differences of the op's own
/// forward: the tolerances of torch's gradcheck.
void check_gradients(const Na2dSizes& sizes, bool with_rpb, uint64_t seed) {
  constexpr double kStep = 1e-6;
  const auto problem = make_case(sizes, at::kDouble, with_rpb, seed);
  INFO(problem.description);
  const Leaves leaves(problem, true, true, true, true);
  std::vector<at::Tensor> inputs{leaves.inputs.query, leaves.inputs.key, leaves.inputs.value};
  if (with_rpb) inputs.push_back(*leaves.inputs.rpb);
  const auto cotangents = at::randn({3, leaves.out.numel()}, at::kDouble);
  std::vector<std::vector<at::Tensor>> grads;
  for (int64_t i = 0; i < 3; ++i) {
    grads.push_back(grad({leaves.out},
                         inputs,
                         {cotangents[i].view(leaves.out.sizes())},
                         /*retain_graph=*/true));
  }
  const at::NoGradGuard no_grad;
  for (size_t input = 0; input < inputs.size(); ++input) {
    const auto values = inputs[input].data().view({-1});
    auto* value = values.data_ptr<double>();
    // At most some 900 elements of each input, spread evenly.
    const int64_t stride = 1 + values.numel() / 900;
    for (int64_t element = 0; element < values.numel(); element += stride) {
      const double before = value[element];
      value[element] = before + kStep;
      const auto above = attend(leaves.inputs);
      value[element] = before - kStep;
      const auto below = attend(leaves.inputs);
      value[element] = before;
      const auto slope = at::mv(cotangents, (above - below).view({-1}) / (2 * kStep));
      for (int64_t i = 0; i < 3; ++i) {
        const double expected = slope[i].item<double>();
        const double ours = grads[i][input].reshape({-1})[element].item<double>();
        if (std::abs(ours - expected) <= 1e-6 + 1e-4 * std::abs(expected)) continue;
        FAIL("input " << input << ", element " << element << ": gradient " << ours
                      << ", central difference " << expected);
      }
    }
  }
}

/// Turns autocast on for the CPU and off again.
class Autocast {
 public:
  explicit Autocast(at::ScalarType dtype) : before_(at::autocast::get_autocast_dtype(at::kCPU)) {
    at::autocast::set_autocast_dtype(at::kCPU, dtype);
    at::autocast::set_autocast_enabled(at::kCPU, true);
  }
  ~Autocast() {
    at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(at::kCPU, false);
    at::autocast::set_autocast_dtype(at::kCPU, before_);
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  at::ScalarType before_;
};

}  // namespace

TEST_CASE("gradients are those of finite differences", "[na2d][gradcheck]") {
  uint64_t seed = 700;
  for (const bool with_rpb : {true, false}) {
    check_gradients(na2d_sizes(1, 8, 7, 1, 4, {5, 5}), with_rpb, seed++);
    check_gradients(na2d_sizes(2, 7, 7, 2, 3, {3, 3}, {2, 2}), with_rpb, seed++);
    check_gradients(na2d_sizes(1, 14, 15, 1, 16, {7, 7}, {2, 2}), with_rpb, seed++);
    check_gradients(na2d_sizes(1, 6, 9, 2, 8, {5, 3}, {1, 2}), with_rpb, seed++);
  }
}

TEST_CASE("only what asks for a gradient gets one", "[na2d][autograd]") {
  for (const auto dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    for (const bool with_rpb : {true, false}) {
      const auto problem = make_case(na2d_sizes(2, 9, 8, 2, 8, {7, 5}), dtype, with_rpb, 720);
      INFO(problem.description);
      const auto all = run_ops(problem);
      const auto only = [&](bool query, bool key, bool value, bool rpb) {
        return Leaves(problem, query, key, value, rpb);
      };
      const Leaves none = only(false, false, false, false);
      CHECK_FALSE(none.out.requires_grad());
      CHECK(same_bits(none.out, all.out));
      const auto query = only(true, false, false, false);
      CHECK(same_bits(grad({query.out}, {query.inputs.query}, {problem.grad_out})[0],
                      all.grad_query));
      const auto key = only(false, true, false, false);
      CHECK(same_bits(grad({key.out}, {key.inputs.key}, {problem.grad_out})[0], all.grad_key));
      const auto value = only(false, false, true, false);
      CHECK(same_bits(grad({value.out}, {value.inputs.value}, {problem.grad_out})[0],
                      all.grad_value));
      if (!with_rpb) continue;
      const auto rpb = only(false, false, false, true);
      CHECK(same_bits(grad({rpb.out}, {*rpb.inputs.rpb}, {problem.grad_out})[0], all.grad_rpb));
    }
  }
}

TEST_CASE("an undefined bias is no bias", "[na2d][autograd]") {
  auto problem = make_case(na2d_sizes(1, 7, 8, 2, 8, {7, 5}), at::kFloat, false, 721);
  const auto expected = run_ops(problem);
  problem.rpb = at::Tensor();
  CHECK(same_bits(run_ops(problem), expected));
  CHECK(expected.grad_rpb.sizes() == at::IntArrayRef{0});
  const Leaves leaves(problem, true, false, false, false);
  CHECK(same_bits(grad({leaves.out}, {leaves.inputs.query}, {problem.grad_out})[0],
                  expected.grad_query));
}

TEST_CASE("a gradient without strides", "[na2d][autograd]") {
  for (const auto dtype : {at::kFloat, at::kHalf}) {
    auto problem = make_case(na2d_sizes(2, 9, 8, 2, 8, {7, 5}), dtype, true, 722);
    problem.grad_out = at::full({}, 0.5, dtype).expand_as(problem.query);
    CHECK(differences(problem, run_autograd(problem)) == "");
    auto expected = problem;
    expected.grad_out = problem.grad_out.contiguous();
    CHECK(same_bits(run_autograd(problem), run_autograd(expected)));
    // As a sum makes it, and as a transposed consumer does.
    const Leaves leaves(problem, true, true, true, true);
    const auto by_sum = grad({leaves.out.sum()}, {*leaves.inputs.rpb});
    expected.grad_out = at::ones_like(problem.query);
    CHECK(same_bits(by_sum[0], run_ops(expected).grad_rpb));
    const Leaves again(problem, true, true, true, true);
    const auto weights = at::randn({8, 2, 8, 9, 2}, dtype);
    const auto transposed =
        grad({(again.out.permute({4, 3, 2, 1, 0}) * weights).sum()}, {again.inputs.value});
    expected.grad_out = weights.permute({4, 3, 2, 1, 0}).contiguous();
    CHECK(same_bits(transposed[0], run_ops(expected).grad_value));
  }
}

TEST_CASE("gradients of a packed projection arrive in it", "[na2d][autograd]") {
  const auto problem = make_case(na2d_sizes(2, 9, 8, 3, 16, {5, 5}),
                                 at::kFloat,
                                 true,
                                 723,
                                 {Layout::packed, Layout::packed, Layout::packed});
  const auto packed = at::stack({problem.query, problem.key, problem.value}, 3).requires_grad_();
  const auto out = na2d(packed.select(3, 0),
                        packed.select(3, 1),
                        packed.select(3, 2),
                        problem.rpb,
                        problem.sizes.kernel_size,
                        problem.sizes.dilation);
  const auto ours = grad({out}, {packed}, {problem.grad_out})[0];
  const auto expected = run_ops(problem);
  CHECK(same_bits(ours.select(3, 0), expected.grad_query));
  CHECK(same_bits(ours.select(3, 1), expected.grad_key));
  CHECK(same_bits(ours.select(3, 2), expected.grad_value));
}

TEST_CASE("one tensor as query, key and value", "[na2d][autograd]") {
  auto problem = make_case(na2d_sizes(1, 7, 9, 2, 8, {5, 5}), at::kDouble, true, 724);
  problem.key = problem.value = problem.query;
  const auto expected = run_ops(problem);
  const auto x = problem.query.detach().requires_grad_();
  const auto out = na2d(x, x, x, problem.rpb, problem.sizes.kernel_size, problem.sizes.dilation);
  const auto ours = grad({out}, {x}, {problem.grad_out})[0];
  const auto sum = expected.grad_query + expected.grad_key + expected.grad_value;
  CHECK((ours - sum).abs().max().item<double>() < 1e-12);
}

TEST_CASE("a graph can be used twice, and changed inputs are noticed", "[na2d][autograd]") {
  const auto problem = make_case(na2d_sizes(1, 7, 9, 2, 8, {5, 5}), at::kFloat, true, 725);
  const Leaves leaves(problem, true, true, true, true);
  const auto& query = leaves.inputs.query;
  const auto first = grad({leaves.out}, {query}, {problem.grad_out}, /*retain_graph=*/true)[0];
  CHECK(same_bits(grad({leaves.out}, {query}, {problem.grad_out}, true)[0], first));
  {
    const at::NoGradGuard no_grad;
    leaves.inputs.key.mul_(2);
  }
  CHECK_THROWS_AS(grad({leaves.out}, {query}, {problem.grad_out}), c10::Error);
  auto changed = Leaves(problem, true, true, true, true);
  changed.out.mul_(2);
  CHECK_THROWS_AS(grad({changed.out}, {changed.inputs.query}, {problem.grad_out}), c10::Error);
}

TEST_CASE("a second derivative is an error, not zero", "[na2d][autograd]") {
  const auto problem = make_case(na2d_sizes(1, 7, 9, 2, 8, {5, 5}), at::kDouble, true, 726);
  const Leaves leaves(problem, true, true, true, true);
  const auto first = grad({leaves.out.square().sum()},
                          {leaves.inputs.query},
                          {},
                          /*retain_graph=*/true,
                          /*create_graph=*/true)[0];
  CHECK(first.requires_grad());
  for (const auto& input : {leaves.inputs.query, leaves.inputs.key, *leaves.inputs.rpb}) {
    CHECK_THROWS_WITH(grad({first.square().sum()}, {input}, {}, true),
                      Catch::Contains("not implemented"));
  }
}

TEST_CASE("the logarithm of the sum carries no gradient", "[na2d][autograd]") {
  const auto problem = make_case(na2d_sizes(1, 7, 9, 2, 8, {5, 5}), at::kFloat, true, 727);
  const auto query = problem.query.detach().requires_grad_();
  const auto [out, lse] = vizoo::ops::na2d_forward(query,
                                                   problem.key,
                                                   problem.value,
                                                   problem.rpb,
                                                   problem.sizes.kernel_size,
                                                   problem.sizes.dilation);
  CHECK(out.requires_grad());
  CHECK_FALSE(lse.requires_grad());
  CHECK(same_bits(grad({out}, {query}, {problem.grad_out})[0], run_ops(problem).grad_query));
}

TEST_CASE("nothing is recorded without a graph", "[na2d][autograd]") {
  const auto problem = make_case(na2d_sizes(1, 7, 9, 2, 8, {5, 5}), at::kFloat, true, 728);
  const at::NoGradGuard no_grad;
  const Leaves leaves(problem, true, true, true, true);
  CHECK_FALSE(leaves.out.requires_grad());
  const c10::InferenceMode inference;
  const auto fresh = make_case(problem.sizes, at::kFloat, true, 728);
  CHECK(same_bits(attend(fresh), leaves.out));
}

TEST_CASE("autocast casts inputs and returns gradients as they were", "[na2d][autocast]") {
  for (const auto dtype : {at::kBFloat16, at::kHalf}) {
    const auto problem = make_case(na2d_sizes(2, 9, 8, 2, 8, {7, 5}), at::kFloat, true, 729);
    Na2dCase low = problem;
    low.dtype = dtype;
    low.query = problem.query.to(dtype);
    low.key = problem.key.to(dtype);
    low.value = problem.value.to(dtype);
    low.rpb = problem.rpb->to(dtype);
    low.grad_out = problem.grad_out.to(dtype);
    const auto expected = run_ops(low);
    const auto query = problem.query.detach().requires_grad_();
    const auto rpb = problem.rpb->detach().requires_grad_();
    at::Tensor out;
    {
      const Autocast autocast(dtype);
      // A mixture, as layers under autocast hand it over.
      out = na2d(
          query, low.key, problem.value, rpb, problem.sizes.kernel_size, problem.sizes.dilation);
      const auto forward = vizoo::ops::na2d_forward(
          query, low.key, problem.value, rpb, problem.sizes.kernel_size, problem.sizes.dilation);
      CHECK(same_bits(std::get<0>(forward).detach(), expected.out));
      CHECK(same_bits(std::get<1>(forward), expected.lse));
    }
    CHECK(out.scalar_type() == dtype);
    CHECK(same_bits(out.detach(), expected.out));
    const auto grads = grad({out}, {query, rpb}, {low.grad_out});
    CHECK(same_bits(grads[0], expected.grad_query.to(at::kFloat)));
    CHECK(same_bits(grads[1], expected.grad_rpb.to(at::kFloat)));
  }
}

TEST_CASE("autocast of the unfused ops", "[na2d][autocast]") {
  const auto query = at::randn({1, 2, 7, 9, 8});
  const Autocast autocast(at::kBFloat16);
  const auto attn = vizoo::ops::na2d_qk(query, query, std::nullopt, {5, 5}, {1, 1});
  CHECK(attn.scalar_type() == at::kBFloat16);
  const auto out = vizoo::ops::na2d_av(attn.to(at::kFloat), query, {5, 5}, {1, 1});
  CHECK(out.scalar_type() == at::kBFloat16);
}
