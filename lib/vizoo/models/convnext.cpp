#include "vizoo/models/convnext.h"

#include <algorithm>
#include <numeric>

#include "vizoo/core/config_checks.h"
#include "vizoo/core/error.h"
#include "vizoo/nn/activation.h"
#include "vizoo/nn/drop_path.h"
#include "vizoo/nn/loss.h"

namespace vizoo {
namespace {

using DataFormat = ConvNextLayerNormImpl::DataFormat;
constexpr double kNormEps = 1e-6;  // upstream hard-codes it for all norms but the last

}  // namespace

void ConvNextConfig::resolve() {
  check_integer("num_channels", num_channels, 1, kMaxSize);
  check_integer("patch_size", patch_size, 1, kMaxSize);
  check_integer("num_stages", num_stages, 1, kMaxStages);
  check_one_per_stage("hidden_sizes", hidden_sizes.size(), num_stages);
  check_one_per_stage("depths", depths.size(), num_stages);
  for (const auto size : hidden_sizes) check_integer("hidden_sizes", size, 1, kMaxSize);
  check_depths(depths);
  check_rates(drop_path_rate, initializer_range);
  align_output_stages(static_cast<int64_t>(depths.size()));
}

ConvNextLayerNormImpl::ConvNextLayerNormImpl(int64_t size, DataFormat format)
    : data_format(format) {
  weight = register_parameter("weight", torch::ones({size}));
  bias = register_parameter("bias", torch::zeros({size}));
}

torch::Tensor ConvNextLayerNormImpl::forward(const torch::Tensor& input) const {
  if (data_format == DataFormat::channels_last) {
    return at::layer_norm(input, weight.sizes(), weight, bias, kNormEps);
  }
  // [B, C, H, W] -> [B, H, W, C]: a view of unit stride, since activations are channels-last.
  auto x = input.permute({0, 2, 3, 1});
  if (x.scalar_type() == torch::kFloat64) {
    // Upstream normalises in float32 whatever the dtype; in float64 that is visible.
    x = at::layer_norm(x.to(torch::kFloat32), weight.sizes(), {}, {}, kNormEps);
    x = weight * x.to(torch::kFloat64) + bias;
  } else {
    x = at::layer_norm(x, weight.sizes(), weight, bias, kNormEps);
  }
  return x.permute({0, 3, 1, 2});  // [B, H, W, C] -> [B, C, H, W]
}

ConvNextEmbeddingsImpl::ConvNextEmbeddingsImpl(const ConvNextConfig& config)
    : num_channels(config.num_channels), patch_size(config.patch_size) {
  const auto options = nn::Conv2dOptions().kernel_size(patch_size).stride(patch_size);
  patch_embeddings = register_module(
      "patch_embeddings", nn::Conv2d(config.num_channels, config.hidden_sizes[0], options));
  layernorm = register_module(
      "layernorm", ConvNextLayerNorm(config.hidden_sizes[0], DataFormat::channels_first));
}

torch::Tensor ConvNextEmbeddingsImpl::forward(const torch::Tensor& pixel_values) const {
  // Channels-last from here on, so that the permutes around norms and linear layers are views.
  auto x = pixel_values.contiguous(at::MemoryFormat::ChannelsLast);
  x = patch_embeddings->forward(x).contiguous(at::MemoryFormat::ChannelsLast);
  return layernorm->forward(x);
}

ConvNextLayerImpl::ConvNextLayerImpl(const ConvNextConfig& config, int64_t size, double rate)
    : act(config.hidden_act), drop_path_rate(rate) {
  const auto depthwise = nn::Conv2dOptions().kernel_size(7).padding(3).groups(size);
  dwconv = register_module("dwconv", nn::Conv2d(size, size, depthwise));
  layernorm = register_module("layernorm", ConvNextLayerNorm(size));
  pwconv1 = register_module("pwconv1", nn::Linear(size, 4 * size));
  pwconv2 = register_module("pwconv2", nn::Linear(4 * size, size));
  if (config.layer_scale_init_value > 0) {
    layer_scale_parameter = register_parameter("layer_scale_parameter",
                                               torch::full({size}, config.layer_scale_init_value));
  }
}

torch::Tensor ConvNextLayerImpl::forward(const torch::Tensor& hidden_states) const {
  auto x = dwconv->forward(hidden_states).contiguous(at::MemoryFormat::ChannelsLast);
  x = x.permute({0, 2, 3, 1});  // [B, C, H, W] -> [B, H, W, C]
  x = layernorm->forward(x);
  x = pwconv1->forward(x);  // [B, H, W, 4C]
  x = nn::activate_temporary(act, x);
  x = pwconv2->forward(x);                                 // [B, H, W, C]
  x = nn::add_branch(hidden_states.permute({0, 2, 3, 1}),  // [B, C, H, W] -> [B, H, W, C]
                     x,
                     layer_scale_parameter,
                     drop_path_rate,
                     is_training());
  return x.permute({0, 3, 1, 2});  // [B, H, W, C] -> [B, C, H, W]
}

ConvNextStageImpl::ConvNextStageImpl(const ConvNextConfig& config,
                                     int64_t in_channels,
                                     int64_t out_channels,
                                     int64_t stride,
                                     const std::vector<double>& drop_path_rates) {
  if (in_channels != out_channels || stride > 1) {
    const auto options = nn::Conv2dOptions().kernel_size(2).stride(stride);
    downsampling_layer = register_module("downsampling_layer", torch::nn::ModuleList());
    downsampling_layer->push_back(ConvNextLayerNorm(in_channels, DataFormat::channels_first));
    downsampling_layer->push_back(nn::Conv2d(in_channels, out_channels, options));
  }
  register_module("layers", layers);
  for (const double rate : drop_path_rates) {
    layers->push_back(ConvNextLayer(config, out_channels, rate));
  }
}

torch::Tensor ConvNextStageImpl::forward(torch::Tensor hidden_states) const {
  if (!downsampling_layer.is_empty()) {
    hidden_states = downsampling_layer->at<ConvNextLayerNormImpl>(0).forward(hidden_states);
    hidden_states = downsampling_layer->at<nn::Conv2dImpl>(1).forward(hidden_states);
    hidden_states = hidden_states.contiguous(at::MemoryFormat::ChannelsLast);
  }
  for (const auto& layer : *layers) {
    hidden_states = layer->as<ConvNextLayer>()->forward(hidden_states);
  }
  return hidden_states;
}

ConvNextEncoderImpl::ConvNextEncoderImpl(const ConvNextConfig& config) {
  register_module("stages", stages);
  const auto layer_count = std::accumulate(config.depths.begin(), config.depths.end(), int64_t{0});
  const auto rates = nn::drop_path_rates(config.drop_path_rate, layer_count);
  auto first = rates.begin();
  int64_t in_channels = config.hidden_sizes[0];
  for (std::size_t i = 0; i < static_cast<std::size_t>(config.num_stages); ++i) {
    const auto last = first + config.depths[i];
    stages->push_back(ConvNextStage(config,
                                    in_channels,
                                    config.hidden_sizes[i],
                                    /*stride=*/i > 0 ? 2 : 1,
                                    std::vector<double>(first, last)));
    first = last;
    in_channels = config.hidden_sizes[i];
  }
}

torch::Tensor ConvNextEncoderImpl::forward(torch::Tensor hidden_states,
                                           std::vector<torch::Tensor>* all_hidden_states) const {
  if (all_hidden_states != nullptr) all_hidden_states->push_back(hidden_states);
  for (const auto& stage : *stages) {
    hidden_states = stage->as<ConvNextStage>()->forward(hidden_states);
    if (all_hidden_states != nullptr) all_hidden_states->push_back(hidden_states);
  }
  return hidden_states;
}

namespace {

// Stem and down-samplings floor; each needs at least one full window.
int64_t least_size(const ConvNextConfig& config) {
  return config.patch_size << (config.num_stages - 1);
}

}  // namespace

ConvNextModelImpl::ConvNextModelImpl(ConvNextConfig model_config)
    : PretrainedModel(std::move(model_config)) {
  embeddings = register_module("embeddings", ConvNextEmbeddings(config));
  encoder = register_module("encoder", ConvNextEncoder(config));
  const auto size = config.hidden_sizes.back();
  if (size != config.hidden_sizes[static_cast<std::size_t>(config.num_stages) - 1]) {
    throw ConfigError(
        "config",
        "/hidden_sizes",
        "the last of /num_stages " + std::to_string(config.num_stages) + " stages to come last",
        std::to_string(config.hidden_sizes.size()) + " values");
  }
  layernorm = register_module("layernorm", nn::LayerNorm(size, config.layer_norm_eps));
  initialize_weights();
}

BaseModelOutputWithPooling ConvNextModelImpl::forward(const torch::Tensor& pixel_values,
                                                      const ForwardOptions& options) {
  check_inputs(pixel_values, options, config.num_channels, least_size(config));
  BaseModelOutputWithPooling output;
  auto* hidden_states = wants_hidden_states(options) ? &output.hidden_states : nullptr;
  output.last_hidden_state = encoder->forward(embeddings->forward(pixel_values), hidden_states);
  // [B, C, H, W] -> [B, C]
  output.pooler_output = layernorm->forward(output.last_hidden_state.mean({-2, -1}));
  return output;
}

ConvNextForImageClassificationImpl::ConvNextForImageClassificationImpl(ConvNextConfig model_config)
    : PretrainedModel(std::move(model_config)) {
  convnext = register_module("convnext", ConvNextModel(config));
  if (config.num_labels() > 0) {
    classifier =
        register_module("classifier", nn::Linear(config.hidden_sizes.back(), config.num_labels()));
  }
  initialize_weights();
}

ImageClassifierOutput ConvNextForImageClassificationImpl::forward(const torch::Tensor& pixel_values,
                                                                  const ForwardOptions& options) {
  check_options(options);
  const auto inner = ForwardOptions().output_hidden_states(wants_hidden_states(options));
  auto features = convnext->forward(pixel_values, inner);
  ImageClassifierOutput output;
  output.logits =
      classifier.is_empty() ? features.pooler_output : classifier->forward(features.pooler_output);
  if (options.labels().defined()) {
    output.loss = image_classification_loss(config, output.logits, options.labels());
  }
  output.hidden_states = std::move(features.hidden_states);
  return output;
}

ConvNextBackboneImpl::ConvNextBackboneImpl(ConvNextConfig model_config)
    : PretrainedModel(std::move(model_config)) {
  embeddings = register_module("embeddings", ConvNextEmbeddings(config));
  encoder = register_module("encoder", ConvNextEncoder(config));
  register_module("hidden_states_norms", hidden_states_norms);
  const auto sizes = channels();
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    auto norm = ConvNextLayerNorm(sizes[i], DataFormat::channels_first);
    hidden_states_norms->update({{(*config.out_features)[i], norm.ptr()}});
  }
  initialize_weights();
}

std::vector<int64_t> ConvNextBackboneImpl::channels() const {
  std::vector<int64_t> channels;
  for (const auto& name : *config.out_features) {
    const auto found = std::find(config.stage_names.begin(), config.stage_names.end(), name);
    const auto stage = static_cast<std::size_t>(found - config.stage_names.begin());
    // Stage names count depths, the encoder num_stages: a stage past the end has no channels.
    if (stage > config.hidden_sizes.size()) {
      throw ConfigError("config", "/out_features", "stages that /hidden_sizes has", quote(name));
    }
    channels.push_back(config.hidden_sizes[stage == 0 ? 0 : stage - 1]);
  }
  return channels;
}

BackboneOutput ConvNextBackboneImpl::forward(const torch::Tensor& pixel_values,
                                             const ForwardOptions& options) {
  check_inputs(pixel_values, options, config.num_channels, least_size(config));
  std::vector<torch::Tensor> hidden_states;
  encoder->forward(embeddings->forward(pixel_values), &hidden_states);
  BackboneOutput output;
  const auto count = std::min(hidden_states.size(), config.stage_names.size());
  for (std::size_t i = 0; i < count; ++i) {
    const auto& stage = config.stage_names[i];
    if (!hidden_states_norms->contains(stage)) continue;
    const auto norm = std::dynamic_pointer_cast<ConvNextLayerNormImpl>(hidden_states_norms[stage]);
    output.feature_maps.push_back(norm->forward(hidden_states[i]));
  }
  if (wants_hidden_states(options)) output.hidden_states = std::move(hidden_states);
  return output;
}

}  // namespace vizoo
