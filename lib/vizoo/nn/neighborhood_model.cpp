#include "vizoo/nn/neighborhood_model.h"

#include <algorithm>

#include "vizoo/nn/loss.h"

namespace vizoo {
namespace {

constexpr int64_t kLeastSize = 1;  // convolutions and windows pad

}  // namespace

void NeighborhoodModelImpl::build(const NeighborhoodConfig& config,
                                  const Dilations& dilations,
                                  const Arguments& model_arguments) {
  arguments = model_arguments;
  num_channels_ = config.num_channels;
  embeddings = register_module("embeddings", nn::NeighborhoodEmbeddings(config));
  encoder = register_module("encoder", nn::NeighborhoodEncoder(config, dilations));
  layernorm =
      register_module("layernorm", nn::LayerNorm(config.hidden_size, config.layer_norm_eps));
  initialize_weights();
}

BaseModelOutputWithPooling NeighborhoodModelImpl::forward(const torch::Tensor& pixel_values,
                                                          const ForwardOptions& options) {
  check_inputs(pixel_values, options, num_channels_, kLeastSize);
  BaseModelOutputWithPooling output;
  nn::NeighborhoodStates states;
  if (wants_hidden_states(options)) states.hidden_states = &output.hidden_states;
  if (wants_attentions(options)) states.attentions = &output.attentions;
  const auto x = encoder->forward(embeddings->forward(pixel_values), states);
  output.last_hidden_state = layernorm->forward(x);
  if (arguments.add_pooling_layer()) {
    output.pooler_output = output.last_hidden_state.mean({1, 2});  // [B, H', W', C] -> [B, C]
  }
  for (const auto& state : output.hidden_states) {
    // [B, H, W, C] -> [B, C, H, W]
    output.reshaped_hidden_states.push_back(state.permute({0, 3, 1, 2}));
  }
  return output;
}

torch::Tensor NeighborhoodModelImpl::feature_map(const BaseModelOutputWithPooling& output,
                                                 const torch::Tensor& /*pixel_values*/) const {
  return output.last_hidden_state.permute({0, 3, 1, 2});  // [B, H', W', C] -> [B, C, H', W']
}

void NeighborhoodClassifierImpl::build(const NeighborhoodConfig& config,
                                       std::shared_ptr<NeighborhoodModelImpl> model) {
  model_ = std::move(model);
  if (config.num_labels() > 0) {
    classifier = register_module("classifier", nn::Linear(config.hidden_size, config.num_labels()));
  }
  initialize_weights();
}

ImageClassifierOutput NeighborhoodClassifierImpl::forward(const torch::Tensor& pixel_values,
                                                          const ForwardOptions& options) {
  check_options(options);
  const auto inner = ForwardOptions()
                         .output_hidden_states(wants_hidden_states(options))
                         .output_attentions(wants_attentions(options));
  auto features = model_->forward(pixel_values, inner);
  ImageClassifierOutput output;
  output.logits =
      classifier.is_empty() ? features.pooler_output : classifier->forward(features.pooler_output);
  if (options.labels().defined()) {
    output.loss = image_classification_loss(base_config(), output.logits, options.labels());
  }
  output.hidden_states = std::move(features.hidden_states);
  output.attentions = std::move(features.attentions);
  output.reshaped_hidden_states = std::move(features.reshaped_hidden_states);
  return output;
}

void NeighborhoodBackboneImpl::build(const NeighborhoodConfig& config, const Dilations& dilations) {
  num_channels_ = config.num_channels;
  stage_names_ = config.stage_names;
  embeddings = register_module("embeddings", nn::NeighborhoodEmbeddings(config));
  encoder = register_module("encoder", nn::NeighborhoodEncoder(config, dilations));
  register_module("hidden_states_norms", hidden_states_norms);
  for (const auto& name : *config.out_features) {
    const auto found = std::find(stage_names_.begin(), stage_names_.end(), name);
    const auto stage = static_cast<std::size_t>(found - stage_names_.begin());
    // The stem has the channels of the first stage.
    channels_.push_back(config.stage_width(stage == 0 ? 0 : stage - 1));
    hidden_states_norms->update({{name, nn::LayerNorm(channels_.back()).ptr()}});
  }
  initialize_weights();
}

BackboneOutput NeighborhoodBackboneImpl::forward(const torch::Tensor& pixel_values,
                                                 const ForwardOptions& options) {
  check_inputs(pixel_values, options, num_channels_, kLeastSize);
  BackboneOutput output;
  std::vector<torch::Tensor> hidden_states;
  nn::NeighborhoodStates states;
  states.hidden_states = &hidden_states;
  states.before_downsampling = true;
  if (wants_attentions(options)) states.attentions = &output.attentions;
  encoder->forward(embeddings->forward(pixel_values), states);
  for (std::size_t i = 0; i < hidden_states.size(); ++i) {
    if (!hidden_states_norms->contains(stage_names_[i])) continue;
    const auto norm =
        std::dynamic_pointer_cast<nn::LayerNormImpl>(hidden_states_norms[stage_names_[i]]);
    const auto map = norm->forward(hidden_states[i]).permute({0, 3, 1, 2});
    output.feature_maps.push_back(map.contiguous());  // [B, C, H, W]
  }
  if (wants_hidden_states(options)) output.hidden_states = std::move(hidden_states);
  return output;
}

}  // namespace vizoo
