#include "vizoo/models/dinov2.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "vizoo/core/config_checks.h"
#include "vizoo/core/error.h"
#include "vizoo/nn/activation.h"
#include "vizoo/nn/attention.h"
#include "vizoo/nn/drop_path.h"
#include "vizoo/nn/loss.h"
#include "vizoo/ops/image_ops.h"

namespace vizoo {
namespace {

constexpr int64_t kMaxPatches = 1 << 20;

// Height and width of image_size.
std::pair<int64_t, int64_t> image_sides(const Dinov2Config& config) {
  if (const auto* side = std::get_if<int64_t>(&config.image_size)) return {*side, *side};
  const auto& sides = std::get<std::vector<int64_t>>(config.image_size);
  if (sides.size() != 2) {
    throw ConfigError("config",
                      "/image_size",
                      "a number or [height, width]",
                      "an array of " + std::to_string(sides.size()));
  }
  return {sides[0], sides[1]};
}

}  // namespace

void Dinov2Config::resolve() {
  check_integer("hidden_size", hidden_size, 1, kMaxSize);
  check_integer("num_hidden_layers", num_hidden_layers, 1, kMaxLayers);
  check_integer("num_attention_heads", num_attention_heads, 1, hidden_size);
  if (hidden_size % num_attention_heads != 0) {
    throw ConfigError("config",
                      "/num_attention_heads",
                      "a divisor of /hidden_size " + std::to_string(hidden_size),
                      std::to_string(num_attention_heads));
  }
  check_number("mlp_ratio",
               mlp_ratio,
               mlp_ratio * static_cast<double>(hidden_size) >= 1.0 && mlp_ratio <= 64.0,
               "a number up to 64 that leaves at least one channel");
  check_probability("hidden_dropout_prob", hidden_dropout_prob);
  check_probability("attention_probs_dropout_prob", attention_probs_dropout_prob);
  check_rates(drop_path_rate, initializer_range);
  check_integer("num_channels", num_channels, 1, kMaxSize);
  const auto [height, width] = image_sides(*this);
  check_integer("patch_size", patch_size, 1, kMaxSize);
  check_integer("image_size", height, patch_size, kMaxSize);
  check_integer("image_size", width, patch_size, kMaxSize);
  if (num_patches() > kMaxPatches) {
    throw ConfigError("config",
                      "/image_size",
                      "at most " + std::to_string(kMaxPatches) + " patches",
                      std::to_string(num_patches()));
  }
  align_output_stages(num_hidden_layers);
}

int64_t Dinov2Config::num_patches() const {
  const auto [height, width] = image_sides(*this);
  return (height / patch_size) * (width / patch_size);
}

int64_t Dinov2Config::mlp_width() const {
  const auto width = static_cast<int64_t>(static_cast<double>(hidden_size) * mlp_ratio);
  if (!use_swiglu_ffn) return width;
  // Two thirds, rounded up to a multiple of 8: as many weights as the plain MLP has.
  return (static_cast<int64_t>(static_cast<double>(width * 2) / 3) + 7) / 8 * 8;
}

Dinov2PatchEmbeddingsImpl::Dinov2PatchEmbeddingsImpl(const Dinov2Config& config) {
  const auto options = nn::Conv2dOptions().kernel_size(config.patch_size).stride(config.patch_size);
  projection =
      register_module("projection", nn::Conv2d(config.num_channels, config.hidden_size, options));
}

torch::Tensor Dinov2PatchEmbeddingsImpl::forward(const torch::Tensor& pixel_values) const {
  return projection->forward(pixel_values.to(projection->weight.scalar_type()));
}

Dinov2EmbeddingsImpl::Dinov2EmbeddingsImpl(const Dinov2Config& config,
                                           const Dinov2Arguments& arguments)
    : patch_size(config.patch_size),
      position_interpolation(arguments.position_interpolation()),
      dropout(config.hidden_dropout_prob) {
  const auto size = config.hidden_size;
  const torch::NoGradGuard no_grad;
  const bool fresh = !nn::NoInitGuard::active();
  // In upstream's order, which is that of the random stream.
  cls_token = register_parameter("cls_token", nn::empty_parameter({1, 1, size}));
  mask_token = register_parameter("mask_token", nn::empty_parameter({1, size}));
  if (fresh) cls_token.normal_();
  if (fresh) mask_token.zero_();
  patch_embeddings = register_module("patch_embeddings", Dinov2PatchEmbeddings(config));
  position_embeddings = register_parameter(
      "position_embeddings", nn::empty_parameter({1, config.num_patches() + 1, size}));
  if (fresh) position_embeddings.normal_();
}

torch::Tensor Dinov2EmbeddingsImpl::forward(const torch::Tensor& pixel_values,
                                            const torch::Tensor& bool_masked_pos,
                                            torch::Tensor* map) const {
  const auto projected = patch_embeddings->forward(pixel_values);  // [B, C, H / p, W / p]
  if (map != nullptr) *map = projected;
  auto patches = projected.flatten(2).transpose(1, 2);  // [B, N, C]
  if (bool_masked_pos.defined()) {
    patches = at::where(bool_masked_pos.unsqueeze(-1), mask_token.unsqueeze(0), patches);
  }
  const auto tokens = at::cat({cls_token.expand_as(patches.narrow(1, 0, 1)), patches}, 1);
  const auto positions = ops::interpolate_position_embeddings(
      position_embeddings,
      pixel_values,
      patch_size,
      /*offset=*/position_interpolation == Dinov2PosInterp::Offset01);
  return at::dropout(tokens + positions, dropout, is_training());
}

Dinov2SelfAttentionImpl::Dinov2SelfAttentionImpl(const Dinov2Config& config)
    : num_attention_heads(config.num_attention_heads),
      dropout(config.attention_probs_dropout_prob) {
  const auto projection = [&](const char* name) {
    return register_module(name,
                           nn::Linear(config.hidden_size, config.hidden_size, config.qkv_bias));
  };
  query = projection("query");
  key = projection("key");
  value = projection("value");
}

torch::Tensor Dinov2SelfAttentionImpl::forward(const torch::Tensor& hidden_states,
                                               const torch::Tensor& head_mask,
                                               torch::Tensor* probabilities) const {
  const auto options =
      nn::AttentionOptions().dropout(dropout).training(is_training()).head_mask(head_mask);
  const auto project = [&](const nn::Linear& projection) {
    return nn::split_heads(projection->forward(hidden_states), num_attention_heads);
  };
  return nn::merge_heads(
      nn::attend(project(query), project(key), project(value), options, probabilities));
}

Dinov2SelfOutputImpl::Dinov2SelfOutputImpl(const Dinov2Config& config)
    : dropout(config.hidden_dropout_prob) {
  dense = register_module("dense", nn::Linear(config.hidden_size, config.hidden_size));
}

torch::Tensor Dinov2SelfOutputImpl::forward(const torch::Tensor& hidden_states) const {
  return at::dropout(dense->forward(hidden_states), dropout, is_training());
}

Dinov2AttentionImpl::Dinov2AttentionImpl(const Dinov2Config& config) {
  attention = register_module("attention", Dinov2SelfAttention(config));
  output = register_module("output", Dinov2SelfOutput(config));
}

torch::Tensor Dinov2AttentionImpl::forward(const torch::Tensor& hidden_states,
                                           const torch::Tensor& head_mask,
                                           torch::Tensor* probabilities) const {
  return output->forward(attention->forward(hidden_states, head_mask, probabilities));
}

Dinov2LayerScaleImpl::Dinov2LayerScaleImpl(const Dinov2Config& config) {
  lambda1 =
      register_parameter("lambda1", torch::full({config.hidden_size}, config.layerscale_value));
}

torch::Tensor Dinov2LayerScaleImpl::forward(const torch::Tensor& shortcut,
                                            const torch::Tensor& branch) const {
  return nn::add_branch(shortcut, branch, lambda1, /*drop_probability=*/0.0, /*training=*/false);
}

Dinov2MLPImpl::Dinov2MLPImpl(const Dinov2Config& config) : activation(config.hidden_act) {
  fc1 = register_module("fc1", nn::Linear(config.hidden_size, config.mlp_width()));
  fc2 = register_module("fc2", nn::Linear(config.mlp_width(), config.hidden_size));
}

torch::Tensor Dinov2MLPImpl::forward(const torch::Tensor& hidden_state) const {
  return fc2->forward(nn::activate_temporary(activation, fc1->forward(hidden_state)));
}

Dinov2SwiGLUFFNImpl::Dinov2SwiGLUFFNImpl(const Dinov2Config& config) {
  const auto width = config.mlp_width();
  weights_in = register_module("weights_in", nn::Linear(config.hidden_size, 2 * width));
  weights_out = register_module("weights_out", nn::Linear(width, config.hidden_size));
}

torch::Tensor Dinov2SwiGLUFFNImpl::forward(const torch::Tensor& hidden_state) const {
  const auto halves = weights_in->forward(hidden_state).chunk(2, -1);
  return weights_out->forward(at::silu(halves[0]) * halves[1]);
}

Dinov2LayerImpl::Dinov2LayerImpl(const Dinov2Config& config) {
  const auto norm = [&](const char* name) {
    return register_module(name, nn::LayerNorm(config.hidden_size, config.layer_norm_eps));
  };
  norm1 = norm("norm1");
  attention = register_module("attention", Dinov2Attention(config));
  layer_scale1 = register_module("layer_scale1", Dinov2LayerScale(config));
  norm2 = norm("norm2");
  if (config.use_swiglu_ffn) {
    gated_mlp = register_module("mlp", Dinov2SwiGLUFFN(config));
  } else {
    mlp = register_module("mlp", Dinov2MLP(config));
  }
  layer_scale2 = register_module("layer_scale2", Dinov2LayerScale(config));
}

torch::Tensor Dinov2LayerImpl::forward(const torch::Tensor& hidden_states,
                                       const torch::Tensor& head_mask,
                                       torch::Tensor* probabilities) const {
  const auto attended = attention->forward(norm1->forward(hidden_states), head_mask, probabilities);
  const auto x = layer_scale1->forward(hidden_states, attended);
  const auto normed = norm2->forward(x);
  return layer_scale2->forward(x,
                               mlp.is_empty() ? gated_mlp->forward(normed) : mlp->forward(normed));
}

Dinov2EncoderImpl::Dinov2EncoderImpl(const Dinov2Config& config)
    : num_attention_heads(config.num_attention_heads) {
  register_module("layer", layer);
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) layer->push_back(Dinov2Layer(config));
}

torch::Tensor Dinov2EncoderImpl::forward(torch::Tensor hidden_states,
                                         const torch::Tensor& head_mask,
                                         std::vector<torch::Tensor>* all_hidden_states,
                                         std::vector<torch::Tensor>* all_attentions) const {
  for (std::size_t i = 0; i < layer->size(); ++i) {
    if (all_hidden_states != nullptr) all_hidden_states->push_back(hidden_states);
    torch::Tensor* probabilities = nullptr;
    if (all_attentions != nullptr) probabilities = &all_attentions->emplace_back();
    torch::Tensor layer_mask;
    if (head_mask.defined()) {
      layer_mask = head_mask.dim() == 1 ? head_mask : head_mask.select(0, static_cast<int64_t>(i));
      layer_mask = layer_mask.to(hidden_states.scalar_type()).view({1, -1, 1, 1});
    }
    hidden_states = layer->at<Dinov2LayerImpl>(i).forward(hidden_states, layer_mask, probabilities);
  }
  if (all_hidden_states != nullptr) all_hidden_states->push_back(hidden_states);
  return hidden_states;
}

void initialize_dinov2_module(torch::nn::Module& module, double initializer_range) {
  const torch::NoGradGuard no_grad;
  const auto initialize = [&](torch::Tensor& weight, torch::Tensor& bias) {
    nn::truncated_normal_(weight, initializer_range);
    if (bias.defined()) bias.zero_();
  };
  if (auto* linear = dynamic_cast<nn::LinearImpl*>(&module)) {
    initialize(linear->weight, linear->bias);
  } else if (auto* conv = dynamic_cast<nn::Conv2dImpl*>(&module)) {
    initialize(conv->weight, conv->bias);
  } else if (auto* norm = dynamic_cast<nn::LayerNormImpl*>(&module)) {
    norm->weight.fill_(1.0);
    norm->bias.zero_();
  } else if (auto* embeddings = dynamic_cast<Dinov2EmbeddingsImpl*>(&module)) {
    nn::truncated_normal_(embeddings->position_embeddings, initializer_range);
    nn::truncated_normal_(embeddings->cls_token, initializer_range);
    embeddings->mask_token.zero_();
  }
}

Dinov2ModelImpl::Dinov2ModelImpl(Dinov2Config model_config, const Arguments& model_arguments)
    : PretrainedModel(std::move(model_config)), arguments(model_arguments) {
  embeddings = register_module("embeddings", Dinov2Embeddings(config, arguments));
  encoder = register_module("encoder", Dinov2Encoder(config));
  layernorm =
      register_module("layernorm", nn::LayerNorm(config.hidden_size, config.layer_norm_eps));
  initialize_weights();
}

void Dinov2ModelImpl::initialize_module(torch::nn::Module& module) const {
  initialize_dinov2_module(module, config.initializer_range);
}

namespace {

void check_head_mask(const torch::Tensor& head_mask, const Dinov2Config& config) {
  if (!head_mask.defined()) return;
  const auto heads = head_mask.dim() > 0 ? head_mask.size(-1) : 0;
  const bool fits = head_mask.dim() == 1 ||
                    (head_mask.dim() == 2 && head_mask.size(0) == config.num_hidden_layers);
  if (fits && heads == config.num_attention_heads && head_mask.is_floating_point()) return;
  throw ShapeError("model",
                   "head_mask",
                   "a floating-point tensor [heads] or [layers, heads] with " +
                       std::to_string(config.num_attention_heads) + " heads and " +
                       std::to_string(config.num_hidden_layers) + " layers",
                   describe_tensor(head_mask));
}

void check_masked_positions(const torch::Tensor& bool_masked_pos,
                            const torch::Tensor& pixel_values,
                            int64_t patch_size) {
  if (!bool_masked_pos.defined()) return;
  const auto batch = pixel_values.size(0);
  const auto patches = (pixel_values.size(2) / patch_size) * (pixel_values.size(3) / patch_size);
  if (bool_masked_pos.scalar_type() == torch::kBool && bool_masked_pos.dim() == 2 &&
      (bool_masked_pos.size(0) == batch || bool_masked_pos.size(0) == 1) &&
      bool_masked_pos.size(1) == patches) {
    return;
  }
  throw ShapeError("model",
                   "bool_masked_pos",
                   "a Bool tensor [" + std::to_string(batch) + ", " + std::to_string(patches) + "]",
                   describe_tensor(bool_masked_pos));
}

}  // namespace

BaseModelOutputWithPooling Dinov2ModelImpl::forward(const torch::Tensor& pixel_values,
                                                    const ForwardOptions& options) {
  check_inputs(pixel_values, options, config.num_channels, config.patch_size);
  check_head_mask(options.head_mask(), config);
  check_masked_positions(options.bool_masked_pos(), pixel_values, config.patch_size);
  BaseModelOutputWithPooling output;
  const auto tokens = embeddings->forward(pixel_values, options.bool_masked_pos(), nullptr);
  output.last_hidden_state = layernorm->forward(
      encoder->forward(tokens,
                       options.head_mask(),
                       wants_hidden_states(options) ? &output.hidden_states : nullptr,
                       wants_attentions(options) ? &output.attentions : nullptr));
  output.pooler_output = output.last_hidden_state.select(1, 0);
  return output;
}

torch::Tensor Dinov2ModelImpl::feature_map(const BaseModelOutputWithPooling& output,
                                           const torch::Tensor& pixel_values) const {
  const auto height = pixel_values.size(2) / config.patch_size;
  const auto width = pixel_values.size(3) / config.patch_size;
  // [B, 1 + N, C] -> [B, C, N] -> [B, C, H / p, W / p]
  return output.last_hidden_state.slice(1, 1).transpose(1, 2).unflatten(2, {height, width});
}

Dinov2ForImageClassificationImpl::Dinov2ForImageClassificationImpl(Dinov2Config model_config,
                                                                   const Arguments& model_arguments)
    : PretrainedModel(std::move(model_config)), arguments(model_arguments) {
  dinov2 = register_module("dinov2", Dinov2Model(config, arguments));
  if (config.num_labels() > 0) {
    classifier =
        register_module("classifier", nn::Linear(2 * config.hidden_size, config.num_labels()));
  }
  initialize_weights();
}

void Dinov2ForImageClassificationImpl::initialize_module(torch::nn::Module& module) const {
  initialize_dinov2_module(module, config.initializer_range);
}

ImageClassifierOutput Dinov2ForImageClassificationImpl::forward(const torch::Tensor& pixel_values,
                                                                const ForwardOptions& options) {
  check_options(options);
  const auto inner = ForwardOptions()
                         .output_hidden_states(wants_hidden_states(options))
                         .output_attentions(wants_attentions(options))
                         .head_mask(options.head_mask());
  auto features = dinov2->forward(pixel_values, inner);
  const auto& tokens = features.last_hidden_state;
  const auto patches = tokens.slice(1, 1).mean(1);                    // [B, C]
  const auto pooled = at::cat({features.pooler_output, patches}, 1);  // [B, 2C]
  ImageClassifierOutput output;
  output.logits = classifier.is_empty() ? pooled : classifier->forward(pooled);
  if (options.labels().defined()) {
    output.loss = image_classification_loss(config, output.logits, options.labels());
  }
  output.hidden_states = std::move(features.hidden_states);
  output.attentions = std::move(features.attentions);
  return output;
}

Dinov2BackboneImpl::Dinov2BackboneImpl(Dinov2Config model_config, const Arguments& model_arguments)
    : PretrainedModel(std::move(model_config)), arguments(model_arguments) {
  embeddings = register_module("embeddings", Dinov2Embeddings(config, arguments));
  encoder = register_module("encoder", Dinov2Encoder(config));
  layernorm =
      register_module("layernorm", nn::LayerNorm(config.hidden_size, config.layer_norm_eps));
  initialize_weights();
}

void Dinov2BackboneImpl::initialize_module(torch::nn::Module& module) const {
  initialize_dinov2_module(module, config.initializer_range);
}

std::vector<int64_t> Dinov2BackboneImpl::channels() const {
  return std::vector<int64_t>(config.out_features->size(), config.hidden_size);
}

BackboneOutput Dinov2BackboneImpl::forward(const torch::Tensor& pixel_values,
                                           const ForwardOptions& options) {
  check_inputs(pixel_values, options, config.num_channels, config.patch_size);
  BackboneOutput output;
  torch::Tensor map;  // [B, C, H / p, W / p]
  const auto tokens = embeddings->forward(pixel_values, {}, &map);
  std::vector<torch::Tensor> hidden_states;
  encoder->forward(tokens,
                   /*head_mask=*/{},
                   &hidden_states,
                   wants_attentions(options) ? &output.attentions : nullptr);
  const auto& chosen = *config.out_features;
  for (std::size_t i = 0; i < hidden_states.size(); ++i) {
    if (std::find(chosen.begin(), chosen.end(), config.stage_names[i]) == chosen.end()) continue;
    auto feature_map = hidden_states[i];
    if (config.apply_layernorm) feature_map = layernorm->forward(feature_map);
    if (config.reshape_hidden_states) {
      // [B, 1 + N, C] -> [B, C, N] -> [B, C, H / p, W / p]
      feature_map = feature_map.slice(1, 1).transpose(1, 2).reshape_as(map);
    }
    output.feature_maps.push_back(feature_map);
  }
  if (wants_hidden_states(options)) output.hidden_states = std::move(hidden_states);
  return output;
}

}  // namespace vizoo
