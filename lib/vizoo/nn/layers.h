#pragma once

#include <cstdint>
#include <functional>

#include "vizoo/nn/torch.h"

namespace vizoo::nn {

/// y = x W^T + b over the last dimension. x: [..., in_features]; y: [..., out_features].
/// Parameters `weight` [out_features, in_features] and `bias` [out_features] (optional), as in
/// torch.nn.Linear, initialised as there (Kaiming uniform, same random stream).
class LinearImpl : public torch::nn::Module {
 public:
  LinearImpl(int64_t in_features, int64_t out_features, bool with_bias = true);
  /// Fresh values, as the constructor gives them.
  void reset_parameters();
  torch::Tensor forward(const torch::Tensor& input) const;

  torch::Tensor weight;
  torch::Tensor bias;  ///< undefined without bias
};
TORCH_MODULE(Linear);

/// Rows of a table by their index: index [...], integer; y: [..., size]. Parameter `weight` [count,
/// size], initialised from N(0, 1), as in torch.nn.Embedding.
class EmbeddingImpl : public torch::nn::Module {
 public:
  EmbeddingImpl(int64_t count, int64_t size);
  torch::Tensor forward(const torch::Tensor& index) const;

  torch::Tensor weight;
};
TORCH_MODULE(Embedding);

/// What torch.nn.Conv2d takes beside the channel counts; square kernels only.
struct Conv2dOptions {
  TORCH_ARG(int64_t, kernel_size) = 1;
  TORCH_ARG(int64_t, stride) = 1;
  TORCH_ARG(int64_t, padding) = 0;
  TORCH_ARG(int64_t, groups) = 1;
  TORCH_ARG(bool, bias) = true;
};

/// Two-dimensional convolution with zero padding. x: [B, in_channels, H, W]; y: [B, out_channels,
/// H', W'] in x's memory format. Parameters `weight` [out, in / groups, k, k] and `bias` [out], as
/// in torch.nn.Conv2d, initialised as there.
class Conv2dImpl : public torch::nn::Module {
 public:
  Conv2dImpl(int64_t in_channels, int64_t out_channels, Conv2dOptions options);
  torch::Tensor forward(const torch::Tensor& input) const;

  Conv2dOptions options;
  torch::Tensor weight;
  torch::Tensor bias;  ///< undefined without bias
};
TORCH_MODULE(Conv2d);

/// y = (x - mean) / sqrt(var + eps) * weight + bias over the last dimension, biased variance.
/// x, y: [..., size]. Parameters `weight` (ones) and `bias` (zeros) [size], as in
/// torch.nn.LayerNorm.
class LayerNormImpl : public torch::nn::Module {
 public:
  explicit LayerNormImpl(int64_t size, double eps = 1e-5);
  torch::Tensor forward(const torch::Tensor& input) const;

  double eps;
  torch::Tensor weight;
  torch::Tensor bias;
};
TORCH_MODULE(LayerNorm);

/// y = (x - mean) / sqrt(var + eps) * weight + bias for each channel, as torch.nn.BatchNorm1d and
/// BatchNorm2d with eps 1e-5. x, y: [N, C] or [N, C, ...]. In training mode mean and (biased) var
/// are those of the batch, and running_mean, running_var (unbiased) move towards them by a tenth;
/// otherwise they are running_mean and running_var. Parameters `weight` (ones) and `bias` (zeros),
/// buffers `running_mean` (zeros), `running_var` (ones), all [C], and `num_batches_tracked`, int64.
class BatchNormImpl : public torch::nn::Module {
 public:
  static constexpr double kMomentum = 0.1;
  static constexpr double kEps = 1e-5;

  explicit BatchNormImpl(int64_t size);
  /// Throws ShapeError in training mode for one value per channel, which has no variance.
  torch::Tensor forward(const torch::Tensor& input);

  torch::Tensor weight;
  torch::Tensor bias;
  torch::Tensor running_mean;
  torch::Tensor running_var;
  torch::Tensor num_batches_tracked;

  /// If set, what forward does in training mode: statistics of more than the input, as with many
  /// processes (training/batch_norm.h). No part of the module's state.
  std::function<torch::Tensor(BatchNormImpl& self, const torch::Tensor& input)> training_forward;
};
TORCH_MODULE(BatchNorm);

}  // namespace vizoo::nn
