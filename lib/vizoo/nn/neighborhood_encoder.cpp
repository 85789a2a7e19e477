#include "vizoo/nn/neighborhood_encoder.h"

#include <numeric>

#include "vizoo/nn/drop_path.h"

namespace vizoo::nn {
namespace {

Conv2dOptions halving() { return Conv2dOptions().kernel_size(3).stride(2).padding(1); }

}  // namespace

NeighborhoodPatchEmbeddingsImpl::NeighborhoodPatchEmbeddingsImpl(const NeighborhoodConfig& config) {
  register_module("projection", projection);
  projection->push_back(Conv2d(config.num_channels, config.embed_dim / 2, halving()));
  projection->push_back(Conv2d(config.embed_dim / 2, config.embed_dim, halving()));
}

torch::Tensor NeighborhoodPatchEmbeddingsImpl::forward(const torch::Tensor& pixel_values) const {
  // Channels-last, so that the permutes around convolutions are views.
  auto x = pixel_values.contiguous(at::MemoryFormat::ChannelsLast);
  for (const auto& convolution : *projection) x = convolution->as<Conv2d>()->forward(x);
  return x.permute({0, 2, 3, 1});  // [B, C, H, W] -> [B, H, W, C]
}

NeighborhoodEmbeddingsImpl::NeighborhoodEmbeddingsImpl(const NeighborhoodConfig& config)
    : dropout(config.hidden_dropout_prob) {
  patch_embeddings = register_module("patch_embeddings", NeighborhoodPatchEmbeddings(config));
  norm = register_module("norm", LayerNorm(config.embed_dim));
}

torch::Tensor NeighborhoodEmbeddingsImpl::forward(const torch::Tensor& pixel_values) const {
  const auto x = norm->forward(patch_embeddings->forward(pixel_values));
  return at::dropout(x, dropout, is_training());
}

NeighborhoodDownsamplerImpl::NeighborhoodDownsamplerImpl(int64_t width) {
  reduction = register_module("reduction", Conv2d(width, 2 * width, halving().bias(false)));
  norm = register_module("norm", LayerNorm(2 * width));
}

torch::Tensor NeighborhoodDownsamplerImpl::forward(const torch::Tensor& hidden_states) const {
  const auto x = reduction->forward(hidden_states.permute({0, 3, 1, 2}));  // [B, 2C, H', W']
  return norm->forward(x.permute({0, 2, 3, 1}));                           // [B, H', W', 2C]
}

NeighborhoodStageImpl::NeighborhoodStageImpl(const NeighborhoodConfig& config,
                                             int64_t width,
                                             int64_t heads,
                                             const std::vector<int64_t>& dilations,
                                             const std::vector<double>& drop_path_rates,
                                             bool downsamples) {
  register_module("layers", layers);
  for (std::size_t i = 0; i < drop_path_rates.size(); ++i) {
    layers->push_back(NeighborhoodLayer(config, width, heads, dilations[i], drop_path_rates[i]));
  }
  if (downsamples) downsample = register_module("downsample", NeighborhoodDownsampler(width));
}

torch::Tensor NeighborhoodStageImpl::forward(const torch::Tensor& hidden_states,
                                             torch::Tensor& before_downsampling,
                                             torch::Tensor* attention) const {
  auto x = hidden_states;
  for (std::size_t i = 0; i < layers->size(); ++i) {
    // Only the map of the last layer is returned: the others can be fused.
    const bool last = i + 1 == layers->size();
    x = layers->at<NeighborhoodLayerImpl>(i).forward(x, last ? attention : nullptr);
  }
  before_downsampling = x;
  return downsample.is_empty() ? x : downsample->forward(x);
}

NeighborhoodEncoderImpl::NeighborhoodEncoderImpl(const NeighborhoodConfig& config,
                                                 const Dilations& dilations) {
  register_module("levels", levels);
  const auto layer_count = std::accumulate(config.depths.begin(), config.depths.end(), int64_t{0});
  const auto rates = drop_path_rates(config.drop_path_rate, layer_count);
  auto first = rates.begin();
  for (std::size_t i = 0; i < config.depths.size(); ++i) {
    const auto depth = static_cast<std::size_t>(config.depths[i]);
    const auto last = first + config.depths[i];
    levels->push_back(
        NeighborhoodStage(config,
                          config.stage_width(i),
                          config.num_heads[i],
                          dilations.empty() ? std::vector<int64_t>(depth, 1) : dilations[i],
                          std::vector<double>(first, last),
                          /*downsamples=*/i + 1 < config.depths.size()));
    first = last;
  }
}

torch::Tensor NeighborhoodEncoderImpl::forward(torch::Tensor hidden_states,
                                               const NeighborhoodStates& states) const {
  if (states.hidden_states != nullptr) states.hidden_states->push_back(hidden_states);
  for (const auto& level : *levels) {
    torch::Tensor before_downsampling;
    torch::Tensor attention;
    hidden_states = level->as<NeighborhoodStage>()->forward(
        hidden_states, before_downsampling, states.attentions != nullptr ? &attention : nullptr);
    if (states.hidden_states != nullptr) {
      states.hidden_states->push_back(states.before_downsampling ? before_downsampling
                                                                 : hidden_states);
    }
    if (attention.defined()) states.attentions->push_back(attention);
  }
  return hidden_states;
}

}  // namespace vizoo::nn
