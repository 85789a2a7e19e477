#include "vizoo/nn/activation.h"

#include <cmath>

namespace vizoo::nn {
namespace {

constexpr double kSqrtTwo = 1.4142135623730951;
constexpr double kSqrtTwoOverPi = 0.7978845608028654;

torch::Tensor gelu_tanh_form(const torch::Tensor& x) {
  return 0.5 * x * (1.0 + torch::tanh(kSqrtTwoOverPi * (x + 0.044715 * torch::pow(x, 3.0))));
}

}  // namespace

torch::Tensor activate(Activation activation, const torch::Tensor& x) {
  switch (activation) {
    case Activation::gelu:
      return at::gelu(x);
    case Activation::gelu_10:
      return torch::clip(at::gelu(x), -10, 10);
    case Activation::gelu_fast:
      return 0.5 * x * (1.0 + torch::tanh(x * 0.7978845608 * (1.0 + 0.044715 * x * x)));
    case Activation::gelu_new:
    case Activation::gelu_accurate:
      return gelu_tanh_form(x);
    case Activation::gelu_python:
      return x * 0.5 * (1.0 + torch::erf(x / kSqrtTwo));
    case Activation::gelu_pytorch_tanh:
      return at::gelu(x, "tanh");
    case Activation::laplace:
      return 0.5 * (1.0 + torch::erf((x - 0.707107).div(0.282095 * kSqrtTwo)));
    case Activation::leaky_relu:
      return at::leaky_relu(x, 0.01);
    case Activation::linear:
      return x;
    case Activation::mish:
      return at::mish(x);
    case Activation::quick_gelu:
      return x * torch::sigmoid(1.702 * x);
    case Activation::relu:
      return at::relu(x);
    case Activation::relu2:
      return torch::square(at::relu(x));
    case Activation::relu6:
      return at::hardtanh(x, 0, 6);
    case Activation::sigmoid:
      return torch::sigmoid(x);
    case Activation::silu:
      return at::silu(x);
    case Activation::tanh:
      return torch::tanh(x);
  }
  TORCH_CHECK(false, "[nn] activation: expected a known value, got ", static_cast<int>(activation));
}

torch::Tensor activate_temporary(Activation activation, torch::Tensor x) {
  if (x.requires_grad()) return activate(activation, x);
  switch (activation) {
    case Activation::gelu:
      return at::gelu_(x);
    case Activation::relu:
      return at::relu_(x);
    case Activation::quick_gelu:
      return (1.702 * x).sigmoid_().mul_(x);
    case Activation::silu:
      return at::silu_(x);
    default:
      return activate(activation, x);
  }
}

}  // namespace vizoo::nn
