#include "vizoo/training/ema.h"

#include <cmath>

#include "test/support/catch.h"
#include "test/support/error_message.h"
#include "test/support/small_convnext.h"
#include "vizoo/core/error.h"

using vizoo::ExponentialMovingAverage;
using vizoo::MovingAverageOptions;

namespace {

using vizoo::test::error_message;

// A module with a parameter of each kind and buffers of two kinds.
struct SmallModule : torch::nn::Module {
  SmallModule() {
    weight = register_parameter("weight", torch::rand({3, 2}));
    frozen = register_parameter("frozen", torch::rand({2}), /*requires_grad=*/false);
    half = register_parameter("half", torch::rand({2}).to(torch::kBFloat16));
    mean = register_buffer("mean", torch::rand({2}));
    count = register_buffer("count", torch::tensor(7, torch::kInt64));
  }
  torch::Tensor weight, frozen, half, mean, count;
};

torch::Tensor named(const vizoo::NamedTensors& state, const std::string& name) {
  for (const auto& [key, tensor] : state) {
    if (key == name) return tensor;
  }
  FAIL("no tensor " << name);
  return {};
}

void change(SmallModule& module) {
  const torch::NoGradGuard no_grad;
  module.weight.add_(torch::rand({3, 2}));
  module.half.add_(1);
  module.mean.add_(0.5);
  module.count.add_(1);
}

}  // namespace

TEST_CASE("averages follow the weights by their formula, buffers at once", "[training]") {
  torch::manual_seed(1);
  SmallModule module;
  ExponentialMovingAverage average(module, MovingAverageOptions().decay(0.75));
  auto expected = module.weight.detach().to(torch::kFloat64);
  for (int64_t step = 1; step <= 5; ++step) {
    change(module);
    average.update(module, step);
    expected = 0.75 * expected + 0.25 * module.weight.detach().to(torch::kFloat64);
    const auto state = average.state();
    CHECK(torch::allclose(named(state, "weight").to(torch::kFloat64), expected, 1e-6, 1e-7));
    CHECK(torch::equal(named(state, "mean"), module.mean));
    CHECK(torch::equal(named(state, "count"), module.count));
    CHECK(torch::equal(named(state, "frozen"), module.frozen));
  }
}

TEST_CASE("averages of half types are float32 and do not stand still", "[training]") {
  torch::manual_seed(2);
  SmallModule module;
  ExponentialMovingAverage average(module, MovingAverageOptions().decay(0.9999));
  const auto before = average.state()[2].second.clone();
  REQUIRE(before.scalar_type() == torch::kFloat32);
  change(module);
  average.update(module, 1);
  const auto moved = (named(average.state(), "half") - before).abs();
  CHECK(moved.min().item<double>() == Approx(1e-4).epsilon(0.01));
}

TEST_CASE("the decay warms up as ModelEmaV3's", "[training]") {
  const torch::nn::Module empty;
  const ExponentialMovingAverage constant(empty);
  CHECK(constant.decay(1) == 0.9999);
  CHECK(constant.decay(1000000) == 0.9999);
  const ExponentialMovingAverage warming(empty, MovingAverageOptions().warmup(true));
  CHECK(warming.decay(1) == 0.0);
  CHECK(warming.decay(8) == Approx(1 - std::pow(8.0, -2.0 / 3)));  // 0.75
  CHECK(warming.decay(31624) == Approx(0.999).epsilon(1e-5));
  CHECK(warming.decay(2000000) == 0.9999);
  const ExponentialMovingAverage slower(
      empty, MovingAverageOptions().warmup(true).warmup_gamma(10).warmup_power(1).decay(0.9));
  CHECK(slower.decay(11) == Approx(0.5));
  CHECK(slower.decay(1000) == 0.9);
}

TEST_CASE("the first average of a warm-up is the weights", "[training]") {
  torch::manual_seed(3);
  SmallModule module;
  ExponentialMovingAverage average(module, MovingAverageOptions().warmup(true));
  change(module);
  average.update(module, 1);
  CHECK(torch::equal(named(average.state(), "weight"), module.weight));
}

TEST_CASE("averages go into a model and its weights come back bit for bit", "[training]") {
  torch::manual_seed(4);
  SmallModule module;
  ExponentialMovingAverage average(module, MovingAverageOptions().decay(0.5));
  change(module);
  const auto weight = module.weight.detach().clone();
  const auto half = module.half.detach().clone();
  const auto count = module.count.clone();
  {
    const vizoo::AppliedAverage applied(average, module);
    CHECK(average.applied());
    CHECK(torch::equal(module.weight, named(average.state(), "weight")));
    CHECK(torch::equal(module.half, named(average.state(), "half").to(torch::kBFloat16)));
    CHECK(module.count.item<int64_t>() == 7);
    CHECK_FALSE(torch::equal(module.weight, weight));
    CHECK(
        error_message([&] { average.apply(module); }) ==
        "[moving average] apply: expected averages that are in no model, got two calls in a row.");
  }
  CHECK_FALSE(average.applied());
  CHECK(torch::equal(module.weight, weight));
  CHECK(torch::equal(module.half, half));
  CHECK(torch::equal(module.count, count));
  CHECK(module.weight.requires_grad());
  CHECK(error_message([&] { average.restore(module); }) ==
        "[moving average] restore: expected a call of apply before it, got none.");
}

TEST_CASE("a moving average goes on where its state was saved", "[training]") {
  torch::manual_seed(5);
  SmallModule module;
  ExponentialMovingAverage first(module, MovingAverageOptions().decay(0.8));
  change(module);
  first.update(module, 1);
  vizoo::NamedTensors saved;
  for (const auto& [name, tensor] : first.state()) saved.emplace_back(name, tensor.clone());

  ExponentialMovingAverage second(module, MovingAverageOptions().decay(0.8));
  second.load_state(saved);
  change(module);
  first.update(module, 2);
  second.update(module, 2);
  const auto expected = first.state();
  const auto resumed = second.state();
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(torch::equal(expected[i].second, resumed[i].second));
  }
}

TEST_CASE("a state of another model changes nothing and names every problem", "[training]") {
  torch::manual_seed(6);
  SmallModule module;
  ExponentialMovingAverage average(module);
  const auto before = named(average.state(), "weight").clone();
  const vizoo::NamedTensors wrong = {{"weight", torch::ones({3, 2})},
                                     {"frozen", torch::ones({3})},
                                     {"half", torch::ones({2}, torch::kInt64)},
                                     {"mean", torch::ones({2})},
                                     {"mean", torch::ones({2})},
                                     {"other", torch::ones({2})}};
  CHECK(error_message([&] { average.load_state(wrong); }) ==
        "[training] moving average: expected 5 tensors, those of the model in training, got "
        "missing: count; left over: other; there twice: mean; of another shape or kind: frozen "
        "(expected Float [2], got Float [3]), half (expected Float [2], got Long [2]). It belongs "
        "to another model or other settings.");
  CHECK(torch::equal(named(average.state(), "weight"), before));
}

TEST_CASE("an average of another model is refused", "[training]") {
  SmallModule module;
  ExponentialMovingAverage average(module);
  torch::nn::Module other;
  other.register_parameter("weight", torch::rand({2, 2}));
  CHECK(error_message([&] { average.update(other, 1); }) ==
        "[moving average] weight: expected Float [3, 2] on cpu, got Float [2, 2] on cpu.");
  const torch::nn::Module empty;
  CHECK(error_message([&] { average.update(empty, 1); }) ==
        "[moving average] model: expected 5 parameters and buffers, got 0.");
  CHECK(error_message([&] { average.update(module, 0); }) ==
        "[moving average] step: expected at least 1, got 0.");
  CHECK(error_message([&] {
          ExponentialMovingAverage(module, MovingAverageOptions().decay(1.1));
        }) == "[moving average] decay: expected 0 to 1, got 1.1.");
  CHECK(error_message([&] {
          ExponentialMovingAverage(module, MovingAverageOptions().warmup_gamma(0));
        }) == "[moving average] warmup_gamma: expected a number above 0, got 0.");
}

TEST_CASE("a model runs on its averages", "[training]") {
  vizoo::ConvNextForImageClassification model(vizoo::test::small_convnext_config());
  vizoo::test::randomize(model, 7);
  model->eval();
  const torch::NoGradGuard no_grad;
  const auto pixels = torch::rand({2, 3, 32, 32});
  const auto before = model->forward(pixels).logits;
  ExponentialMovingAverage average(*model, MovingAverageOptions().decay(0.5));
  for (auto& parameter : model->parameters()) parameter.mul_(1.5);
  {
    const vizoo::AppliedAverage applied(average, *model);
    CHECK(torch::equal(model->forward(pixels).logits, before));
  }
  CHECK_FALSE(torch::equal(model->forward(pixels).logits, before));
}
