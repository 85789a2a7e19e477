#pragma once

// Stem, stages and encoder of NAT and DiNAT; the blocks are in neighborhood_attention.h.

#include <cstdint>
#include <vector>

#include "vizoo/nn/neighborhood_attention.h"

namespace vizoo::nn {

/// Two convolutions 3 x 3 of stride 2, one right after the other.
class NeighborhoodPatchEmbeddingsImpl : public torch::nn::Module {
 public:
  explicit NeighborhoodPatchEmbeddingsImpl(const NeighborhoodConfig& config);
  /// pixel_values: [B, num_channels, H, W]; returns [B, ceil(ceil(H/2)/2), ceil(ceil(W/2)/2), C].
  torch::Tensor forward(const torch::Tensor& pixel_values) const;

  torch::nn::ModuleList projection;
};
TORCH_MODULE(NeighborhoodPatchEmbeddings);

/// Stem: patch embeddings, norm, dropout.
class NeighborhoodEmbeddingsImpl : public torch::nn::Module {
 public:
  explicit NeighborhoodEmbeddingsImpl(const NeighborhoodConfig& config);
  /// As NeighborhoodPatchEmbeddings.
  torch::Tensor forward(const torch::Tensor& pixel_values) const;

  NeighborhoodPatchEmbeddings patch_embeddings{nullptr};
  LayerNorm norm{nullptr};
  double dropout;
};
TORCH_MODULE(NeighborhoodEmbeddings);

/// Convolution 3 x 3 of stride 2 to twice the channels, then a norm.
class NeighborhoodDownsamplerImpl : public torch::nn::Module {
 public:
  explicit NeighborhoodDownsamplerImpl(int64_t width);
  /// hidden_states: [B, H, W, C]; returns [B, ceil(H/2), ceil(W/2), 2C].
  torch::Tensor forward(const torch::Tensor& hidden_states) const;

  Conv2d reduction{nullptr};
  LayerNorm norm{nullptr};
};
TORCH_MODULE(NeighborhoodDownsampler);

/// Layers, then down-sampling in all stages but the last.
class NeighborhoodStageImpl : public torch::nn::Module {
 public:
  /// `dilations` and `drop_path_rates`: one for each layer.
  NeighborhoodStageImpl(const NeighborhoodConfig& config,
                        int64_t width,
                        int64_t heads,
                        const std::vector<int64_t>& dilations,
                        const std::vector<double>& drop_path_rates,
                        bool downsamples);
  /// hidden_states: [B, H, W, C]; returns [B, H', W', C'] and sets `before_downsampling`.
  /// `attention`, unless null, becomes the map of the last layer (nothing without layers).
  torch::Tensor forward(const torch::Tensor& hidden_states,
                        torch::Tensor& before_downsampling,
                        torch::Tensor* attention) const;

  torch::nn::ModuleList layers;
  NeighborhoodDownsampler downsample{nullptr};  ///< absent in the last stage
};
TORCH_MODULE(NeighborhoodStage);

/// What an encoder collects on its way; null for what nobody asked for.
struct NeighborhoodStates {
  std::vector<torch::Tensor>* hidden_states = nullptr;  ///< stem and each stage, [B, H, W, C]
  std::vector<torch::Tensor>* attentions = nullptr;     ///< last layer of each stage
  bool before_downsampling = false;                     ///< which states of a stage are collected
};

class NeighborhoodEncoderImpl : public torch::nn::Module {
 public:
  /// `dilations`: of each layer of each stage; 1 throughout if empty.
  NeighborhoodEncoderImpl(const NeighborhoodConfig& config, const Dilations& dilations);
  /// Returns the output of the last stage.
  torch::Tensor forward(torch::Tensor hidden_states, const NeighborhoodStates& states) const;

  torch::nn::ModuleList levels;
};
TORCH_MODULE(NeighborhoodEncoder);

}  // namespace vizoo::nn
