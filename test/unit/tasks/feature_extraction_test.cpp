#include "vizoo/tasks/feature_extraction.h"

#include "test/support/catch.h"
#include "vizoo/core/error.h"
#include "vizoo/models/dinov2.h"
#include "vizoo/models/levit.h"
#include "vizoo/models/nat.h"
#include "vizoo/models/poolformer.h"

using vizoo::pooled_features;
using vizoo::principal_component_colors;

namespace {

// Patches that vary by 9 along one direction, by 3 along a second and by 1 along a third.
torch::Tensor known_map() {
  const auto basis = std::get<0>(torch::linalg_qr(torch::randn({6, 6}, torch::kDouble)));
  const auto amounts = torch::tensor({{9.0, 0.0, 0.0},
                                      {-9.0, 0.0, 0.0},
                                      {0.0, 3.0, 0.0},
                                      {0.0, -3.0, 0.0},
                                      {0.0, 0.0, 1.0},
                                      {0.0, 0.0, -1.0}},
                                     torch::kDouble);
  const auto features = amounts.matmul(basis.slice(0, 0, 3)) + torch::randn({6}, torch::kDouble);
  return features.transpose(0, 1).unflatten(1, {2, 3});  // [6, 2, 3]
}

}  // namespace

TEST_CASE("colours are the components by falling variance, from 0 to 1", "[features]") {
  torch::manual_seed(3);
  const auto colors = principal_component_colors({known_map()}).at(0).flatten(1);  // [3, 6]
  for (int64_t color = 0; color < 3; ++color) {
    for (int64_t patch = 0; patch < 6; ++patch) {
      const auto value = colors[color][patch].item<float>();
      if (patch / 2 == color) {
        CHECK((value < 1e-5F || value > 1 - 1e-5F));
      } else {
        CHECK(value == Approx(0.5F).margin(1e-5));
      }
    }
    CHECK(colors[color].max().item<float>() == 1.0F);
    CHECK(colors[color].min().item<float>() == 0.0F);
  }
}

TEST_CASE("the sign of a component does not depend on chance", "[features]") {
  // Along the first channel only, whose loading is then positive: larger values are redder.
  auto map = torch::zeros({4, 1, 3});
  map[0][0] = torch::tensor({-1.0, 0.0, 3.0});
  const auto colors = principal_component_colors({map}).at(0);
  CHECK(torch::equal(colors[0][0], torch::tensor({0.0F, 0.25F, 1.0F})));
  // The others do not vary.
  CHECK(torch::equal(colors.slice(0, 1), torch::full({2, 1, 3}, 0.5F)));
}

TEST_CASE("maps of several images share their colours", "[features]") {
  torch::manual_seed(5);
  const auto one = torch::randn({8, 3, 4});
  const auto other = torch::randn({8, 2, 2});
  const auto together = principal_component_colors({one, other});
  REQUIRE(together.size() == 2);
  CHECK(together[0].sizes() == at::IntArrayRef{3, 3, 4});
  CHECK(together[1].sizes() == at::IntArrayRef{3, 2, 2});
  const auto both = torch::cat({one.flatten(1), other.flatten(1)}, 1).unflatten(1, {16, 1});
  const auto expected = principal_component_colors({both}).at(0).flatten(1);
  CHECK(torch::allclose(torch::cat({together[0].flatten(1), together[1].flatten(1)}, 1), expected));
  CHECK(principal_component_colors({torch::randn({2, 3, 3})}).at(0)[2].eq(0.5).all().item<bool>());
}

TEST_CASE("principal components say what they cannot take", "[features]") {
  CHECK_THROWS_WITH(
      principal_component_colors({}),
      "[features] maps: expected feature maps [C, H, W] of one number of channels, got none.");
  CHECK_THROWS_WITH(
      principal_component_colors({torch::zeros({3, 2, 2}), torch::zeros({4, 2, 2})}),
      "[features] maps: expected feature maps [C, H, W] of one number of channels, got [4, 2, 2].");
}

TEST_CASE("every kind of model gives a vector and a map", "[features]") {
  const torch::NoGradGuard no_grad;
  const auto pixel_values = torch::randn({2, 3, 32, 48});

  vizoo::PoolFormerConfig pool;
  pool.hidden_sizes = {4, 6, 8, 10};
  pool.depths = {1, 1, 1, 1};
  vizoo::PoolFormerModel poolformer(pool);
  poolformer->eval();
  const auto pool_output = poolformer->forward(pixel_values);
  const auto pool_features = pooled_features(*poolformer, pool_output, pixel_values);
  CHECK(torch::equal(pool_features, pool_output.last_hidden_state.mean({-2, -1})));

  vizoo::Dinov2Config dino;
  dino.hidden_size = 12;
  dino.num_hidden_layers = 1;
  dino.num_attention_heads = 2;
  dino.image_size = int64_t{32};
  dino.patch_size = 8;
  vizoo::Dinov2Model dinov2(dino);
  dinov2->eval();
  const auto dino_output = dinov2->forward(pixel_values);
  const auto map = dinov2->feature_map(dino_output, pixel_values);
  REQUIRE(map.sizes() == at::IntArrayRef{2, 12, 4, 6});
  CHECK(torch::equal(map.select(2, 1).select(2, 2),
                     dino_output.last_hidden_state.select(1, 1 + 6 + 2)));
  CHECK(torch::equal(pooled_features(*dinov2, dino_output, pixel_values),
                     dino_output.last_hidden_state.select(1, 0)));

  vizoo::LevitConfig small;
  small.image_size = 64;
  small.hidden_sizes = {16, 24, 32};
  small.num_attention_heads = {1, 1, 1};
  small.depths = {1, 1, 1};
  vizoo::LevitModel levit(small);
  levit->eval();
  const auto squares = torch::randn({1, 3, 64, 64});
  const auto levit_output = levit->forward(squares);
  CHECK(levit->feature_map(levit_output, squares).sizes() == at::IntArrayRef{1, 32, 1, 1});

  vizoo::NatConfig neighborhood;
  neighborhood.embed_dim = 8;
  neighborhood.depths = {1, 1};
  neighborhood.num_heads = {1, 2};
  vizoo::NatModel nat(neighborhood);
  nat->eval();
  const auto nat_output = nat->forward(pixel_values);
  CHECK(torch::equal(nat->feature_map(nat_output, pixel_values).select(1, 3),
                     nat_output.last_hidden_state.select(3, 3)));
}
