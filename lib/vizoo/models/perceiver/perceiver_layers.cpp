#include "vizoo/models/perceiver/perceiver_layers.h"

#include <ATen/TracerMode.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "vizoo/core/error.h"
#include "vizoo/nn/activation.h"

namespace vizoo {
namespace {

// a + b, for an `a` that nobody else reads.
torch::Tensor add_to_temporary(torch::Tensor a, const torch::Tensor& b) {
  return a.requires_grad() || b.requires_grad() ? a + b : a.add_(b);
}

// Channels of queries, keys and values where they are not told.
PerceiverLayerOptions with_channels(const PerceiverConfig& config, PerceiverLayerOptions options) {
  if (!options.qk_channels) {
    const bool like_inputs =
        options.is_cross_attention &&
        config.cross_attention_shape_for_attention == PerceiverCrossAttentionShape::kv;
    options.qk_channels = like_inputs ? options.kv_dim : options.q_dim;
  }
  if (!options.v_channels) options.v_channels = options.qk_channels;
  return options;
}

void check_heads(const char* what, int64_t channels, int64_t heads) {
  if (heads >= 1 && channels >= 1 && channels % heads == 0) return;
  throw ConfigError(
      "model",
      "PerceiverLayer",
      std::string("a number of heads that divides ") + what + " " + std::to_string(channels),
      std::to_string(heads));
}

// Bytes of the scores of one query in all heads.
int64_t score_bytes_per_query(const torch::Tensor& query, const torch::Tensor& key) {
  return query.size(0) * query.size(1) * key.size(2) * static_cast<int64_t>(key.element_size());
}

}  // namespace

torch::Tensor perceiver_attend(const torch::Tensor& query,
                               const torch::Tensor& key,
                               const torch::Tensor& value,
                               const nn::AttentionOptions& options,
                               torch::Tensor* probabilities,
                               int64_t score_bytes) {
  const auto& bias = options.bias();
  const bool learns = query.requires_grad() || key.requires_grad() || value.requires_grad();
  const bool drops = options.training() && options.dropout() > 0.0;
  if (probabilities != nullptr) return nn::attend(query, key, value, options, probabilities);
  // The fused kernel's gradient is wrong, and in half types its result, where a mask lowers all
  // scores of a query to the least number.
  // A traced model may learn later, and must not depend on the sizes that it was traced with.
  const bool traced = at::tracer::impl::is_dispatch_enabled();
  torch::Tensor map;
  if (learns || drops || (traced && bias.defined())) {
    return nn::attend(query, key, value, options, &map);
  }
  const bool half = key.element_size() < 4;
  const bool steps = options.head_mask().defined() || (bias.defined() && half);
  const bool fused = !steps && query.size(-1) == value.size(-1);
  if (fused && query.device().is_cpu()) return nn::attend(query, key, value, options, nullptr);

  const int64_t count = query.size(2);
  const int64_t at_once =
      std::max<int64_t>(score_bytes / std::max<int64_t>(score_bytes_per_query(query, key), 1), 1);
  const auto attend_some = [&](const torch::Tensor& some, const nn::AttentionOptions& with) {
    return nn::attend(some, key, value, with, fused ? nullptr : &map);
  };
  if (count <= at_once || traced) return attend_some(query, options);
  const auto rows = [&](const torch::Tensor& tensor, int64_t first, int64_t size) {
    const bool per_query = tensor.defined() && tensor.dim() >= 2 && tensor.size(-2) == count;
    return per_query ? tensor.narrow(-2, first, size) : tensor;
  };
  std::vector<torch::Tensor> parts;
  for (int64_t first = 0; first < count; first += at_once) {
    const int64_t size = std::min(at_once, count - first);
    const auto with = nn::AttentionOptions(options)
                          .bias(rows(bias, first, size))
                          .head_mask(rows(options.head_mask(), first, size));
    parts.push_back(attend_some(query.narrow(2, first, size), with));
  }
  return at::cat(parts, 2);
}

PerceiverSelfAttentionImpl::PerceiverSelfAttentionImpl(const PerceiverConfig& config,
                                                       const PerceiverLayerOptions& layer_options)
    : options(layer_options), dropout(config.attention_probs_dropout_prob) {
  check_heads("qk_channels", *options.qk_channels, options.num_heads);
  check_heads("v_channels", *options.v_channels, options.num_heads);
  layernorm1 = register_module("layernorm1", nn::LayerNorm(options.q_dim));
  if (options.is_cross_attention) {
    layernorm2 = register_module("layernorm2", nn::LayerNorm(options.kv_dim));
  }
  query = register_module("query", nn::Linear(options.q_dim, *options.qk_channels));
  key = register_module("key", nn::Linear(options.kv_dim, *options.qk_channels));
  value = register_module("value", nn::Linear(options.kv_dim, *options.v_channels));
}

torch::Tensor PerceiverSelfAttentionImpl::forward(const torch::Tensor& hidden_states,
                                                  const PerceiverAttentionInputs& attended,
                                                  torch::Tensor* probabilities) const {
  const auto attending = layernorm1->forward(hidden_states);
  const auto inputs = options.is_cross_attention ? layernorm2->forward(attended.inputs) : attending;
  const auto project = [&](const nn::Linear& projection, const torch::Tensor& from) {
    return nn::split_heads(projection->forward(from), options.num_heads);
  };
  const auto attention_options = nn::AttentionOptions()
                                     .dropout(dropout)
                                     .training(is_training())
                                     .bias(attended.bias)
                                     .head_mask(attended.head_mask);
  return nn::merge_heads(perceiver_attend(project(query, attending),
                                          project(key, inputs),
                                          project(value, inputs),
                                          attention_options,
                                          probabilities));
}

PerceiverSelfOutputImpl::PerceiverSelfOutputImpl(int64_t in_channels, int64_t out_channels) {
  dense = register_module("dense", nn::Linear(in_channels, out_channels));
}

torch::Tensor PerceiverSelfOutputImpl::forward(const torch::Tensor& hidden_states) const {
  return dense->forward(hidden_states);
}

PerceiverAttentionImpl::PerceiverAttentionImpl(const PerceiverConfig& config,
                                               PerceiverLayerOptions options)
    : use_query_residual(options.use_query_residual) {
  options = with_channels(config, options);
  const auto out_channels = options.is_cross_attention ? options.q_dim : *options.v_channels;
  self = register_module("self", PerceiverSelfAttention(config, options));
  output = register_module("output", PerceiverSelfOutput(*options.v_channels, out_channels));
}

torch::Tensor PerceiverAttentionImpl::forward(const torch::Tensor& hidden_states,
                                              const PerceiverAttentionInputs& attended,
                                              torch::Tensor* probabilities) const {
  auto x = output->forward(self->forward(hidden_states, attended, probabilities));
  return use_query_residual ? add_to_temporary(std::move(x), hidden_states) : x;
}

PerceiverMLPImpl::PerceiverMLPImpl(Activation hidden_act, int64_t size, int64_t widening_factor)
    : activation(hidden_act) {
  dense1 = register_module("dense1", nn::Linear(size, widening_factor * size));
  dense2 = register_module("dense2", nn::Linear(widening_factor * size, size));
}

torch::Tensor PerceiverMLPImpl::forward(const torch::Tensor& hidden_states) const {
  return dense2->forward(nn::activate_temporary(activation, dense1->forward(hidden_states)));
}

PerceiverLayerImpl::PerceiverLayerImpl(const PerceiverConfig& config,
                                       const PerceiverLayerOptions& options)
    : chunk_size_feed_forward(config.chunk_size_feed_forward) {
  attention = register_module("attention", PerceiverAttention(config, options));
  layernorm = register_module("layernorm", nn::LayerNorm(options.q_dim));
  mlp = register_module("mlp",
                        PerceiverMLP(config.hidden_act, options.q_dim, options.widening_factor));
}

torch::Tensor PerceiverLayerImpl::forward(const torch::Tensor& hidden_states,
                                          const PerceiverAttentionInputs& attended,
                                          torch::Tensor* probabilities) const {
  const auto x = attention->forward(hidden_states, attended, probabilities);
  const auto feed_forward = [&](const torch::Tensor& some) {
    return mlp->forward(layernorm->forward(some));
  };
  if (chunk_size_feed_forward == 0) return add_to_temporary(feed_forward(x), x);
  if (x.size(1) % chunk_size_feed_forward != 0) {
    throw ShapeError("model",
                     "PerceiverLayer",
                     "a number of positions that /chunk_size_feed_forward " +
                         std::to_string(chunk_size_feed_forward) + " divides",
                     std::to_string(x.size(1)));
  }
  std::vector<torch::Tensor> parts;
  for (const auto& chunk : x.split(chunk_size_feed_forward, 1)) {
    parts.push_back(feed_forward(chunk));
  }
  return add_to_temporary(at::cat(parts, 1), x);
}

}  // namespace vizoo
