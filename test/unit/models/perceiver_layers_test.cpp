// Attention within a budget of memory, and the layer around it.
#include "vizoo/models/perceiver/perceiver_layers.h"

#include <limits>

#include "test/support/catch.h"
#include "test/support/small_perceiver.h"

using namespace vizoo;
using vizoo::test::error_of;
using vizoo::test::largest_difference;
using vizoo::test::small_perceiver_config;

namespace {

struct Attended {
  torch::Tensor query;
  torch::Tensor key;
  torch::Tensor value;
};

Attended random_attended(int64_t value_channels) {
  torch::manual_seed(4);
  return {torch::randn({2, 3, 7, 4}),
          torch::randn({2, 3, 9, 4}),
          torch::randn({2, 3, 9, value_channels})};
}

// The last three keys of the first and all keys of the second are masked.
torch::Tensor mask_bias(at::ScalarType dtype = torch::kFloat) {
  auto mask = torch::ones({2, 1, 1, 9});
  mask[0].slice(-1, 6).zero_();
  mask[1].zero_();
  const double lowest = dtype == torch::kBFloat16
                            ? static_cast<double>(std::numeric_limits<c10::BFloat16>::lowest())
                            : static_cast<double>(std::numeric_limits<float>::lowest());
  return (1 - mask).to(dtype) * lowest;
}

torch::Tensor with_map(const Attended& x, const nn::AttentionOptions& options) {
  torch::Tensor map;
  return nn::attend(x.query, x.key, x.value, options, &map);
}

}  // namespace

TEST_CASE("attention within a budget gives what attention gives", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  const auto per_query = int64_t{2 * 3 * 9 * 4};
  torch::manual_seed(9);
  const auto bias = torch::randn({2, 1, 7, 9});
  const auto head_mask = torch::rand({3}).view({1, -1, 1, 1});
  for (const int64_t value_channels : {4, 6}) {
    const auto x = random_attended(value_channels);
    for (const auto& options : {nn::AttentionOptions(),
                                nn::AttentionOptions().bias(mask_bias()),
                                nn::AttentionOptions().bias(bias),
                                nn::AttentionOptions().head_mask(head_mask).bias(bias)}) {
      const auto expected = with_map(x, options);
      for (const auto budget : {int64_t{0}, per_query, 3 * per_query, int64_t{1} << 20U}) {
        CAPTURE(value_channels, budget);
        const auto y = perceiver_attend(x.query, x.key, x.value, options, nullptr, budget);
        CHECK(largest_difference(y, expected) < 1e-6);
      }
    }
  }
}

TEST_CASE("a query whose keys are all masked attends evenly, with its gradients", "[perceiver]") {
  const auto x = random_attended(4);
  const auto options = nn::AttentionOptions().bias(mask_bias());
  {
    const torch::NoGradGuard no_grad;
    const auto y = perceiver_attend(x.query, x.key, x.value, options, nullptr);
    const auto even = x.value[1].mean(1, /*keepdim=*/true).expand_as(y[1]);
    CHECK(largest_difference(y[1], even) < 1e-6);
  }
  const auto value = x.value.clone().requires_grad_();
  const auto y = perceiver_attend(x.query, x.key, value, options, nullptr);
  y.sum().backward();
  CHECK(largest_difference(value.grad()[1], torch::full_like(value[1], 7.0 / 9.0)) < 1e-6);
  CHECK(largest_difference(value.grad()[0].slice(1, 6), torch::zeros({3, 3, 4})) == 0.0);
}

TEST_CASE("a mask in a half type is rounded as step by step", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  auto x = random_attended(4);
  for (auto* tensor : {&x.query, &x.key, &x.value}) *tensor = tensor->to(torch::kBFloat16);
  const auto options = nn::AttentionOptions().bias(mask_bias(torch::kBFloat16));
  const auto expected = with_map(x, options);
  CHECK(torch::equal(perceiver_attend(x.query, x.key, x.value, options, nullptr), expected));
  CHECK(torch::equal(perceiver_attend(x.query, x.key, x.value, options, nullptr, 1), expected));
}

TEST_CASE("a layer has the channels that its options and the config say", "[perceiver]") {
  auto config = small_perceiver_config();
  PerceiverLayerOptions options;
  options.is_cross_attention = true;
  options.q_dim = 6;
  options.kv_dim = 10;
  options.num_heads = 2;
  const auto sizes = [&] {
    const PerceiverLayer layer(config, options);
    const auto& attention = layer->attention->self;
    return std::vector<int64_t>{attention->query->weight.size(0),
                                attention->value->weight.size(0),
                                layer->attention->output->dense->weight.size(0)};
  };
  CHECK(sizes() == std::vector<int64_t>{10, 10, 6});
  config.cross_attention_shape_for_attention = PerceiverCrossAttentionShape::q;
  CHECK(sizes() == std::vector<int64_t>{6, 6, 6});
  options.qk_channels = 4;
  CHECK(sizes() == std::vector<int64_t>{4, 4, 6});
  options.v_channels = 8;
  CHECK(sizes() == std::vector<int64_t>{4, 8, 6});
  options.num_heads = 3;
  CHECK(error_of(sizes) ==
        "[model] PerceiverLayer: expected a number of heads that divides qk_channels 4, got 3.");
}

TEST_CASE("a feed-forward in chunks gives the same", "[perceiver]") {
  const torch::NoGradGuard no_grad;
  auto config = small_perceiver_config();
  PerceiverLayerOptions options;
  options.q_dim = 6;
  options.kv_dim = 6;
  PerceiverLayer layer(config, options);
  layer->eval();
  const auto x = torch::randn({2, 9, 6});
  const auto whole = layer->forward(x, {}, nullptr);
  layer->chunk_size_feed_forward = 3;
  CHECK(largest_difference(layer->forward(x, {}, nullptr), whole) < 1e-6);
  layer->chunk_size_feed_forward = 4;
  CHECK(error_of([&] { layer->forward(x, {}, nullptr); }) ==
        "[model] PerceiverLayer: expected a number of positions that /chunk_size_feed_forward 4 "
        "divides, got 9.");
}
