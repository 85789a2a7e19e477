#include "vizoo/nn/activation.h"

#include <cmath>

#include "test/support/catch.h"

using vizoo::Activation;

// Each formula once more, in scalar double arithmetic.
double expected(Activation activation, double x) {
  const double tanh_form =
      0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  const double gelu = 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
  const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
  switch (activation) {
    case Activation::gelu:
    case Activation::gelu_python:
      return gelu;
    case Activation::gelu_10:
      return std::min(std::max(gelu, -10.0), 10.0);
    case Activation::gelu_fast:
      return 0.5 * x * (1 + std::tanh(x * 0.7978845608 * (1 + 0.044715 * x * x)));
    case Activation::gelu_new:
    case Activation::gelu_accurate:
    case Activation::gelu_pytorch_tanh:
      return tanh_form;
    case Activation::laplace:
      return 0.5 * (1 + std::erf((x - 0.707107) / (0.282095 * std::sqrt(2.0))));
    case Activation::leaky_relu:
      return x > 0 ? x : 0.01 * x;
    case Activation::linear:
      return x;
    case Activation::mish:
      return x * std::tanh(std::log1p(std::exp(x)));
    case Activation::quick_gelu:
      return x * sigmoid(1.702 * x);
    case Activation::relu:
      return std::max(x, 0.0);
    case Activation::relu2:
      return x > 0 ? x * x : 0.0;
    case Activation::relu6:
      return std::min(std::max(x, 0.0), 6.0);
    case Activation::sigmoid:
      return sigmoid(x);
    case Activation::silu:
      return x * sigmoid(x);
    case Activation::tanh:
      return std::tanh(x);
  }
  return std::nan("");
}

TEST_CASE("every activation computes its formula", "[nn]") {
  const auto x = torch::tensor({-20.0, -3.0, -0.7, 0.0, 0.4, 0.9, 5.0, 7.0, 12.0}, torch::kFloat64);
  for (const auto& [activation, name] : vizoo::EnumNames<Activation>::table) {
    CAPTURE(name);
    const auto y = vizoo::nn::activate(activation, x);
    REQUIRE(y.sizes() == x.sizes());
    CHECK(torch::equal(vizoo::nn::activate_temporary(activation, x.clone()), y));
    const auto leaf = x.clone().requires_grad_();
    CHECK(torch::equal(vizoo::nn::activate_temporary(activation, leaf), y));
    CHECK(torch::equal(leaf, x));
    for (int64_t i = 0; i < x.numel(); ++i) {
      // Two orders of the same float64 arithmetic: some thousand units in the last place.
      CHECK(y[i].item<double>() ==
            Approx(expected(activation, x[i].item<double>())).margin(1e-12).epsilon(1e-12));
    }
  }
}
