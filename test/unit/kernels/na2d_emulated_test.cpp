// The CUDA kernels themselves, run on the CPU thread by thread (test/support/cuda_emulator.h),
// against the float64 oracle. What this cannot show: the few instructions of cuda_primitives.cuh
// and timing.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <stdexcept>

#include "test/support/catch.h"
#include "test/support/cuda_emulator.h"
#include "test/support/na2d_emulated.h"
#include "vizoo/ops/na2d_composition.h"

using vizoo::kernels::Na2dCudaKernel;
using vizoo::test::difference;
using vizoo::test::differences;
using vizoo::test::Draw;
using vizoo::test::emulate;
using vizoo::test::emulated_fits;
using vizoo::test::Layout;
using vizoo::test::make_case;
using vizoo::test::na2d_sizes;
using vizoo::test::Na2dCase;
using vizoo::test::run_emulated;
using vizoo::test::same_bits;
using vizoo::test::to_doubles;
namespace cuda = vizoo::kernels::cuda;
namespace composition = vizoo::ops::composition;

namespace {

/// The composition, on problems this small, spends its time waking threads.
struct OneThread {
  OneThread() { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before); }
  int before = at::get_num_threads();
};

constexpr std::array<Layout, 3> kPacked{Layout::packed, Layout::packed, Layout::packed};

/// "" or what is wrong: with the oracle, or with threads in the opposite order, which must give the
/// same bits.
std::string check(const Na2dCase& problem, Na2dCudaKernel kernel) {
  if (!emulated_fits(problem, kernel)) return problem.description + ": does not fit\n";
  const auto ours = run_emulated(problem, kernel, false);
  std::string lines = differences(problem, ours);
  if (!same_bits(ours, run_emulated(problem, kernel, true))) {
    lines += problem.description + ": the order of threads matters\n";
  }
  return lines;
}

/// A small problem: every length from K * d, so that groups of both lengths and all borders occur.
vizoo::test::Na2dSizes draw_small(Draw& draw, int64_t most_kernel, int64_t head_dim) {
  auto sizes = na2d_sizes(draw.between(1, 2), 0, 0, draw.between(1, 2), head_dim, {}, {});
  for (const size_t axis : {0, 1}) {
    sizes.kernel_size[axis] = 2 * draw.between(1, (most_kernel - 1) / 2) + 1;
    sizes.dilation[axis] = draw.one_in(2) ? 1 : draw.between(2, 3);
    const int64_t least = sizes.kernel_size[axis] * sizes.dilation[axis];
    (axis == 0 ? sizes.height : sizes.width) = least + draw.between(0, most_kernel - 2);
  }
  return sizes;
}

}  // namespace

TEST_CASE("the emulator runs barriers, shuffles and late copies") {
  std::vector<int> result(128, -1);
  const std::vector<float> source(64, 3.0F);
  emulate(2, 64, 64 * 4, [&] {
    const int thread = cuda::thread_index();
    auto* const shared = reinterpret_cast<float*>(cuda::shared_memory());
    if (thread % 4 == 0) cuda::copy_async(shared + thread, &source[static_cast<size_t>(thread)]);
    cuda::copy_async_commit();
    // Nothing has arrived before the wait.
    const bool early = thread % 4 != 0 || std::isnan(shared[thread]);
    cuda::copy_async_wait<0>();
    cuda::sync_threads();
    const float other = shared[63 - thread];
    const int lane = cuda::shuffle_xor(0xffffffffU, thread, 5);
    const bool right = early && other == 3.0F && lane == (thread ^ 5);
    result[static_cast<size_t>(cuda::block_index() * 64 + thread)] = right ? 1 : 0;
  });
  CHECK(std::all_of(result.begin(), result.end(), [](int right) { return right == 1; }));

  const auto without_all = [] {
    if (cuda::thread_index() != 3) cuda::sync_threads();
  };
  CHECK_THROWS_AS(emulate(1, 32, 0, without_all), std::runtime_error);
  const auto apart = [] {
    cuda::thread_index() < 16 ? cuda::sync_warp()
                              : static_cast<void>(cuda::shuffle_xor(0xffffffffU, 1, 1));
  };
  CHECK_THROWS_AS(emulate(1, 32, 0, apart), std::runtime_error);
}

TEST_CASE("general kernels on random problems, types and layouts") {
  const OneThread one_thread;
  Draw draw(20261121);
  std::string wrong;
  for (const auto dtype : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16}) {
    for (const int64_t head_dim : {1, 5, 32, 40, 72, 256}) {
      auto sizes = draw_small(draw, head_dim > 32 ? 3 : 5, head_dim);
      if (head_dim > 5) sizes.batch = sizes.heads = 1;
      std::array<Layout, 3> layouts{};
      for (Layout& layout : layouts) {
        do {
          layout = static_cast<Layout>(draw.between(0, vizoo::test::kLayoutCount - 1));
        } while (layout == Layout::packed);
      }
      if (draw.one_in(3)) layouts = kPacked;
      const bool with_rpb = !draw.one_in(4);
      wrong +=
          check(make_case(sizes, dtype, with_rpb, draw.seed(), layouts), Na2dCudaKernel::general);
    }
  }
  INFO(wrong);
  CHECK(wrong.empty());
}

TEST_CASE("unfused kernels on random problems") {
  const OneThread one_thread;
  Draw draw(20261122);
  std::string wrong;
  const auto heads_first = [](const at::Tensor& x) { return x.permute({0, 3, 1, 2, 4}); };
  for (const auto dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    for (const int64_t head_dim : {3, 32, 64, 100}) {
      const auto sizes = draw_small(draw, 5, head_dim);
      const auto c = make_case(sizes, dtype, !draw.one_in(3), draw.seed());
      const auto shape = {sizes.batch, sizes.heads, sizes.height, sizes.width, sizes.window()};
      const auto attn = at::randn(shape, at::kDouble).softmax(-1).to(dtype);
      const auto grad_scores = at::randn(shape, at::kDouble).to(dtype);
      const auto ours = vizoo::test::run_emulated_unfused(c, attn, grad_scores, draw.one_in(2));
      // The composition in the same type and, as what is expected, in float64.
      const auto plain = [&](at::ScalarType type) {
        const auto q = heads_first(c.query).to(type);
        const auto k = heads_first(c.key).to(type);
        const auto v = heads_first(c.value).to(type);
        const auto g = heads_first(c.grad_out).to(type);
        const auto rpb = c.rpb ? std::optional<at::Tensor>(c.rpb->to(type)) : std::nullopt;
        const auto& window = sizes.kernel_size;
        const auto [grad_query, grad_key, grad_rpb] =
            composition::na2d_qk_backward(grad_scores.to(type), q, k, rpb, window, sizes.dilation);
        const auto [grad_attn, grad_value] =
            composition::na2d_av_backward(g, attn.to(type), v, window, sizes.dilation);
        const auto last = [](const at::Tensor& x) { return x.permute({0, 2, 3, 1, 4}); };
        return std::vector<at::Tensor>{
            composition::na2d_qk(q, k, rpb, window, sizes.dilation),
            last(grad_query),
            last(grad_key),
            grad_rpb,
            last(composition::na2d_av(attn.to(type), v, window, sizes.dilation)),
            grad_attn,
            last(grad_value)};
      };
      const auto expected = plain(at::kDouble);
      const char* const names[] = {
          "scores", "grad_query", "grad_key", "grad_rpb", "out", "grad_attn", "grad_value"};
      for (size_t i = 0; i < expected.size(); ++i) {
        if (i == 3 && !c.rpb) continue;
        const auto line =
            difference(names[i], ours[i], to_doubles(expected[i]), [&] { return plain(dtype)[i]; });
        if (!line.empty()) wrong += c.description + line + "\n";
      }
    }
  }
  INFO(wrong);
  CHECK(wrong.empty());
}

TEST_CASE("tensor core kernels on random problems") {
  const OneThread one_thread;
  Draw draw(1);
  std::string wrong;
  for (int i = 0; i < 12; ++i) {
    const auto dtype = i % 2 == 0 ? at::kHalf : at::kBFloat16;
    const auto sizes = draw_small(draw, i % 4 == 3 ? 11 : 7, i % 5 == 4 ? 64 : 32);
    const auto c = make_case(sizes,
                             dtype,
                             !draw.one_in(4),
                             draw.seed(),
                             draw.one_in(2) ? kPacked : std::array<Layout, 3>{});
    wrong += check(c, Na2dCudaKernel::gathered_tile);
  }
  INFO(wrong);
  CHECK(wrong.empty());
}

TEST_CASE("tensor core kernels on the hard shapes") {
  const OneThread one_thread;
  std::string wrong;
  const auto run = [&](const vizoo::test::Na2dSizes& sizes, Na2dCudaKernel kernel) {
    wrong += check(make_case(sizes, at::kBFloat16, true, 7), kernel);
  };
  // Groups of 7 and of 8 tokens on both axes; L = K; L = 2K - 1, the longest inverse window.
  run(na2d_sizes(1, 15, 17, 1, 32, {7, 7}, {2, 2}), Na2dCudaKernel::gathered_tile);
  run(na2d_sizes(2, 7, 7, 1, 32, {7, 7}), Na2dCudaKernel::gathered_tile);
  run(na2d_sizes(1, 13, 13, 1, 32, {7, 7}), Na2dCudaKernel::gathered_tile);
  run(na2d_sizes(1, 21, 21, 1, 32, {11, 11}), Na2dCudaKernel::gathered_tile);
  // Several tiles on both axes, interior ones among them.
  run(na2d_sizes(1, 29, 41, 1, 32, {3, 7}), Na2dCudaKernel::gathered_tile);
  run(na2d_sizes(1, 11, 17, 1, 64, {5, 3}, {1, 2}), Na2dCudaKernel::gathered_tile);
  run(na2d_sizes(1, 9, 29, 1, 32, {3, 9}), Na2dCudaKernel::gathered_tile);
  INFO(wrong);
  CHECK(wrong.empty());
}

TEST_CASE("dense groups on random problems") {
  const OneThread one_thread;
  Draw draw(20261124);
  std::string wrong;
  for (int i = 0; i < 12; ++i) {
    auto sizes = draw_small(draw, 7, i % 3 == 2 ? 64 : 32);
    if (i < 2) sizes.kernel_size = {7, 7};
    sizes.height = sizes.kernel_size[0] * sizes.dilation[0];
    sizes.width = sizes.kernel_size[1] * sizes.dilation[1];
    const auto c = make_case(sizes,
                             i % 2 == 0 ? at::kHalf : at::kBFloat16,
                             !draw.one_in(4),
                             draw.seed(),
                             draw.one_in(2) ? kPacked : std::array<Layout, 3>{});
    wrong += check(c, Na2dCudaKernel::dense_group);
  }
  INFO(wrong);
  CHECK(wrong.empty());
}
