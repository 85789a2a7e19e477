#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <string>

#include "test/support/catch.h"
#include "test/support/op_error.h"
#include "vizoo/ops/neighborhood_attention.h"

using at::Tensor;
using torch::autograd::grad;
using vizoo::ops::crop_like;
using vizoo::ops::pad_to_at_least;
using vizoo::test::op_error;

TEST_CASE("padding adds zeros at the bottom and at the right", "[window_padding]") {
  for (const auto dtype : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16}) {
    const auto x = at::rand({2, 3, 4, 5}).to(dtype);
    const auto padded = pad_to_at_least(x, {6, 7});
    REQUIRE(padded.sizes() == at::IntArrayRef{2, 6, 7, 5});
    CHECK(padded.scalar_type() == dtype);
    CHECK(at::equal(padded.narrow(1, 0, 3).narrow(2, 0, 4), x));
    CHECK(padded.narrow(1, 3, 3).eq(0).all().item<bool>());
    CHECK(padded.narrow(2, 4, 3).eq(0).all().item<bool>());
    CHECK(at::equal(crop_like(padded, x), x));
  }
  // One axis alone.
  const auto x = at::rand({2, 3, 4, 5});
  CHECK(pad_to_at_least(x, {5, 2}).sizes() == at::IntArrayRef{2, 5, 4, 5});
  CHECK(pad_to_at_least(x, {1, 6}).sizes() == at::IntArrayRef{2, 3, 6, 5});
  CHECK(at::equal(pad_to_at_least(x, {1, 6}).narrow(2, 0, 4), x));
  CHECK(pad_to_at_least(at::rand({0, 3, 4, 5}), {6, 7}).sizes() == at::IntArrayRef{0, 6, 7, 5});
}

TEST_CASE("what is large enough keeps its memory", "[window_padding]") {
  const auto x = at::rand({2, 3, 4, 5}).transpose(1, 2);
  for (const auto& size : std::vector<std::vector<int64_t>>{{4, 3}, {1, 1}, {0, 0}, {4, 0}}) {
    const auto same = pad_to_at_least(x, size);
    CHECK(same.data_ptr() == x.data_ptr());
    CHECK(same.sizes() == x.sizes());
    CHECK(same.strides() == x.strides());
  }
  CHECK(crop_like(x, x).data_ptr() == x.data_ptr());
  CHECK(crop_like(x, at::zeros({7, 4, 3})).sizes() == x.sizes());
}

TEST_CASE("cropping takes the top left", "[window_padding]") {
  const auto x = at::rand({2, 6, 7, 5});
  const auto expected = x.narrow(1, 0, 3).narrow(2, 0, 4);
  // Only the reference's height and width matter.
  CHECK(at::equal(crop_like(x, at::zeros({2, 3, 4, 5})), expected));
  CHECK(at::equal(crop_like(x, at::zeros({9, 3, 4})), expected));
  CHECK(at::equal(crop_like(x, at::zeros({2, 3, 4, 1, 8}, at::kHalf)), expected));
  CHECK(at::equal(crop_like(x, at::zeros({2, 6, 4, 5})), x.narrow(2, 0, 4)));
}

TEST_CASE("gradients of padding and cropping", "[window_padding]") {
  const auto x = at::rand({2, 3, 4, 5}, at::kDouble).requires_grad_();
  const auto weights = at::rand({2, 6, 7, 5}, at::kDouble);
  const auto by_padding = grad({(pad_to_at_least(x, {6, 7}) * weights).sum()}, {x})[0];
  CHECK(at::equal(by_padding, weights.narrow(1, 0, 3).narrow(2, 0, 4)));
  const auto same =
      grad({pad_to_at_least(x, {3, 4})}, {x}, {weights.narrow(1, 0, 3).narrow(2, 0, 4)});
  CHECK(at::equal(same[0], weights.narrow(1, 0, 3).narrow(2, 0, 4)));

  const auto large = weights.detach().clone().requires_grad_();
  const auto cotangent = at::rand({2, 3, 4, 5}, at::kDouble);
  const auto by_cropping = grad({crop_like(large, x)}, {large}, {cotangent})[0];
  const auto expected = at::zeros_like(weights);
  expected.narrow(1, 0, 3).narrow(2, 0, 4).copy_(cotangent);
  CHECK(at::equal(by_cropping, expected));
  // The reference is only looked at.
  CHECK_FALSE(crop_like(weights, x).requires_grad());
}

TEST_CASE("attention on a small image: pad, attend, crop", "[window_padding]") {
  const auto x = at::rand({1, 5, 9, 8}, at::kDouble);
  const auto padded = pad_to_at_least(x, {7, 7});
  REQUIRE(padded.sizes() == at::IntArrayRef{1, 7, 9, 8});
  const auto tokens = padded.unflatten(3, {2, 4});
  const auto out = vizoo::ops::na2d(tokens, tokens, tokens, std::nullopt, {7, 7}, {1, 1});
  const auto cropped = crop_like(out.flatten(3), x);
  REQUIRE(cropped.sizes() == x.sizes());
  // Padded tokens are attended to: in the first column of windows, column 0 to 6 and all rows.
  const auto keys = tokens.narrow(2, 0, 7).flatten(1, 2);                     // [1, 49, 2, 4]
  const auto query = tokens.select(1, 2).select(1, 1);                        // [1, 2, 4]
  const auto weights = (keys * query.unsqueeze(1) * 0.5).sum(-1).softmax(1);  // [1, 49, 2]
  const auto expected = (keys * weights.unsqueeze(-1)).sum(1).flatten(1);     // [1, 8]
  CHECK((cropped.select(1, 2).select(1, 1) - expected).abs().max().item<double>() < 1e-12);
}

TEST_CASE("what padding and cropping refuse", "[window_padding][error]") {
  const auto x = at::zeros({1, 2, 3, 4});
  CHECK(op_error([&] {
          pad_to_at_least(at::zeros({2, 3, 4}), {1, 1});
        }) ==
        "[pad_to_at_least] input: expected a tensor [B, H, W, C], got Float [2, 3, 4] on cpu.");
  CHECK(op_error([&] {
          pad_to_at_least(Tensor(), {1, 1});
        }) == "[pad_to_at_least] input: expected a tensor [B, H, W, C], got nothing.");
  CHECK(op_error([&] {
          pad_to_at_least(x, {-1, 1});
        }) == "[pad_to_at_least] size: expected integers of at least 0, got [-1, 1].");
  CHECK(op_error([&] {
          pad_to_at_least(x, {1, 1, 1});
        }) == "[pad_to_at_least] size: expected two integers, height and width, got [1, 1, 1].");
  CHECK(op_error([&] { pad_to_at_least(x, {1}); }) ==
        "[pad_to_at_least] size: expected two integers, height and width, got [1].");
  CHECK(op_error([&] {
          crop_like(at::zeros({2, 3, 4}), x);
        }) == "[crop_like] input: expected a tensor [B, H, W, C], got Float [2, 3, 4] on cpu.");
  CHECK(op_error([&] {
          crop_like(x, at::zeros({2, 2}));
        }) == "[crop_like] reference: expected a tensor [B, H, W, ...], got Float [2, 2] on cpu.");
  CHECK(op_error([&] { crop_like(x, Tensor()); }) ==
        "[crop_like] reference: expected a tensor [B, H, W, ...], got nothing.");
  CHECK(op_error([&] {
          crop_like(x, at::zeros({1, 3, 3, 4}));
        }) == "[crop_like] reference: expected a height and width of at most 2 x 3, got 3 x 3.");
  CHECK(op_error([&] {
          crop_like(x, at::zeros({1, 2, 4, 4}));
        }) == "[crop_like] reference: expected a height and width of at most 2 x 3, got 2 x 4.");
}
