#include "vizoo/models/owlv2/owlv2_encoder.h"

#include <cmath>

#include "vizoo/models/owlv2/owlv2_text.h"
#include "vizoo/models/owlv2/owlv2_vision.h"
#include "vizoo/nn/activation.h"
#include "vizoo/nn/attention.h"

namespace vizoo {
namespace {

double inverse_root(int64_t number) { return std::pow(static_cast<double>(number), -0.5); }

}  // namespace

Owlv2EncoderOptions::Owlv2EncoderOptions(const Owlv2TextConfig& config)
    : hidden_size(config.hidden_size),
      intermediate_size(config.intermediate_size),
      num_hidden_layers(config.num_hidden_layers),
      num_attention_heads(config.num_attention_heads),
      hidden_act(config.hidden_act),
      layer_norm_eps(config.layer_norm_eps),
      attention_dropout(config.attention_dropout) {}

Owlv2EncoderOptions::Owlv2EncoderOptions(const Owlv2VisionConfig& config)
    : hidden_size(config.hidden_size),
      intermediate_size(config.intermediate_size),
      num_hidden_layers(config.num_hidden_layers),
      num_attention_heads(config.num_attention_heads),
      hidden_act(config.hidden_act),
      layer_norm_eps(config.layer_norm_eps),
      attention_dropout(config.attention_dropout) {}

Owlv2AttentionImpl::Owlv2AttentionImpl(const Owlv2EncoderOptions& encoder_options)
    : options(encoder_options) {
  const auto projection = [&](const char* name) {
    return register_module(name, nn::Linear(options.hidden_size, options.hidden_size));
  };
  k_proj = projection("k_proj");
  v_proj = projection("v_proj");
  q_proj = projection("q_proj");
  out_proj = projection("out_proj");
}

torch::Tensor Owlv2AttentionImpl::forward(const torch::Tensor& hidden_states,
                                          const torch::Tensor& mask,
                                          torch::Tensor* probabilities) const {
  const auto attention_options = nn::AttentionOptions()
                                     .dropout(options.attention_dropout)
                                     .training(is_training())
                                     .bias(mask)
                                     .scale_query(true)
                                     .map_before_dropout(true);
  const auto project = [&](const nn::Linear& projection) {
    return nn::split_heads(projection->forward(hidden_states), options.num_attention_heads);
  };
  // For a text that is masked altogether the fused op has another gradient, and in float16 other
  // numbers, than the steps one by one, which for texts cost nothing.
  torch::Tensor map;
  if (mask.defined() && probabilities == nullptr) probabilities = &map;
  return out_proj->forward(nn::merge_heads(nn::attend(
      project(q_proj), project(k_proj), project(v_proj), attention_options, probabilities)));
}

void Owlv2AttentionImpl::initialize(double factor) {
  const double out_std = inverse_root(options.hidden_size) * factor;
  const double in_std =
      inverse_root(options.hidden_size) * inverse_root(2 * options.num_hidden_layers) * factor;
  nn::normal_(q_proj->weight, in_std);
  nn::normal_(k_proj->weight, in_std);
  nn::normal_(v_proj->weight, in_std);
  nn::normal_(out_proj->weight, out_std);
}

Owlv2MLPImpl::Owlv2MLPImpl(const Owlv2EncoderOptions& encoder_options) : options(encoder_options) {
  fc1 = register_module("fc1", nn::Linear(options.hidden_size, options.intermediate_size));
  fc2 = register_module("fc2", nn::Linear(options.intermediate_size, options.hidden_size));
}

torch::Tensor Owlv2MLPImpl::forward(const torch::Tensor& hidden_states) const {
  return fc2->forward(nn::activate_temporary(options.hidden_act, fc1->forward(hidden_states)));
}

void Owlv2MLPImpl::initialize(double factor) {
  nn::normal_(fc1->weight, inverse_root(2 * options.hidden_size) * factor);
  nn::normal_(
      fc2->weight,
      inverse_root(options.hidden_size) * inverse_root(2 * options.num_hidden_layers) * factor);
}

Owlv2EncoderLayerImpl::Owlv2EncoderLayerImpl(const Owlv2EncoderOptions& options) {
  const auto norm = [&](const char* name) {
    return register_module(name, nn::LayerNorm(options.hidden_size, options.layer_norm_eps));
  };
  self_attn = register_module("self_attn", Owlv2Attention(options));
  layer_norm1 = norm("layer_norm1");
  mlp = register_module("mlp", Owlv2MLP(options));
  layer_norm2 = norm("layer_norm2");
}

torch::Tensor Owlv2EncoderLayerImpl::forward(const torch::Tensor& hidden_states,
                                             const torch::Tensor& mask,
                                             torch::Tensor* probabilities) const {
  const auto x =
      hidden_states + self_attn->forward(layer_norm1->forward(hidden_states), mask, probabilities);
  return x + mlp->forward(layer_norm2->forward(x));
}

Owlv2EncoderImpl::Owlv2EncoderImpl(const Owlv2EncoderOptions& options) {
  register_module("layers", layers);
  for (int64_t i = 0; i < options.num_hidden_layers; ++i) {
    layers->push_back(Owlv2EncoderLayer(options));
  }
}

BaseModelOutputWithPooling Owlv2EncoderImpl::forward(const torch::Tensor& inputs_embeds,
                                                     const torch::Tensor& mask,
                                                     bool output_hidden_states,
                                                     bool output_attentions) const {
  BaseModelOutputWithPooling output;
  auto hidden_states = inputs_embeds;
  for (std::size_t i = 0; i < layers->size(); ++i) {
    if (output_hidden_states) output.hidden_states.push_back(hidden_states);
    torch::Tensor* probabilities = nullptr;
    if (output_attentions) probabilities = &output.attentions.emplace_back();
    hidden_states =
        layers->at<Owlv2EncoderLayerImpl>(i).forward(hidden_states, mask, probabilities);
  }
  if (output_hidden_states) output.hidden_states.push_back(hidden_states);
  output.last_hidden_state = hidden_states;
  return output;
}

void initialize_owlv2_module(torch::nn::Module& module, double factor) {
  const torch::NoGradGuard no_grad;
  if (auto* text = dynamic_cast<Owlv2TextEmbeddingsImpl*>(&module)) {
    text->initialize(factor);
  } else if (auto* vision = dynamic_cast<Owlv2VisionEmbeddingsImpl*>(&module)) {
    vision->initialize(factor);
  } else if (auto* attention = dynamic_cast<Owlv2AttentionImpl*>(&module)) {
    attention->initialize(factor);
  } else if (auto* mlp = dynamic_cast<Owlv2MLPImpl*>(&module)) {
    mlp->initialize(factor);
  } else if (auto* norm = dynamic_cast<nn::LayerNormImpl*>(&module)) {
    norm->weight.fill_(1.0);
    norm->bias.zero_();
  } else if (auto* linear = dynamic_cast<nn::LinearImpl*>(&module)) {
    if (linear->bias.defined()) linear->bias.zero_();
  }
}

bool is_owlv2_derived_key(const std::string& key) {
  const auto last = key.substr(key.rfind('.') + 1);
  return last == "position_ids" || last == "box_bias";
}

}  // namespace vizoo
