// Neighborhood attention on CUDA: every kernel against the float64 oracle, and against itself.
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "test/gpu/gpu.h"
#include "vizoo/ops/na2d_composition.h"
#include "vizoo/ops/neighborhood_attention.h"

using vizoo::test::difference_on_gpu;
using vizoo::test::differences;
using vizoo::test::Draw;
using vizoo::test::draw_case;
using vizoo::test::kernel_of;
using vizoo::test::KernelChoice;
using vizoo::test::kGpu;
using vizoo::test::Layout;
using vizoo::test::make_case;
using vizoo::test::na2d_sizes;
using vizoo::test::Na2dCase;
using vizoo::test::Na2dSizes;
using vizoo::test::run_ops;
using vizoo::test::same_bits;
using vizoo::test::to_cpu;
using vizoo::test::to_gpu;
namespace ops = vizoo::ops;

namespace {

constexpr std::array<Layout, 3> kPacked{Layout::packed, Layout::packed, Layout::packed};

/// "" or what is wrong with `kernel` on the problem, or that another one ran it.
std::string check(const Na2dCase& problem, const char* kernel) {
  const KernelChoice choice(kernel);
  const Na2dCase on_gpu = to_gpu(problem);
  if (kernel_of(on_gpu) != kernel) {
    return problem.description + ": ran by " + kernel_of(on_gpu) + "\n";
  }
  return differences(problem, to_cpu(run_ops(on_gpu)));
}

Na2dSizes draw_tile_sizes(Draw& draw, bool dense) {
  auto sizes =
      na2d_sizes(draw.between(1, 3), 0, 0, draw.between(1, 4), draw.one_in(3) ? 64 : 32, {}, {});
  for (const size_t axis : {0, 1}) {
    sizes.kernel_size[axis] = 2 * draw.between(1, dense ? 3 : 5) + 1;
    sizes.dilation[axis] = draw.one_in(2) ? 1 : draw.between(2, 4);
    const int64_t least = sizes.kernel_size[axis] * sizes.dilation[axis];
    (axis == 0 ? sizes.height : sizes.width) = least + (dense ? 0 : draw.between(0, 20));
  }
  return sizes;
}

}  // namespace

TEST_CASE("cuda names of kernels") {
  CHECK_THROWS_AS(ops::cuda::set_na2d_cuda_kernel("fast"), c10::Error);
  CHECK_NOTHROW(ops::cuda::set_na2d_cuda_kernel("default"));
}

TEST_CASE("cuda general kernels on random problems, types and layouts") {
  VIZOO_NEED_GPU();
  std::string wrong;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    const Na2dCase problem = draw_case(seed);
    if (problem.sizes.batch == 0) continue;
    wrong += check(problem, "general");
  }
  INFO(wrong);
  CHECK(wrong.empty());
}

TEST_CASE("cuda gathered tiles on random problems") {
  VIZOO_NEED_GPU();
  Draw draw(31);
  std::string wrong;
  for (int i = 0; i < 60; ++i) {
    const auto problem = make_case(draw_tile_sizes(draw, false),
                                   i % 2 == 0 ? at::kHalf : at::kBFloat16,
                                   !draw.one_in(4),
                                   draw.seed(),
                                   draw.one_in(2) ? kPacked : std::array<Layout, 3>{});
    wrong += check(problem, "gathered_tile");
  }
  INFO(wrong);
  CHECK(wrong.empty());
}

TEST_CASE("cuda dense groups on random problems") {
  VIZOO_NEED_GPU();
  Draw draw(32);
  std::string wrong;
  for (int i = 0; i < 60; ++i) {
    const auto problem = make_case(draw_tile_sizes(draw, true),
                                   i % 2 == 0 ? at::kHalf : at::kBFloat16,
                                   !draw.one_in(4),
                                   draw.seed(),
                                   draw.one_in(2) ? kPacked : std::array<Layout, 3>{});
    if (problem.sizes.window() > 64) continue;
    wrong += check(problem, "dense_group");
  }
  INFO(wrong);
  CHECK(wrong.empty());
}

TEST_CASE("cuda the same numbers as on the CPU") {
  VIZOO_NEED_GPU();
  const KernelChoice choice("general");
  for (uint64_t seed = 301; seed <= 320; ++seed) {
    Na2dCase problem = draw_case(seed);
    if (problem.dtype != at::kDouble && problem.dtype != at::kFloat) continue;
    INFO(problem.description);
    const auto ours = to_cpu(run_ops(to_gpu(problem)));
    const auto cpu = run_ops(problem);
    const double tolerance = problem.dtype == at::kDouble ? 1e-9 : 1e-4;
    CHECK(at::allclose(ours.out, cpu.out, tolerance, tolerance));
    CHECK(at::allclose(ours.lse, cpu.lse, tolerance, tolerance));
    CHECK(at::allclose(ours.grad_key, cpu.grad_key, tolerance, tolerance));
  }
}

TEST_CASE("cuda unfused ops on random problems") {
  VIZOO_NEED_GPU();
  std::string wrong;
  const auto heads_first = [](const at::Tensor& x) { return x.permute({0, 3, 1, 2, 4}); };
  for (uint64_t seed = 401; seed <= 500; ++seed) {
    const Na2dCase c = to_gpu(draw_case(seed));
    const auto& s = c.sizes;
    if (s.batch == 0) continue;
    const auto shape = {s.batch, s.heads, s.height, s.width, s.window()};
    const auto attn = at::randn(shape, c.query.options()).softmax(-1);
    const auto grad_scores = at::randn(shape, c.query.options());
    const auto run = [&](at::ScalarType type,
                         const auto& qk,
                         const auto& qk_backward,
                         const auto& av,
                         const auto& av_backward) {
      const auto q = heads_first(c.query).to(type);
      const auto k = heads_first(c.key).to(type);
      const auto v = heads_first(c.value).to(type);
      const auto g = heads_first(c.grad_out).to(type);
      const auto rpb = c.rpb ? std::optional<at::Tensor>(c.rpb->to(type)) : std::nullopt;
      const auto [grad_query, grad_key, grad_rpb] =
          qk_backward(grad_scores.to(type), q, k, rpb, s.kernel_size, s.dilation);
      const auto [grad_attn, grad_value] =
          av_backward(g, attn.to(type), v, s.kernel_size, s.dilation);
      return std::vector<at::Tensor>{qk(q, k, rpb, s.kernel_size, s.dilation),
                                     grad_query,
                                     grad_key,
                                     grad_rpb,
                                     av(attn.to(type), v, s.kernel_size, s.dilation),
                                     grad_attn,
                                     grad_value};
    };
    namespace plain_ops = ops::composition;
    const auto plainly = [&](at::ScalarType type) {
      return run(type,
                 plain_ops::na2d_qk,
                 plain_ops::na2d_qk_backward,
                 plain_ops::na2d_av,
                 plain_ops::na2d_av_backward);
    };
    const auto ours =
        run(c.dtype, ops::na2d_qk, ops::na2d_qk_backward, ops::na2d_av, ops::na2d_av_backward);
    const auto expected = plainly(at::kDouble);
    const auto plain = plainly(c.dtype);
    const char* const names[] = {
        "scores", "grad_query", "grad_key", "grad_rpb", "out", "grad_attn", "grad_value"};
    for (size_t i = 0; i < expected.size(); ++i) {
      const auto line = difference_on_gpu(names[i], ours[i], expected[i], plain[i]);
      if (!line.empty()) wrong += c.description + line + "\n";
    }
  }
  INFO(wrong);
  CHECK(wrong.empty());
}

TEST_CASE("cuda ten runs are equal to the bit") {
  VIZOO_NEED_GPU();
  const auto sizes = na2d_sizes(16, 28, 28, 4, 32, {7, 7});
  const auto dense = na2d_sizes(16, 28, 28, 4, 32, {7, 7}, {4, 4});
  for (const char* kernel : {"general", "gathered_tile", "dense_group"}) {
    INFO(kernel);
    const KernelChoice choice(kernel);
    const bool is_dense = std::string(kernel) == "dense_group";
    const auto problem = to_gpu(make_case(is_dense ? dense : sizes, at::kHalf, true, 9));
    REQUIRE(kernel_of(problem) == kernel);
    const auto first = run_ops(problem);
    for (int i = 0; i < 9; ++i) CHECK(same_bits(first, run_ops(problem)));
    const auto out = ops::na2d(problem.query,
                               problem.key,
                               problem.value,
                               problem.rpb,
                               problem.sizes.kernel_size,
                               problem.sizes.dilation);
    CHECK(same_bits(first.out, out));  // without lse
  }
}

TEST_CASE("cuda the current stream is used") {
  VIZOO_NEED_GPU();
  const auto sizes = na2d_sizes(8, 28, 28, 4, 32, {7, 7}, {4, 4});
  for (const char* kernel : {"general", "gathered_tile", "dense_group"}) {
    INFO(kernel);
    const KernelChoice choice(kernel);
    const auto problem = to_gpu(make_case(sizes, at::kBFloat16, true, 11));
    const auto expected = run_ops(problem);
    Na2dCase late = problem;
    late.query = at::full_like(problem.query, 100.0);
    c10::cuda::device_synchronize();
    const c10::cuda::CUDAStreamGuard guard(c10::cuda::getStreamFromPool());
    // What is read only becomes right after this stream's work, which takes some milliseconds.
    auto busy = at::randn({4096, 4096}, at::TensorOptions(kGpu));
    for (int i = 0; i < 8; ++i) busy = busy.matmul(busy) * 1e-3;
    late.query.copy_(problem.query);
    const auto ours = run_ops(late);
    c10::cuda::device_synchronize();
    CHECK(same_bits(expected, ours));
  }
}
