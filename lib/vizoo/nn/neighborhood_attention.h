#pragma once

// The blocks of NAT (https://arxiv.org/abs/2204.07143) and DiNAT
// (https://arxiv.org/abs/2209.15001), which differ in the dilations only. Names and numbers follow
// modeling_nat.py and modeling_dinat.py of Transformers 4.37.2. Activations are [B, H, W, C]
// throughout.

#include <cstdint>
#include <vector>

#include "vizoo/nn/initialization.h"
#include "vizoo/nn/layers.h"
#include "vizoo/nn/neighborhood_config.h"

namespace vizoo::nn {

/// Attention of each token to a kernel_size x kernel_size window around it, every dilation-th token
/// along each axis, with a learned bias for each relative position.
class NeighborhoodAttentionImpl : public torch::nn::Module, public SelfInitializing {
 public:
  NeighborhoodAttentionImpl(const NeighborhoodConfig& config,
                            int64_t width,
                            int64_t heads,
                            int64_t dilation);
  /// hidden_states: [B, H, W, C] with H and W of at least kernel_size * dilation; returns the same
  /// shape. Unless `attention` is null it becomes the probabilities [B, heads, H, W,
  /// kernel_size^2], after dropout.
  torch::Tensor forward(const torch::Tensor& hidden_states, torch::Tensor* attention) const;

  /// The bias starts at zero.
  void initialize_own_parameters() override;

  int64_t num_attention_heads;
  int64_t attention_head_size;
  int64_t kernel_size;
  int64_t dilation;
  double dropout;
  torch::Tensor rpb;  ///< [heads, 2 kernel_size - 1, 2 kernel_size - 1]
  Linear query{nullptr};
  Linear key{nullptr};
  Linear value{nullptr};
};
TORCH_MODULE(NeighborhoodAttention);

/// Linear layer `dense`, then dropout.
class DenseDropoutImpl : public torch::nn::Module {
 public:
  DenseDropoutImpl(int64_t in_features, int64_t out_features, double dropout);
  torch::Tensor forward(const torch::Tensor& input) const;

  Linear dense{nullptr};
  double dropout;
};
TORCH_MODULE(DenseDropout);

/// Linear layer `dense`, then the activation.
class DenseActivationImpl : public torch::nn::Module {
 public:
  DenseActivationImpl(int64_t in_features, int64_t out_features, Activation activation);
  torch::Tensor forward(const torch::Tensor& input) const;

  Linear dense{nullptr};
  Activation activation;
};
TORCH_MODULE(DenseActivation);

/// Attention and its output projection.
class NeighborhoodAttentionModuleImpl : public torch::nn::Module {
 public:
  NeighborhoodAttentionModuleImpl(const NeighborhoodConfig& config,
                                  int64_t width,
                                  int64_t heads,
                                  int64_t dilation);
  /// As NeighborhoodAttention.
  torch::Tensor forward(const torch::Tensor& hidden_states, torch::Tensor* attention) const;

  NeighborhoodAttention self{nullptr};
  DenseDropout output{nullptr};
};
TORCH_MODULE(NeighborhoodAttentionModule);

/// One layer: x + drop_path(scale * attention(norm(x))), then the same with an MLP.
class NeighborhoodLayerImpl : public torch::nn::Module {
 public:
  NeighborhoodLayerImpl(const NeighborhoodConfig& config,
                        int64_t width,
                        int64_t heads,
                        int64_t dilation,
                        double drop_path_rate);
  /// hidden_states: [B, H, W, C] of any size; returns the same shape. A grid below the window is
  /// padded at the bottom and at the right with zeros that come after the norm and take part in the
  /// attention. `attention`, unless null, becomes the map on the padded grid.
  torch::Tensor forward(const torch::Tensor& hidden_states, torch::Tensor* attention) const;

  int64_t window_size;  ///< kernel_size * dilation
  double drop_path_rate;
  torch::Tensor layer_scale_parameters;  ///< [2, C]; undefined without layer scale
  LayerNorm layernorm_before{nullptr};
  NeighborhoodAttentionModule attention{nullptr};
  LayerNorm layernorm_after{nullptr};
  DenseActivation intermediate{nullptr};
  DenseDropout output{nullptr};

 private:
  // shortcut + drop_path(layer_scale * branch), `branch` 0 for attention, 1 for the MLP.
  torch::Tensor add(const torch::Tensor& shortcut, const torch::Tensor& x, int64_t branch) const;
};
TORCH_MODULE(NeighborhoodLayer);

}  // namespace vizoo::nn
