#include "vizoo/nn/neighborhood_attention.h"

#include <cmath>

#include "vizoo/nn/activation.h"
#include "vizoo/nn/drop_path.h"
#include "vizoo/ops/neighborhood_attention.h"

namespace vizoo::nn {

NeighborhoodAttentionImpl::NeighborhoodAttentionImpl(const NeighborhoodConfig& config,
                                                     int64_t width,
                                                     int64_t heads,
                                                     int64_t layer_dilation)
    : num_attention_heads(heads),
      attention_head_size(width / heads),
      kernel_size(config.kernel_size),
      dilation(layer_dilation),
      dropout(config.attention_probs_dropout_prob) {
  const int64_t positions = 2 * kernel_size - 1;
  rpb = register_parameter("rpb", empty_parameter({heads, positions, positions}));
  if (!NoInitGuard::active()) initialize_own_parameters();
  query = register_module("query", Linear(width, width, config.qkv_bias));
  key = register_module("key", Linear(width, width, config.qkv_bias));
  value = register_module("value", Linear(width, width, config.qkv_bias));
}

void NeighborhoodAttentionImpl::initialize_own_parameters() {
  const torch::NoGradGuard no_grad;
  rpb.zero_();
}

torch::Tensor NeighborhoodAttentionImpl::forward(const torch::Tensor& hidden_states,
                                                 torch::Tensor* attention) const {
  // [B, H, W, C] -> [B, H, W, heads, D]
  const auto project = [&](const Linear& projection) {
    return projection->forward(hidden_states)
        .unflatten(-1, {num_attention_heads, attention_head_size});
  };
  const auto q = project(query);
  const auto k = project(key);
  const auto v = project(value);
  const std::vector<int64_t> kernel{kernel_size, kernel_size};
  const std::vector<int64_t> dilations{dilation, dilation};
  const bool drops = is_training() && dropout > 0.0;
  if (attention == nullptr && !drops) {
    return ops::na2d(q, k, v, rpb, kernel, dilations).flatten(-2);  // [B, H, W, C]
  }
  // [B, H, W, heads, D] -> [B, heads, H, W, D]
  const auto unfused = [](const torch::Tensor& x) { return x.permute({0, 3, 1, 2, 4}); };
  const auto scaled = unfused(q) / std::sqrt(static_cast<double>(attention_head_size));
  auto map = ops::na2d_qk(scaled, unfused(k), rpb, kernel, dilations).softmax(-1);
  map = at::dropout(map, dropout, is_training());
  if (attention != nullptr) *attention = map;
  // [B, heads, H, W, D] -> [B, H, W, C]
  return ops::na2d_av(map, unfused(v), kernel, dilations).permute({0, 2, 3, 1, 4}).flatten(-2);
}

DenseDropoutImpl::DenseDropoutImpl(int64_t in_features, int64_t out_features, double probability)
    : dropout(probability) {
  dense = register_module("dense", Linear(in_features, out_features));
}

torch::Tensor DenseDropoutImpl::forward(const torch::Tensor& input) const {
  return at::dropout(dense->forward(input), dropout, is_training());
}

DenseActivationImpl::DenseActivationImpl(int64_t in_features,
                                         int64_t out_features,
                                         Activation function)
    : activation(function) {
  dense = register_module("dense", Linear(in_features, out_features));
}

torch::Tensor DenseActivationImpl::forward(const torch::Tensor& input) const {
  return activate_temporary(activation, dense->forward(input));
}

NeighborhoodAttentionModuleImpl::NeighborhoodAttentionModuleImpl(const NeighborhoodConfig& config,
                                                                 int64_t width,
                                                                 int64_t heads,
                                                                 int64_t dilation) {
  self = register_module("self", NeighborhoodAttention(config, width, heads, dilation));
  output =
      register_module("output", DenseDropout(width, width, config.attention_probs_dropout_prob));
}

torch::Tensor NeighborhoodAttentionModuleImpl::forward(const torch::Tensor& hidden_states,
                                                       torch::Tensor* attention) const {
  return output->forward(self->forward(hidden_states, attention));
}

NeighborhoodLayerImpl::NeighborhoodLayerImpl(
    const NeighborhoodConfig& config, int64_t width, int64_t heads, int64_t dilation, double rate)
    : window_size(config.kernel_size * dilation), drop_path_rate(rate) {
  const auto hidden = config.mlp_width(width);
  layernorm_before = register_module("layernorm_before", LayerNorm(width, config.layer_norm_eps));
  attention =
      register_module("attention", NeighborhoodAttentionModule(config, width, heads, dilation));
  layernorm_after = register_module("layernorm_after", LayerNorm(width, config.layer_norm_eps));
  intermediate = register_module("intermediate", DenseActivation(width, hidden, config.hidden_act));
  output = register_module("output", DenseDropout(hidden, width, config.hidden_dropout_prob));
  if (config.layer_scale_init_value > 0) {
    layer_scale_parameters = register_parameter(
        "layer_scale_parameters", torch::full({2, width}, config.layer_scale_init_value));
  }
}

torch::Tensor NeighborhoodLayerImpl::forward(const torch::Tensor& hidden_states,
                                             torch::Tensor* attention_map) const {
  auto x = layernorm_before->forward(hidden_states);
  x = ops::pad_to_at_least(x, {window_size, window_size});
  x = attention->forward(x, attention_map);
  x = ops::crop_like(x, hidden_states);
  const auto attended = add(hidden_states, x, 0);
  x = layernorm_after->forward(attended);
  x = output->forward(intermediate->forward(x));
  return add(attended, x, 1);
}

torch::Tensor NeighborhoodLayerImpl::add(const torch::Tensor& shortcut,
                                         const torch::Tensor& x,
                                         int64_t branch) const {
  torch::Tensor scale;
  if (layer_scale_parameters.defined()) scale = layer_scale_parameters.select(0, branch);
  return add_branch(shortcut, x, scale, drop_path_rate, is_training());
}

}  // namespace vizoo::nn
