// Ops of image models on CUDA, against the same on the CPU in float64.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include "test/gpu/gpu.h"
#include "test/support/catch.h"
#include "vizoo/ops/image_ops.h"

using at::Tensor;
using torch::autograd::grad;

namespace {

constexpr double kTolerance = 2e-5;

double largest_difference(const Tensor& gpu, const Tensor& cpu) {
  return (gpu.cpu().to(at::kDouble) - cpu).abs().max().item<double>();
}

}  // namespace

TEST_CASE("cuda average pooling, with its gradient in both memory formats", "[gpu][image_ops]") {
  VIZOO_NEED_GPU();
  // LibTorch 2.11 alone returns a wrong gradient for a channels-last tensor here.
  for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    for (const int64_t kernel_size : {3, 5}) {
      const auto x = at::randn({2, 8, 14, 11}, at::kDouble).requires_grad_();
      const auto cotangent = at::randn({2, 8, 14, 11}, at::kDouble);
      const auto expected = vizoo::ops::average_pool2d(x, kernel_size);
      const auto expected_gradient = grad({expected}, {x}, {cotangent})[0];
      const auto copy =
          x.detach().to(vizoo::test::kGpu, at::kFloat).contiguous(format).requires_grad_();
      const auto y = vizoo::ops::average_pool2d(copy, kernel_size);
      const auto weights = cotangent.to(vizoo::test::kGpu, at::kFloat).contiguous(format);
      CHECK(largest_difference(y.detach(), expected.detach()) < kTolerance);
      CHECK(largest_difference(grad({y}, {copy}, {weights})[0], expected_gradient) < kTolerance);
    }
  }
}

TEST_CASE("cuda position embeddings and grid biases", "[gpu][image_ops]") {
  VIZOO_NEED_GPU();
  const auto table = at::randn({1, 1 + 36, 16});
  const auto image = at::zeros({1, 3, 30, 70});
  for (const bool offset : {true, false}) {
    const auto expected = vizoo::ops::interpolate_position_embeddings(table, image, 10, offset);
    const auto result = vizoo::ops::interpolate_position_embeddings(
        table.to(vizoo::test::kGpu), image.to(vizoo::test::kGpu), 10, offset);
    CHECK(largest_difference(result, expected.to(at::kDouble)) < kTolerance);
  }
  const auto biases = at::randn({3, 49});
  CHECK(at::equal(vizoo::ops::grid_distance_bias(biases.to(vizoo::test::kGpu), 7, 2).cpu(),
                  vizoo::ops::grid_distance_bias(biases, 7, 2)));
}
