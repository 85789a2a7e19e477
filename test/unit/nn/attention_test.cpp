#include "vizoo/nn/attention.h"

#include <limits>

#include "test/support/catch.h"
#include "test/support/largest_difference.h"

using vizoo::nn::attend;
using vizoo::nn::AttentionOptions;
using vizoo::test::largest_difference;

namespace {

struct Inputs {
  torch::Tensor query = torch::randn({2, 3, 5, 4}, torch::kDouble);
  torch::Tensor key = torch::randn({2, 3, 7, 4}, torch::kDouble);
  torch::Tensor value = torch::randn({2, 3, 7, 6}, torch::kDouble);
};

}  // namespace

TEST_CASE("fused and explicit attention agree", "[attention]") {
  const Inputs x;
  for (const auto& bias : {torch::Tensor(),
                           torch::randn({3, 5, 7}, torch::kDouble),
                           torch::randn({1, 7}, torch::kDouble)}) {
    const auto options = AttentionOptions().bias(bias);
    torch::Tensor map;
    const auto fused = attend(x.query, x.key, x.value, options, nullptr);
    const auto explicitly = attend(x.query, x.key, x.value, options, &map);
    CHECK(largest_difference(fused, explicitly) < 1e-14);
    CHECK(map.sizes() == at::IntArrayRef{2, 3, 5, 7});
    CHECK(largest_difference(map.sum(-1), torch::ones({2, 3, 5}, torch::kDouble)) < 1e-14);
    auto scores = x.query.matmul(x.key.transpose(-1, -2)) / 2.0;
    if (bias.defined()) scores = scores + bias;
    CHECK(largest_difference(map, scores.softmax(-1)) < 1e-14);
    CHECK(largest_difference(fused, map.matmul(x.value)) < 1e-14);
  }
}

TEST_CASE("a head mask scales the map of its head", "[attention]") {
  const Inputs x;
  const auto mask = torch::tensor({1.0, 0.0, 0.5}, torch::kDouble).view({1, 3, 1, 1});
  torch::Tensor map;
  const auto plain = attend(x.query, x.key, x.value, {}, nullptr);
  const auto masked = attend(x.query, x.key, x.value, AttentionOptions().head_mask(mask), &map);
  CHECK(largest_difference(masked, plain * mask) < 1e-14);
  CHECK(map.select(1, 1).count_nonzero().item<int64_t>() == 0);
}

TEST_CASE("dropout acts in training mode only, and is that of the map", "[attention]") {
  const Inputs x;
  const auto plain = attend(x.query, x.key, x.value, {}, nullptr);
  auto options = AttentionOptions().dropout(0.5);
  CHECK(torch::equal(attend(x.query, x.key, x.value, options, nullptr), plain));
  options.training(true);
  torch::Tensor map;
  torch::manual_seed(7);
  const auto dropped = attend(x.query, x.key, x.value, options, &map);
  CHECK(largest_difference(dropped, map.matmul(x.value)) < 1e-14);
  CHECK(map.eq(0).any().item<bool>());
  // Whether the map is asked for makes no difference to what is dropped.
  torch::manual_seed(7);
  CHECK(torch::equal(attend(x.query, x.key, x.value, options, nullptr), dropped));
}

TEST_CASE("the query may be scaled, and the map be that before dropout", "[attention]") {
  const Inputs x;
  torch::Tensor map;
  const auto plain = attend(x.query, x.key, x.value, {}, &map);
  torch::Tensor scaled_map;
  auto options = AttentionOptions().scale_query(true).dropout(0.5).map_before_dropout(true);
  CHECK(largest_difference(attend(x.query, x.key, x.value, options, &scaled_map), plain) < 1e-14);
  CHECK(largest_difference(scaled_map, map) < 1e-14);
  options.training(true);
  torch::manual_seed(7);
  const auto dropped = attend(x.query, x.key, x.value, options, &scaled_map);
  CHECK(largest_difference(scaled_map, map) < 1e-14);
  CHECK(largest_difference(dropped, plain) > 1e-3);
}

TEST_CASE("step by step a query whose keys are all masked attends evenly", "[attention]") {
  const auto query = torch::randn({1, 1, 3, 4});
  const auto key = torch::randn({1, 1, 5, 4}).requires_grad_();
  const auto value = torch::randn({1, 1, 5, 2}).requires_grad_();
  const auto bias = torch::full({3, 5}, std::numeric_limits<float>::lowest());
  torch::Tensor map;
  const auto out = attend(query, key, value, AttentionOptions().bias(bias), &map);
  CHECK(largest_difference(out, value.mean(2, /*keepdim=*/true).expand_as(out)) < 1e-6);
  out.sum().backward();
  CHECK(largest_difference(value.grad(), torch::full_like(value, 3.0 / 5)) < 1e-6);
  // Of one score: (its value's sum - the mean of all) / 5; of a key: that times query / sqrt(4).
  const auto sums = value.detach().sum(-1);  // [1, 1, 5]
  const auto scores = (sums - sums.mean(-1, /*keepdim=*/true)) / 5;
  const auto expected = scores.unsqueeze(-1) * query.sum(2, /*keepdim=*/true) / 2;
  CHECK(largest_difference(key.grad(), expected) < 1e-6);
}

TEST_CASE("heads are split and merged", "[attention]") {
  const auto x = torch::randn({2, 5, 12});
  const auto heads = vizoo::nn::split_heads(x, 3);
  CHECK(heads.sizes() == at::IntArrayRef{2, 3, 5, 4});
  CHECK(torch::equal(heads.select(1, 1), x.slice(2, 4, 8)));
  CHECK(torch::equal(vizoo::nn::merge_heads(heads), x));
}
