#include "vizoo/training/optimizer.h"

#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include <cmath>
#include <limits>

#include "test/support/catch.h"
#include "test/support/error_message.h"
#include "vizoo/core/error.h"

using vizoo::make_optimizer;
using vizoo::OptimizerOptions;
using vizoo::OptimizerType;
using vizoo::ParameterGroup;

namespace {

using vizoo::test::error_message;

constexpr int64_t kSteps = 20;

std::vector<torch::Tensor> random_parameters(uint64_t seed, torch::ScalarType type) {
  torch::manual_seed(seed);
  std::vector<torch::Tensor> parameters;
  for (const auto& shape : std::vector<std::vector<int64_t>>{{3, 5}, {7}, {2, 3, 2, 2}, {}}) {
    parameters.push_back(torch::randn(shape, torch::kFloat64).to(type).requires_grad_());
  }
  return parameters;
}

std::vector<torch::Tensor> copies(const std::vector<torch::Tensor>& parameters) {
  std::vector<torch::Tensor> copied;
  for (const auto& parameter : parameters) {
    copied.push_back(parameter.detach().clone().requires_grad_());
  }
  return copied;
}

// The same gradient for both; every third step the second parameter has none.
void set_gradients(std::vector<torch::Tensor>& one,
                   std::vector<torch::Tensor>& other,
                   int64_t step) {
  for (std::size_t i = 0; i < one.size(); ++i) {
    const bool has = !(i == 1 && step % 3 == 0);
    const auto gradient = torch::randn_like(one[i]);
    one[i].mutable_grad() = has ? gradient.clone() : torch::Tensor();
    other[i].mutable_grad() = has ? gradient.clone() : torch::Tensor();
  }
}

// Two groups: the first two parameters decay, the others learn at half the rate.
std::vector<ParameterGroup> two_groups(const std::vector<torch::Tensor>& parameters) {
  return {{{"a", "b"}, {parameters[0], parameters[1]}, 1.0, 0.1},
          {{"c", "d"}, {parameters[2], parameters[3]}, 0.5, 0.0}};
}

double rate(int64_t step) { return 0.01 * static_cast<double>(step % 5 + 1); }

void check_close(const std::vector<torch::Tensor>& ours, const std::vector<torch::Tensor>& theirs) {
  for (std::size_t i = 0; i < ours.size(); ++i) {
    const auto scale = theirs[i].abs().max().item<double>() + 1e-12;
    CHECK((ours[i] - theirs[i]).abs().max().item<double>() / scale < 1e-13);
  }
}

vizoo::NamedTensors cloned(const vizoo::NamedTensors& state) {
  vizoo::NamedTensors copied;
  for (const auto& [name, tensor] : state) copied.emplace_back(name, tensor.clone());
  return copied;
}

}  // namespace

TEST_CASE("AdamW is LibTorch's own, group by group", "[training]") {
  auto ours = random_parameters(1, torch::kFloat64);
  auto theirs = copies(ours);
  const auto optimizer = make_optimizer(two_groups(ours), OptimizerOptions().beta2(0.95));
  using torch::optim::AdamW;
  using torch::optim::AdamWOptions;
  AdamW first({theirs[0], theirs[1]}, AdamWOptions().betas({0.9, 0.95}).weight_decay(0.1));
  AdamW second({theirs[2], theirs[3]}, AdamWOptions().betas({0.9, 0.95}).weight_decay(0.0));
  for (int64_t step = 0; step < kSteps; ++step) {
    set_gradients(ours, theirs, step);
    static_cast<AdamWOptions&>(first.param_groups()[0].options()).lr(rate(step));
    static_cast<AdamWOptions&>(second.param_groups()[0].options()).lr(0.5 * rate(step));
    optimizer->step(rate(step));
    first.step();
    second.step();
    check_close(ours, theirs);
  }
}

TEST_CASE("SGD is LibTorch's own, with and without momentum", "[training]") {
  for (const auto& options : {OptimizerOptions().momentum(0.0),
                              OptimizerOptions().momentum(0.9),
                              OptimizerOptions().momentum(0.8).nesterov(true)}) {
    auto ours = random_parameters(2, torch::kFloat64);
    auto theirs = copies(ours);
    const auto optimizer =
        make_optimizer(two_groups(ours), OptimizerOptions(options).type(OptimizerType::sgd));
    using torch::optim::SGD;
    using torch::optim::SGDOptions;
    const auto settings = [&](double decay) {
      return SGDOptions(0.1)
          .momentum(options.momentum())
          .nesterov(options.nesterov())
          .weight_decay(decay);
    };
    SGD first({theirs[0], theirs[1]}, settings(0.1));
    SGD second({theirs[2], theirs[3]}, settings(0.0));
    for (int64_t step = 0; step < kSteps; ++step) {
      set_gradients(ours, theirs, step);
      static_cast<SGDOptions&>(first.param_groups()[0].options()).lr(rate(step));
      static_cast<SGDOptions&>(second.param_groups()[0].options()).lr(0.5 * rate(step));
      optimizer->step(rate(step));
      first.step();
      second.step();
      check_close(ours, theirs);
    }
  }
}

TEST_CASE("one step of AdamW by hand", "[training]") {
  const auto parameter = torch::tensor({2.0}, torch::kFloat64).requires_grad_();
  const auto optimizer = make_optimizer({{{"w"}, {parameter}, 1.0, 0.5}});
  parameter.mutable_grad() = torch::tensor({4.0}, torch::kFloat64);
  optimizer->step(0.1);
  // 2 (1 - 0.1 0.5) - 0.1 4 / (4 + 1e-8)
  CHECK(parameter.item<double>() == Approx(1.9 - 0.1 * 4 / (4 + 1e-8)).epsilon(1e-14));
}

TEST_CASE("types are mixed, and gradients of other strides are read as they are", "[training]") {
  torch::manual_seed(3);
  const auto single = torch::rand({4, 3}).requires_grad_();
  const auto twin = single.detach().clone().requires_grad_();
  const auto half = torch::ones({3}, torch::kBFloat16).requires_grad_();
  const auto image =
      torch::rand({2, 3, 4, 4}).contiguous(torch::MemoryFormat::ChannelsLast).requires_grad_();
  const auto plain_image = image.detach().contiguous().requires_grad_();
  const auto optimizer = make_optimizer({{{"a", "h", "i"}, {single, half, image}, 1, 0.1}});
  const auto other = make_optimizer({{{"a", "i"}, {twin, plain_image}, 1, 0.1}});
  for (int64_t step = 0; step < 3; ++step) {
    const auto gradient = torch::rand({3, 4});
    single.mutable_grad() = gradient.t();
    twin.mutable_grad() = gradient.t().contiguous();
    half.mutable_grad() = torch::ones({3}, torch::kBFloat16);
    image.mutable_grad() = torch::rand({2, 3, 4, 4});
    plain_image.mutable_grad() = image.grad().clone();
    optimizer->step(0.1);
    other->step(0.1);
  }
  CHECK(torch::equal(single, twin));
  CHECK(torch::allclose(image, plain_image, 1e-6, 1e-7));
  CHECK(half.to(torch::kFloat32).max().item<double>() < 0.8);
}

TEST_CASE("an optimizer goes on where its state was saved", "[training]") {
  for (const auto type : {OptimizerType::adamw, OptimizerType::sgd}) {
    auto ours = random_parameters(4, torch::kFloat32);
    const auto first = make_optimizer(two_groups(ours), OptimizerOptions().type(type));
    auto unused = copies(ours);
    for (int64_t step = 0; step < 4; ++step) {
      set_gradients(ours, unused, step);
      first->step(0.01);
    }
    auto resumed = copies(ours);
    const auto second = make_optimizer(two_groups(resumed), OptimizerOptions().type(type));
    second->load_state(cloned(first->state()));
    for (int64_t step = 4; step < 8; ++step) {
      set_gradients(ours, resumed, step);
      first->step(0.01);
      second->step(0.01);
    }
    for (std::size_t i = 0; i < ours.size(); ++i) CHECK(torch::equal(ours[i], resumed[i]));
  }
}

TEST_CASE("the names of the state, and steps of parameters without gradient", "[training]") {
  auto parameters = random_parameters(5, torch::kFloat64);
  auto unused = copies(parameters);
  const auto optimizer = make_optimizer(two_groups(parameters));
  for (int64_t step = 0; step < 3; ++step) {
    set_gradients(parameters, unused, step);
    optimizer->step(0.01);
  }
  std::map<std::string, torch::Tensor> state;
  for (const auto& [name, tensor] : optimizer->state()) state[name] = tensor;
  CHECK(state.size() == 12);
  CHECK(state.at("exp_avg.a").sizes() == parameters[0].sizes());
  CHECK(state.at("exp_avg_sq.d").dim() == 0);
  CHECK(state.at("step.a").item<double>() == 3);
  CHECK(state.at("step.b").item<double>() == 2);
  CHECK(state.at("step.a").scalar_type() == torch::kFloat32);
  const auto sgd = OptimizerOptions().type(OptimizerType::sgd);
  CHECK(make_optimizer(two_groups(parameters), sgd)->state()[2].first == "momentum_buffer.c");
  CHECK(make_optimizer(two_groups(parameters), OptimizerOptions(sgd).momentum(0))->state().empty());
}

TEST_CASE("a state that does not fit changes nothing and names every problem", "[training]") {
  auto parameters = random_parameters(6, torch::kFloat64);
  const auto optimizer =
      make_optimizer(two_groups(parameters), OptimizerOptions().type(OptimizerType::sgd));
  const auto before = cloned(optimizer->state());
  const vizoo::NamedTensors wrong = {{"momentum_buffer.a", torch::ones({5, 3})},
                                     {"momentum_buffer.b", torch::ones({7})},
                                     {"exp_avg.c", torch::ones({2, 3, 2, 2})}};
  CHECK(error_message([&] { optimizer->load_state(wrong); }) ==
        "[training] optimizer state: expected 4 tensors, those of the model in training, got "
        "missing: momentum_buffer.c, momentum_buffer.d; left over: exp_avg.c; of another shape or "
        "kind: momentum_buffer.a (expected Double [3, 5], got Float [5, 3]). It belongs to another "
        "model or other settings.");
  const auto after = optimizer->state();
  for (std::size_t i = 0; i < after.size(); ++i) {
    CHECK(torch::equal(before[i].second, after[i].second));
  }
}

TEST_CASE("zero_grad drops gradients", "[training]") {
  auto parameters = random_parameters(7, torch::kFloat64);
  auto unused = copies(parameters);
  set_gradients(parameters, unused, 1);
  const auto optimizer = make_optimizer(two_groups(parameters));
  REQUIRE(optimizer->parameters().size() == 4);
  optimizer->zero_grad();
  for (const auto& parameter : parameters) CHECK_FALSE(parameter.grad().defined());
  const auto before = parameters[0].detach().clone();
  optimizer->step(0.1);
  CHECK(torch::equal(parameters[0], before));
}

TEST_CASE("clipping has the formula of clip_grad_norm_", "[training]") {
  const auto one = torch::zeros({2}, torch::kFloat64).requires_grad_();
  const auto other = torch::zeros({1}, torch::kFloat64).requires_grad_();
  const auto without = torch::zeros({1}, torch::kFloat64).requires_grad_();
  const auto set = [&] {
    one.mutable_grad() = torch::tensor({2.0, 3.0}, torch::kFloat64);
    other.mutable_grad() = torch::tensor({6.0}, torch::kFloat64);
  };
  set();
  CHECK(vizoo::clip_gradient_norm({one, other, without}, 0.7) == Approx(7.0).epsilon(1e-15));
  CHECK(one.grad()[1].item<double>() == Approx(3 * 0.7 / (7 + 1e-6)).epsilon(1e-14));
  CHECK(other.grad().item<double>() == Approx(6 * 0.7 / (7 + 1e-6)).epsilon(1e-14));
  set();
  CHECK(vizoo::clip_gradient_norm({one, other}, 7.1) == Approx(7.0));
  CHECK(other.grad().item<double>() == 6.0);
  CHECK(vizoo::clip_gradient_norm({one, other}, std::numeric_limits<double>::infinity()) ==
        Approx(7.0));
  CHECK(other.grad().item<double>() == 6.0);
  CHECK(vizoo::clip_gradient_norm({one, other}, 0.0) == Approx(7.0));
  CHECK(other.grad().item<double>() == 0.0);
  CHECK(vizoo::clip_gradient_norm({without}, 1.0) == 0.0);
  CHECK(vizoo::clip_gradient_norm({}, 1.0) == 0.0);

  const auto single = torch::zeros({1}).requires_grad_();
  set();
  single.mutable_grad() = torch::tensor({24.0F});
  CHECK(vizoo::clip_gradient_norm({one, single, other}, 100) == Approx(25.0));
}

TEST_CASE("gradients that are no numbers are found and left alone", "[training]") {
  const auto parameter = torch::zeros({2}).requires_grad_();
  CHECK(vizoo::gradients_are_finite({parameter}));
  CHECK(vizoo::gradients_are_finite({}));
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    parameter.mutable_grad() = torch::tensor({1.0F, bad});
    CHECK_FALSE(vizoo::gradients_are_finite({parameter}));
    CHECK_FALSE(std::isfinite(vizoo::clip_gradient_norm({parameter}, 0.5)));
    CHECK(parameter.grad()[0].item<float>() == 1.0F);
  }
  // The 2-norm of these overflows float32.
  parameter.mutable_grad() = torch::tensor({3e38F, -3e38F});
  CHECK(vizoo::gradients_are_finite({parameter}));
}

TEST_CASE("optimizers refuse what makes no sense", "[training]") {
  const auto parameter = torch::zeros({2}).requires_grad_();
  const auto group = [&](const torch::Tensor& tensor) {
    return std::vector<ParameterGroup>{{{"w"}, {tensor}, 1.0, 0.0}};
  };
  CHECK(error_message([&] { make_optimizer({}); }) ==
        "[optimizer] groups: expected at least one parameter, got none.");
  CHECK(error_message([&] {
          make_optimizer({{{"w", "v"}, {parameter, parameter}, 1.0, 0.0}});
        }) == "[optimizer] v: expected each parameter once, got another of its name or memory.");
  CHECK(error_message([&] {
          make_optimizer({{{"w"}, {}, 1.0, 0.0}});
        }) == "[optimizer] groups: expected a name for each parameter, got 1.");
  CHECK(error_message([&] { make_optimizer(group(torch::zeros({1}).expand({3}))); }) ==
        "[optimizer] w: expected a dense floating-point tensor, got Float [3].");
  CHECK(error_message([&] { make_optimizer(group(torch::zeros({3}, torch::kInt64))); }) ==
        "[optimizer] w: expected a dense floating-point tensor, got Long [3].");
  CHECK(error_message([&] { make_optimizer(group(parameter), OptimizerOptions().beta1(1)); }) ==
        "[optimizer] beta1: expected at least 0, below 1, got 1.");
  CHECK(error_message([&] { make_optimizer(group(parameter), OptimizerOptions().epsilon(NAN)); }) ==
        "[optimizer] epsilon: expected a number of at least 0, got nan.");
  CHECK(error_message([&] {
          make_optimizer(group(parameter), OptimizerOptions().momentum(0).nesterov(true));
        }) == "[optimizer] nesterov: expected a momentum above 0, got 0.");
  const auto optimizer = make_optimizer(group(parameter));
  CHECK(error_message([&] { optimizer->step(-1); }) ==
        "[optimizer] learning_rate: expected a number of at least 0, got -1.");
  CHECK(error_message([&] { optimizer->step(NAN); }) ==
        "[optimizer] learning_rate: expected a number of at least 0, got nan.");
  CHECK(error_message([&] { vizoo::clip_gradient_norm({parameter}, NAN); }) ==
        "[optimizer] max_norm: expected a number of at least 0, got nan.");
}
