#include "vizoo/nn/layers.h"

#include <torch/nn/init.h>

#include <cmath>
#include <optional>

#include "vizoo/core/error.h"
#include "vizoo/nn/initialization.h"

namespace vizoo::nn {
namespace {

// torch.nn.Linear and Conv2d: both draw weight, then bias, from U(-1/sqrt(fan_in), 1/sqrt(fan_in)).
void kaiming_uniform(torch::Tensor& weight, torch::Tensor& bias) {
  if (weight.numel() > 0) torch::nn::init::kaiming_uniform_(weight, std::sqrt(5.0));
  if (!bias.defined()) return;
  const auto fan_in = weight.numel() / std::max<int64_t>(weight.size(0), 1);
  const double bound = fan_in > 0 ? 1.0 / std::sqrt(static_cast<double>(fan_in)) : 0.0;
  torch::nn::init::uniform_(bias, -bound, bound);
}

// An absent one is registered as well, as in torch; it must not ask for a gradient.
torch::Tensor register_bias(torch::nn::Module& module, bool present, int64_t size) {
  return module.register_parameter(
      "bias", present ? empty_parameter({size}) : torch::Tensor(), /*requires_grad=*/present);
}

}  // namespace

LinearImpl::LinearImpl(int64_t in_features, int64_t out_features, bool with_bias) {
  weight = register_parameter("weight", empty_parameter({out_features, in_features}));
  bias = register_bias(*this, with_bias, out_features);
  if (!NoInitGuard::active()) reset_parameters();
}

void LinearImpl::reset_parameters() { kaiming_uniform(weight, bias); }

torch::Tensor LinearImpl::forward(const torch::Tensor& input) const {
  return at::linear(input, weight, bias);
}

EmbeddingImpl::EmbeddingImpl(int64_t count, int64_t size) {
  weight = register_parameter("weight", empty_parameter({count, size}));
  const torch::NoGradGuard no_grad;
  if (!NoInitGuard::active()) weight.normal_();
}

torch::Tensor EmbeddingImpl::forward(const torch::Tensor& index) const {
  return at::embedding(weight, index);
}

Conv2dImpl::Conv2dImpl(int64_t in_channels, int64_t out_channels, Conv2dOptions conv_options)
    : options(conv_options) {
  const int64_t k = options.kernel_size();
  weight = register_parameter(
      "weight", empty_parameter({out_channels, in_channels / options.groups(), k, k}));
  bias = register_bias(*this, options.bias(), out_channels);
  if (!NoInitGuard::active()) kaiming_uniform(weight, bias);
}

torch::Tensor Conv2dImpl::forward(const torch::Tensor& input) const {
  int64_t stride = options.stride();
  auto x = input;
  if (options.kernel_size() == 1 && options.padding() == 0 && stride > 1) {
    // The same convolution, of the pixels that it reads: oneDNN as of LibTorch 2.11 writes past its
    // buffers in the gradient of a strided 1x1 convolution.
    x = x.slice(2, 0, std::nullopt, stride).slice(3, 0, std::nullopt, stride);
    stride = 1;
  }
  return at::conv2d(x,
                    weight,
                    bias,
                    {stride, stride},
                    {options.padding(), options.padding()},
                    {1, 1},
                    options.groups());
}

LayerNormImpl::LayerNormImpl(int64_t size, double norm_eps) : eps(norm_eps) {
  weight = register_parameter("weight", torch::ones({size}));
  bias = register_parameter("bias", torch::zeros({size}));
}

torch::Tensor LayerNormImpl::forward(const torch::Tensor& input) const {
  return at::layer_norm(input, weight.sizes(), weight, bias, eps);
}

BatchNormImpl::BatchNormImpl(int64_t size) {
  weight = register_parameter("weight", torch::ones({size}));
  bias = register_parameter("bias", torch::zeros({size}));
  running_mean = register_buffer("running_mean", torch::zeros({size}));
  running_var = register_buffer("running_var", torch::ones({size}));
  num_batches_tracked = register_buffer("num_batches_tracked", torch::zeros({}, torch::kInt64));
}

torch::Tensor BatchNormImpl::forward(const torch::Tensor& input) {
  if (is_training()) {
    if (training_forward) return training_forward(*this, input);
    if (input.numel() == input.size(1)) {
      throw ShapeError("model",
                       "batch norm in training mode",
                       "more than one value for each channel",
                       "one",
                       "Use a larger batch");
    }
    num_batches_tracked.add_(1);
  }
  auto x = input;
  if (input.dim() == 4) {
    // On the CPU LibTorch 2.11's channels-last kernel sums with errors of 1e-5, the other one with
    // 4e-7: the fast one for inference only, which sums nothing.
    const bool learns = is_training() || at::GradMode::is_enabled();
    x = input.contiguous(learns ? at::MemoryFormat::Contiguous : at::MemoryFormat::ChannelsLast);
  }
  const auto y = at::batch_norm(x,
                                weight,
                                bias,
                                running_mean,
                                running_var,
                                is_training(),
                                kMomentum,
                                kEps,
                                at::globalContext().userEnabledCuDNN());
  // LibTorch 2.11's gradient on the CPU is wrong for one contiguous image whose gradient comes in
  // channels-last, as after flatten and transpose.
  if (y.requires_grad() && y.dim() == 4) {
    y.register_hook([](const torch::Tensor& gradient) { return gradient.contiguous(); });
  }
  return y;
}

}  // namespace vizoo::nn
