#include "vizoo/nn/drop_path.h"

#include "test/support/catch.h"

using vizoo::nn::drop_path;
using vizoo::nn::drop_path_rates;

TEST_CASE("drop path does nothing and draws nothing unless it drops", "[nn]") {
  const auto x = torch::ones({3, 2, 2, 2});
  torch::manual_seed(1);
  CHECK(torch::equal(drop_path(x, 0.5, /*training=*/false), x));
  CHECK(torch::equal(drop_path(x, 0.0, /*training=*/true), x));
  const auto next = torch::rand({1});
  torch::manual_seed(1);
  CHECK(torch::equal(next, torch::rand({1})));
}

TEST_CASE("drop path scales what it keeps, one draw for each sample", "[nn]") {
  const auto x = torch::ones({64, 3, 2, 2});
  torch::manual_seed(7);
  const auto y = drop_path(x, 0.25, true);
  torch::manual_seed(7);
  const auto kept = (torch::rand({64, 1, 1, 1}) + 0.75).floor();
  CHECK(torch::equal(y, x.div(0.75) * kept));
  CHECK(kept.sum().item<double>() > 32);
  CHECK(kept.sum().item<double>() < 64);
}

TEST_CASE("rates are float32 numbers from 0 to the rate", "[nn]") {
  const auto rates = drop_path_rates(0.1, 4);
  REQUIRE(rates.size() == 4);
  CHECK(rates[0] == 0.0);
  CHECK(rates[3] == static_cast<double>(0.1F));
  CHECK(rates[1] == Approx(0.1 / 3));
  CHECK(drop_path_rates(0.1, 0).empty());
}
