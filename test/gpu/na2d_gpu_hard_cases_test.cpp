// Neighborhood attention on CUDA at the sizes and values that break such kernels.
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>

#include "test/gpu/gpu.h"
#include "vizoo/ops/neighborhood_attention.h"

using vizoo::test::differences_on_gpu;
using vizoo::test::kernel_of;
using vizoo::test::KernelChoice;
using vizoo::test::kGpu;
using vizoo::test::Layout;
using vizoo::test::make_case;
using vizoo::test::na2d_sizes;
using vizoo::test::Na2dCase;
using vizoo::test::Na2dSizes;
using vizoo::test::Na2dTensors;
using vizoo::test::run_ops;
using vizoo::test::same_bits;
using vizoo::test::to_gpu;
namespace ops = vizoo::ops;

namespace {

/// Normally distributed values, made on the GPU.
Na2dCase make_large(const Na2dSizes& sizes, at::ScalarType dtype) {
  at::manual_seed(3);
  const auto options = at::TensorOptions(kGpu).dtype(dtype);
  const auto shape = {sizes.batch, sizes.height, sizes.width, sizes.heads, sizes.head_dim};
  Na2dCase problem;
  problem.sizes = sizes;
  problem.dtype = dtype;
  problem.query = at::randn(shape, options);
  problem.key = at::randn(shape, options);
  problem.value = at::randn(shape, options);
  problem.grad_out = at::randn(shape, options);
  problem.rpb =
      at::randn({sizes.heads, 2 * sizes.kernel_size[0] - 1, 2 * sizes.kernel_size[1] - 1}, options);
  problem.description = "batch " + std::to_string(sizes.batch) + ", " +
                        std::to_string(sizes.height) + "x" + std::to_string(sizes.width) + ", " +
                        std::to_string(sizes.heads) + " heads, " + at::toString(dtype);
  return problem;
}

/// "" or what is wrong with the kernel, or that another one ran the problem.
std::string check(const Na2dCase& problem, const char* kernel) {
  const KernelChoice choice(kernel);
  if (kernel_of(problem) != kernel) {
    return problem.description + ": ran by " + kernel_of(problem) + "\n";
  }
  const auto lines = differences_on_gpu(problem, run_ops(problem));
  return lines.empty() ? "" : std::string(kernel) + ": " + lines;
}

bool all_finite(const Na2dTensors& tensors) {
  for (const auto& tensor : {tensors.out,
                             tensors.lse,
                             tensors.grad_query,
                             tensors.grad_key,
                             tensors.grad_value,
                             tensors.grad_rpb}) {
    if (!tensor.isfinite().all().item<bool>()) return false;
  }
  return true;
}

size_t free_bytes() {
  size_t free = 0;
  size_t total = 0;
  cudaMemGetInfo(&free, &total);
  return free;
}

}  // namespace

TEST_CASE("cuda shapes of the models, all stages and dilations") {
  VIZOO_NEED_GPU();
  std::string wrong;
  for (const auto dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
    for (const auto& [size, heads, dilation] : std::vector<std::array<int64_t, 3>>{
             {56, 2, 1}, {56, 2, 8}, {28, 4, 1}, {28, 4, 4}, {14, 8, 1}, {14, 8, 2}, {7, 16, 1}}) {
      const auto problem =
          make_large(na2d_sizes(8, size, size, heads, 32, {7, 7}, {dilation, dilation}), dtype);
      wrong += check(problem, "general");
      if (dtype == at::kFloat) continue;
      wrong += check(problem, "gathered_tile");
      if (size == 7 * dilation) wrong += check(problem, "dense_group");
    }
  }
  INFO(wrong);
  CHECK(wrong.empty());
}

TEST_CASE("cuda groups of two lengths, longest inverse windows, detection, wide windows") {
  VIZOO_NEED_GPU();
  std::string wrong;
  const std::vector<Na2dSizes> list{na2d_sizes(4, 57, 59, 2, 32, {7, 7}, {8, 8}),
                                    na2d_sizes(4, 13, 13, 3, 32, {7, 7}),
                                    na2d_sizes(2, 21, 21, 3, 64, {11, 11}),
                                    na2d_sizes(1, 200, 320, 2, 32, {7, 7}),
                                    na2d_sizes(1, 200, 320, 2, 32, {7, 7}, {28, 28}),
                                    na2d_sizes(2, 96, 96, 2, 32, {7, 7}, {13, 13}),
                                    na2d_sizes(1, 96, 96, 2, 32, {11, 11}, {8, 8})};
  for (const auto& sizes : list) {
    const auto problem = make_large(sizes, at::kBFloat16);
    wrong += check(problem, "general");
    wrong += check(problem, "gathered_tile");
  }
  for (const auto& sizes : {na2d_sizes(1, 25, 25, 2, 32, {13, 13}),
                            na2d_sizes(1, 17, 48, 2, 40, {15, 23}),
                            na2d_sizes(1, 20, 20, 1, 256, {5, 3}, {1, 2})}) {
    wrong += check(make_large(sizes, at::kFloat), "general");
  }
  INFO(wrong);
  CHECK(wrong.empty());
}

TEST_CASE("cuda batch times heads above 65,535") {
  VIZOO_NEED_GPU();
  std::string wrong;
  wrong += check(make_large(na2d_sizes(4097, 7, 7, 16, 8, {3, 3}), at::kFloat), "general");
  const auto half = make_large(na2d_sizes(4097, 7, 7, 16, 32, {7, 7}), at::kHalf);
  // The composition of all this takes too much memory: every image is a problem of its own instead.
  for (const char* kernel : {"general", "gathered_tile", "dense_group"}) {
    INFO(kernel);
    const KernelChoice choice(kernel);
    REQUIRE(kernel_of(half) == kernel);
    const auto ours = run_ops(half);
    for (const int64_t image : {0, 4095, 4096}) {
      const auto alone = run_ops(vizoo::test::sample_of(half, image));
      CHECK(same_bits(alone.out, ours.out.narrow(0, image, 1)));
      CHECK(same_bits(alone.grad_query, ours.grad_query.narrow(0, image, 1)));
      CHECK(same_bits(alone.grad_key, ours.grad_key.narrow(0, image, 1)));
      CHECK(same_bits(alone.grad_value, ours.grad_value.narrow(0, image, 1)));
    }
  }
  INFO(wrong);
  CHECK(wrong.empty());
}

TEST_CASE("cuda more than 2^31 elements") {
  VIZOO_NEED_GPU();
  constexpr size_t kNeeded = size_t{60} << 30;
  if (free_bytes() < kNeeded) VIZOO_SKIP("needs 60 GB of GPU memory");
  const auto problem = make_large(na2d_sizes(544, 200, 320, 2, 32, {3, 3}), at::kBFloat16);
  REQUIRE(problem.query.numel() > int64_t{1} << 31);
  for (const char* kernel : {"general", "gathered_tile"}) {
    INFO(kernel);
    const KernelChoice choice(kernel);
    REQUIRE(kernel_of(problem) == kernel);
    const auto ours = run_ops(problem);
    for (const int64_t image : {0, 543}) {
      const auto alone = run_ops(vizoo::test::sample_of(problem, image));
      CHECK(same_bits(alone.out, ours.out.narrow(0, image, 1)));
      CHECK(same_bits(alone.grad_query, ours.grad_query.narrow(0, image, 1)));
      CHECK(same_bits(alone.grad_key, ours.grad_key.narrow(0, image, 1)));
      CHECK(same_bits(alone.grad_value, ours.grad_value.narrow(0, image, 1)));
    }
  }
}

TEST_CASE("cuda large scores and a dominant key give no NaN") {
  VIZOO_NEED_GPU();
  const auto sizes = na2d_sizes(2, 14, 14, 2, 32, {7, 7}, {2, 2});
  for (const char* kernel : {"general", "gathered_tile", "dense_group"}) {
    INFO(kernel);
    const KernelChoice choice(kernel);
    auto problem = make_large(sizes, at::kBFloat16);
    problem.query = problem.query * 100;
    problem.key = problem.key * 100;  // scores of about 1e4 times 1 to 3
    problem.value = at::ones_like(problem.value);
    REQUIRE(kernel_of(problem) == kernel);
    auto ours = run_ops(problem);
    CHECK(all_finite(ours));
    CHECK((ours.out - 1).abs().max().item<double>() < 0.01);  // weights sum to 1
    problem.key.zero_();
    ours = run_ops(problem);  // only the bias tells keys apart
    CHECK(all_finite(ours));
    // A bias of -inf takes a key out.
    problem.rpb->select(2, 0).fill_(-std::numeric_limits<double>::infinity());
    CHECK(run_ops(problem).out.isfinite().all().item<bool>());
  }
}

TEST_CASE("cuda the bias gradient of a large batch") {
  VIZOO_NEED_GPU();
  // Sums of 200,000 terms each, by the rule.
  const auto large = na2d_sizes(64, 56, 56, 2, 32, {7, 7});
  std::string wrong = check(make_large(large, at::kFloat), "general");
  wrong += check(make_large(large, at::kBFloat16), "general");
  wrong += check(make_large(large, at::kBFloat16), "gathered_tile");
  INFO(wrong);
  CHECK(wrong.empty());
  // Sums of 1.6 million: the same bits each time.
  const auto larger = make_large(na2d_sizes(512, 56, 56, 2, 32, {7, 7}), at::kBFloat16);
  for (const char* kernel : {"general", "gathered_tile"}) {
    INFO(kernel);
    const KernelChoice choice(kernel);
    const auto first = run_ops(larger).grad_rpb;
    CHECK(first.isfinite().all().item<bool>());
    for (int i = 0; i < 9; ++i) CHECK(same_bits(first, run_ops(larger).grad_rpb));
  }
}
