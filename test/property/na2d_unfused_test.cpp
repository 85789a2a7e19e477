// The unfused ops, scores and weighted sum, and their gradients against the float64 oracle.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include "test/support/catch.h"
#include "test/support/na2d_case.h"
#include "vizoo/ops/na2d_composition.h"
#include "vizoo/ops/neighborhood_attention.h"

using torch::autograd::grad;
using vizoo::test::draw_case;
using vizoo::test::Layout;
using vizoo::test::make_case;
using vizoo::test::na2d_sizes;
using vizoo::test::Na2dCase;
using vizoo::test::same_bits;
using vizoo::test::Threads;
using vizoo::test::to_doubles;
namespace ops = vizoo::ops;

namespace {

// The oracle has heads before D, the unfused ops before H: [B, H, W, heads, X] <-> [B, heads, H, W,
// X].
at::Tensor heads_first(const at::Tensor& x) { return x.permute({0, 3, 1, 2, 4}); }
at::Tensor heads_last(const at::Tensor& x) { return x.permute({0, 2, 3, 1, 4}); }

/// Inputs in the layout of the unfused ops. grad_scores plays the attention weights, too.
struct Unfused {
  explicit Unfused(const Na2dCase& problem)
      : sizes(problem.sizes),
        query(heads_first(problem.query)),
        key(heads_first(problem.key)),
        value(heads_first(problem.value)),
        rpb(problem.rpb),
        grad_out(heads_first(problem.grad_out)),
        kernel_size(problem.sizes.kernel_size),
        dilation(problem.sizes.dilation) {
    sizes.scale = 1.0;
    const auto shape = {sizes.batch, sizes.heads, sizes.height, sizes.width, sizes.window()};
    grad_scores = at::randn(shape, at::kDouble).to(problem.dtype);
    attn = at::randn(shape, at::kDouble).softmax(-1).to(problem.dtype);
  }

  vizoo::test::Na2dSizes sizes;
  at::Tensor query, key, value;
  std::optional<at::Tensor> rpb;
  at::Tensor grad_out, grad_scores, attn;
  std::array<int64_t, 2> kernel_size, dilation;
};

/// Results and gradients in the layout of the oracle.
struct Results {
  at::Tensor scores, grad_query, grad_key, grad_rpb, out, grad_attn, grad_value;
};

Results run_ops(const Unfused& x) {
  const auto scores = ops::na2d_qk(x.query, x.key, x.rpb, x.kernel_size, x.dilation);
  const auto [grad_query, grad_key, grad_rpb] =
      ops::na2d_qk_backward(x.grad_scores, x.query, x.key, x.rpb, x.kernel_size, x.dilation);
  const auto out = ops::na2d_av(x.attn, x.value, x.kernel_size, x.dilation);
  const auto [grad_attn, grad_value] =
      ops::na2d_av_backward(x.grad_out, x.attn, x.value, x.kernel_size, x.dilation);
  for (const auto& tensor : {scores, grad_query, grad_key, grad_rpb, out, grad_attn, grad_value}) {
    REQUIRE(tensor.is_contiguous());
  }
  return {scores, grad_query, grad_key, grad_rpb, out, grad_attn, grad_value};
}

template <class Qk, class Av>
Results run_autograd(const Unfused& x, const Qk& qk, const Av& av) {
  const auto query = x.query.detach().requires_grad_();
  const auto key = x.key.detach().requires_grad_();
  const auto value = x.value.detach().requires_grad_();
  const auto attn = x.attn.detach().requires_grad_();
  std::vector<at::Tensor> inputs{query, key};
  std::optional<at::Tensor> rpb;
  if (x.rpb) {
    rpb = x.rpb->detach().requires_grad_();
    inputs.push_back(*rpb);
  }
  const auto scores = qk(query, key, rpb, x.kernel_size, x.dilation);
  const auto grads = grad({scores}, inputs, {x.grad_scores});
  const auto out = av(attn, value, x.kernel_size, x.dilation);
  const auto others = grad({out}, {attn, value}, {x.grad_out});
  return {scores.detach(),
          grads[0],
          grads[1],
          x.rpb ? grads[2] : at::empty({0}, x.query.options()),
          out.detach(),
          others[0],
          others[1]};
}

std::string differences(const Unfused& x, const Results& ours) {
  const vizoo::test::Na2dInputs inputs{to_doubles(heads_last(x.query)),
                                       to_doubles(heads_last(x.key)),
                                       to_doubles(heads_last(x.value)),
                                       x.rpb ? to_doubles(*x.rpb) : std::vector<double>()};
  const auto scores = na2d_qk_oracle(x.sizes, inputs);
  const auto grad_qk =
      na2d_qk_oracle_backward(x.sizes, inputs, to_doubles(heads_last(x.grad_scores)));
  const auto attn = to_doubles(heads_last(x.attn));
  const auto out = na2d_av_oracle(x.sizes, attn, inputs.value);
  const auto grad_av =
      na2d_av_oracle_backward(x.sizes, attn, inputs.value, to_doubles(heads_last(x.grad_out)));
  std::optional<Results> plain;
  const auto composition = [&](at::Tensor Results::*member) {
    return [&plain, &x, member] {
      const Threads one(1);
      if (!plain) plain = run_autograd(x, ops::composition::na2d_qk, ops::composition::na2d_av);
      const auto& tensor = (*plain).*member;
      return tensor.dim() == 5 ? heads_last(tensor) : tensor;
    };
  };
  const auto compare =
      [&](const char* name, at::Tensor Results::*member, const std::vector<double>& expected) {
        const auto& tensor = ours.*member;
        const auto last = tensor.dim() == 5 ? heads_last(tensor) : tensor;
        return vizoo::test::difference(name, last, expected, composition(member));
      };
  return compare("scores", &Results::scores, scores) +
         compare("grad_query", &Results::grad_query, grad_qk.query) +
         compare("grad_key", &Results::grad_key, grad_qk.key) +
         compare("grad_rpb", &Results::grad_rpb, grad_qk.rpb) + compare("out", &Results::out, out) +
         compare("grad_attn", &Results::grad_attn, grad_av.attn) +
         compare("grad_value", &Results::grad_value, grad_av.value);
}

bool equal_bits(const Results& a, const Results& b) {
  return same_bits(a.scores, b.scores) && same_bits(a.grad_query, b.grad_query) &&
         same_bits(a.grad_key, b.grad_key) && same_bits(a.grad_rpb, b.grad_rpb) &&
         same_bits(a.out, b.out) && same_bits(a.grad_attn, b.grad_attn) &&
         same_bits(a.grad_value, b.grad_value);
}

constexpr uint64_t kFirstUnfusedSeed = 20'220'929;

}  // namespace

TEST_CASE("400 random unfused problems agree with the oracle", "[na2d][unfused][any_cpu]") {
  std::string wrong;
  int failures = 0;
  for (uint64_t seed = kFirstUnfusedSeed; seed < kFirstUnfusedSeed + 400 && failures < 5; ++seed) {
    const auto problem = draw_case(seed, /*largest_work=*/19);
    const Unfused unfused(problem);
    const auto ours =
        seed % 2 == 0 ? run_ops(unfused) : run_autograd(unfused, ops::na2d_qk, ops::na2d_av);
    const std::string lines = differences(unfused, ours);
    if (lines.empty()) continue;
    ++failures;
    wrong += problem.description + lines + "\n";
  }
  CHECK(wrong == "");
}

TEST_CASE("hard unfused problems", "[na2d][unfused][hard]") {
  std::string wrong;
  uint64_t seed = 800;
  for (const auto& sizes : {na2d_sizes(2, 7, 7, 16, 32, {7, 7}),
                            na2d_sizes(1, 57, 59, 1, 8, {7, 7}, {8, 8}),
                            na2d_sizes(1, 15, 22, 2, 32, {5, 7}, {2, 3}),
                            na2d_sizes(1, 25, 25, 1, 8, {13, 13}),
                            na2d_sizes(2, 9, 29, 2, 16, {3, 13}),
                            na2d_sizes(2, 11, 17, 3, 24, {5, 3}, {1, 2}),
                            na2d_sizes(1, 17, 48, 1, 8, {15, 23}),
                            na2d_sizes(2, 14, 14, 2, 256, {3, 7}, {4, 2}),
                            na2d_sizes(40, 5, 6, 3, 7, {5, 3}),
                            na2d_sizes(0, 7, 7, 2, 8, {7, 7})}) {
    for (const auto dtype : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16}) {
      const auto problem = make_case(sizes, dtype, seed % 3 != 0, seed);
      ++seed;
      const Unfused unfused(problem);
      const std::string lines = differences(unfused, run_ops(unfused));
      if (!lines.empty()) wrong += problem.description + lines + "\n";
    }
  }
  CHECK(wrong == "");
}

TEST_CASE("unfused runs are equal to the bit with any number of threads", "[na2d][unfused]") {
  for (const auto dtype : {at::kFloat, at::kDouble, at::kHalf}) {
    for (const auto& sizes : {na2d_sizes(3, 29, 31, 3, 16, {7, 7}, {2, 3}),
                              na2d_sizes(33, 7, 7, 2, 8, {7, 7}),
                              na2d_sizes(1, 30, 9, 1, 13, {3, 3})}) {
      const Unfused unfused(make_case(sizes, dtype, true, 820));
      const auto first = [&] {
        const Threads one(1);
        return run_ops(unfused);
      }();
      for (int run = 0; run < 10; ++run) {
        const Threads threads(1 + run % 4);
        CHECK(equal_bits(run_ops(unfused), first));
      }
    }
  }
}

TEST_CASE("gradients of the unfused ops in odd layouts", "[na2d][unfused]") {
  Unfused unfused(make_case(na2d_sizes(2, 8, 9, 2, 8, {5, 7}), at::kFloat, true, 821));
  const auto check = [&] {
    CHECK(differences(unfused, run_autograd(unfused, ops::na2d_qk, ops::na2d_av)) == "");
  };
  unfused.grad_scores = at::full({}, 0.25F).expand({2, 2, 8, 9, 35});
  unfused.grad_out = at::full({}, 0.25F).expand({2, 2, 8, 9, 8});
  check();
  unfused.grad_scores = at::randn({35, 9, 8, 2, 2}).permute({4, 3, 2, 1, 0});
  unfused.grad_out = at::randn({8, 9, 8, 2, 2}).permute({4, 3, 2, 1, 0});
  check();
  unfused.attn = at::randn({35, 9, 8, 2, 2}).permute({4, 3, 2, 1, 0});
  check();
  unfused.attn = at::randn({2, 1, 8, 9, 35}).expand({2, 2, 8, 9, 35});
  check();
}

TEST_CASE("the unfused form is the fused one", "[na2d][unfused]") {
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    const auto problem = make_case(na2d_sizes(2, 12, 9, 2, 8, {5, 3}, {2, 3}), dtype, true, 822);
    const Unfused x(problem);
    const auto scores =
        ops::na2d_qk(x.query * problem.sizes.scale, x.key, x.rpb, x.kernel_size, x.dilation);
    const auto out = ops::na2d_av(scores.softmax(-1), x.value, x.kernel_size, x.dilation);
    const auto fused = vizoo::test::run_ops(problem);
    const double tolerance = dtype == at::kDouble ? 1e-12 : 1e-5;
    CHECK((heads_last(out) - fused.out).abs().max().item<double>() < tolerance);
    const auto lse = scores.logsumexp(-1).permute({0, 2, 3, 1});
    CHECK((lse - fused.lse).abs().max().item<double>() < tolerance);
  }
}

TEST_CASE("second derivatives of the unfused ops are errors", "[na2d][unfused]") {
  const Unfused x(make_case(na2d_sizes(1, 7, 8, 1, 4, {3, 3}), at::kDouble, true, 823));
  const auto query = x.query.detach().requires_grad_();
  const auto value = x.value.detach().requires_grad_();
  const auto scores = ops::na2d_qk(query, x.key, x.rpb, x.kernel_size, x.dilation);
  const auto first = grad({scores.square().sum()}, {query}, {}, true, /*create_graph=*/true)[0];
  CHECK_THROWS_WITH(grad({first.sum()}, {query}), Catch::Contains("not implemented"));
  const auto out = ops::na2d_av(x.attn, value, x.kernel_size, x.dilation);
  const auto other = grad({out.square().sum()}, {value}, {}, true, /*create_graph=*/true)[0];
  CHECK_THROWS_WITH(grad({other.sum()}, {value}), Catch::Contains("not implemented"));
}
