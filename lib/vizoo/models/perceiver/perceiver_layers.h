#pragma once

// The layer that the Perceiver's encoder and decoders are made of.
// Source: transformers/models/perceiver/modeling_perceiver.py, 4.37.2.

#include <cstdint>
#include <optional>

#include "vizoo/models/perceiver/perceiver_config.h"
#include "vizoo/nn/attention.h"
#include "vizoo/nn/layers.h"

namespace vizoo {

/// Most bytes of attention scores that a Perceiver layer holds at a time where it can do with
/// less: without gradients, dropout and a map that somebody asked for.
constexpr int64_t kPerceiverScoreBytes = int64_t{256} << 20U;

/// nn::attend within `score_bytes` of scores, where the options and `probabilities` allow that: by
/// a fused kernel that holds no scores, or for some queries at a time. With gradients the steps one
/// by one, rounded as Transformers does; the same with a mask in a half type. A query whose keys
/// are all masked attends evenly to all of them.
torch::Tensor perceiver_attend(const torch::Tensor& query,
                               const torch::Tensor& key,
                               const torch::Tensor& value,
                               const nn::AttentionOptions& options,
                               torch::Tensor* probabilities,
                               int64_t score_bytes = kPerceiverScoreBytes);

/// What a layer is made of.
struct PerceiverLayerOptions {
  bool is_cross_attention = false;
  std::optional<int64_t> qk_channels;  ///< of queries and keys; unset: see PerceiverAttention
  std::optional<int64_t> v_channels;   ///< of values; unset: as queries and keys
  int64_t num_heads = 1;               ///< divides both
  int64_t q_dim = 0;                   ///< channels of what attends, Q
  int64_t kv_dim = 0;                  ///< channels of what is attended to, K
  int64_t widening_factor = 4;         ///< hidden channels of the MLP for each of its inputs
  bool use_query_residual = true;      ///< whether what attends is added to the result
};

/// What a layer attends to, and how. Undefined tensors where there is nothing.
struct PerceiverAttentionInputs {
  torch::Tensor inputs;     ///< [B, M, K]; undefined: the layer attends to itself
  torch::Tensor bias;       ///< added to the scores, broadcasts to [B, heads, N, M]
  torch::Tensor head_mask;  ///< factors of the probabilities, broadcasts to the same
};

/// Attention of N positions to M others, or to each other, both normed first. [B, N, Q] -> [B, N,
/// v_channels].
class PerceiverSelfAttentionImpl : public torch::nn::Module {
 public:
  /// Both channel counts of `layer_options` must be set. Throws ConfigError unless heads divide
  /// them.
  PerceiverSelfAttentionImpl(const PerceiverConfig& config,
                             const PerceiverLayerOptions& layer_options);
  /// `probabilities`, unless null, becomes the map after dropout and head mask, [B, heads, N, M].
  torch::Tensor forward(const torch::Tensor& hidden_states,
                        const PerceiverAttentionInputs& attended,
                        torch::Tensor* probabilities) const;

  PerceiverLayerOptions options;
  double dropout;
  nn::LayerNorm layernorm1{nullptr};
  nn::LayerNorm layernorm2{nullptr};  ///< of what is attended to, empty in self-attention
  nn::Linear query{nullptr};
  nn::Linear key{nullptr};
  nn::Linear value{nullptr};
};
TORCH_MODULE(PerceiverSelfAttention);

/// The linear layer after attention: [B, N, in_channels] -> [B, N, out_channels].
class PerceiverSelfOutputImpl : public torch::nn::Module {
 public:
  PerceiverSelfOutputImpl(int64_t in_channels, int64_t out_channels);
  torch::Tensor forward(const torch::Tensor& hidden_states) const;

  nn::Linear dense{nullptr};
};
TORCH_MODULE(PerceiverSelfOutput);

/// Attention, its linear layer, and what attends added to that. [B, N, Q] in and out.
///
/// Channels that the options leave open: queries and keys of cross-attention as
/// cross_attention_shape_for_attention says, of self-attention Q; values as queries and keys.
class PerceiverAttentionImpl : public torch::nn::Module {
 public:
  PerceiverAttentionImpl(const PerceiverConfig& config, PerceiverLayerOptions options);
  torch::Tensor forward(const torch::Tensor& hidden_states,
                        const PerceiverAttentionInputs& attended,
                        torch::Tensor* probabilities) const;

  bool use_query_residual;
  PerceiverSelfAttention self{nullptr};
  PerceiverSelfOutput output{nullptr};
};
TORCH_MODULE(PerceiverAttention);

/// Two linear layers with an activation between them. [B, N, Q] in and out.
class PerceiverMLPImpl : public torch::nn::Module {
 public:
  PerceiverMLPImpl(Activation hidden_act, int64_t size, int64_t widening_factor);
  torch::Tensor forward(const torch::Tensor& hidden_states) const;

  Activation activation;
  nn::Linear dense1{nullptr};
  nn::Linear dense2{nullptr};
};
TORCH_MODULE(PerceiverMLP);

/// x = attention(h), y = x + mlp(norm(x)). [B, N, Q] in and out.
class PerceiverLayerImpl : public torch::nn::Module {
 public:
  PerceiverLayerImpl(const PerceiverConfig& config, const PerceiverLayerOptions& options);
  /// Throws ShapeError unless chunk_size_feed_forward divides N.
  torch::Tensor forward(const torch::Tensor& hidden_states,
                        const PerceiverAttentionInputs& attended,
                        torch::Tensor* probabilities) const;

  int64_t chunk_size_feed_forward;
  PerceiverAttention attention{nullptr};
  nn::LayerNorm layernorm{nullptr};
  PerceiverMLP mlp{nullptr};
};
TORCH_MODULE(PerceiverLayer);

}  // namespace vizoo
