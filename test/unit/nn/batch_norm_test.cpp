#include <torch/autograd.h>

#include "test/support/catch.h"
#include "test/support/largest_difference.h"
#include "vizoo/core/error.h"
#include "vizoo/nn/layers.h"

using vizoo::nn::BatchNorm;
using vizoo::test::largest_difference;

namespace {

BatchNorm random_batch_norm(int64_t size) {
  BatchNorm norm(size);
  norm->to(torch::kDouble);
  const torch::NoGradGuard no_grad;
  norm->weight.normal_();
  norm->bias.normal_();
  norm->running_mean.normal_();
  norm->running_var.uniform_(0.5, 1.5);
  return norm;
}

// [C] for [B, C, H, W].
torch::Tensor per_channel(const torch::Tensor& x) { return x.view({1, -1, 1, 1}); }

}  // namespace

TEST_CASE("batch norm in evaluation mode uses the running statistics", "[layers]") {
  auto norm = random_batch_norm(3);
  norm->eval();
  const auto x = torch::randn({2, 3, 4, 5}, torch::kDouble);
  const auto scale = norm->weight / (norm->running_var + 1e-5).sqrt();
  const auto expected =
      (x - per_channel(norm->running_mean)) * per_channel(scale) + per_channel(norm->bias);
  CHECK(largest_difference(norm->forward(x), expected) < 1e-13);
  CHECK(norm->num_batches_tracked.item<int64_t>() == 0);
}

TEST_CASE("batch norm in training mode normalises the batch and tracks it", "[layers]") {
  auto norm = random_batch_norm(3);
  const auto mean_before = norm->running_mean.clone();
  const auto var_before = norm->running_var.clone();
  const auto x = torch::randn({6, 3}, torch::kDouble);
  const auto y = norm->forward(x);
  const auto var = x.var(0, /*unbiased=*/false);
  CHECK(largest_difference(y, (x - x.mean(0)) / (var + 1e-5).sqrt() * norm->weight + norm->bias) <
        1e-13);
  CHECK(largest_difference(norm->running_mean, 0.9 * mean_before + 0.1 * x.mean(0)) < 1e-14);
  CHECK(largest_difference(norm->running_var,
                           0.9 * var_before + 0.1 * x.var(0, /*unbiased=*/true)) < 1e-14);
  CHECK(norm->num_batches_tracked.item<int64_t>() == 1);
}

TEST_CASE("the gradient of batch norm is right whatever the layout around it", "[layers]") {
  // One image, and a gradient that comes in channels-last: LibTorch 2.11 alone is wrong there.
  for (const int64_t batch : {1, 2}) {
    for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
      auto norm = random_batch_norm(5);
      norm->eval();
      const auto x =
          torch::randn({batch, 5, 2, 3}, torch::kDouble).contiguous(format).requires_grad_();
      const auto cotangent = torch::randn({batch, 6, 5}, torch::kDouble);
      const auto tokens = norm->forward(x).flatten(2).transpose(1, 2);
      const auto gradients =
          torch::autograd::grad({tokens}, {x, norm->weight, norm->bias}, {cotangent});
      // [B, 6, 5] -> [B, 5, 2, 3]
      const auto by_pixel = cotangent.transpose(1, 2).unflatten(2, {2, 3});
      const auto inverse = 1 / (norm->running_var + 1e-5).sqrt();
      CHECK(largest_difference(gradients[0], by_pixel * per_channel(norm->weight * inverse)) <
            1e-12);
      const auto normalised = (x.detach() - per_channel(norm->running_mean)) * per_channel(inverse);
      CHECK(largest_difference(gradients[1], (by_pixel * normalised).sum({0, 2, 3})) < 1e-12);
      CHECK(largest_difference(gradients[2], by_pixel.sum({0, 2, 3})) < 1e-12);
    }
  }
}

TEST_CASE("batch norm refuses to learn from one value", "[layers]") {
  BatchNorm norm(4);
  CHECK_THROWS_WITH(norm->forward(torch::randn({1, 4})),
                    "[model] batch norm in training mode: expected more than one value for each "
                    "channel, got one. Use a larger batch.");
  CHECK(norm->num_batches_tracked.item<int64_t>() == 0);
  norm->eval();
  CHECK(norm->forward(torch::randn({1, 4})).sizes() == at::IntArrayRef{1, 4});
}
