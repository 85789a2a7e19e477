#pragma once

// The Perceiver's latents and the encoder that they go through.
// Source: transformers/models/perceiver/modeling_perceiver.py, 4.37.2.

#include "vizoo/models/perceiver/perceiver_layers.h"
#include "vizoo/models/perceiver/perceiver_output.h"

namespace vizoo {

/// A table [N, C] for every one of a batch: [B, N, C], a view. `like`: any tensor with the batch
/// first.
torch::Tensor perceiver_expand(const torch::Tensor& table, const torch::Tensor& like);

/// Rejects tensors of the options that do not fit: head_mask against the config, attention_mask
/// against `inputs` [B, N, C]. Throws ShapeError.
void check_perceiver_masks(const PerceiverConfig& config,
                           const torch::Tensor& inputs,
                           const PerceiverOptions& options);

/// The latents, learned: parameter `latents` [num_latents, d_latents].
class PerceiverEmbeddingsImpl : public torch::nn::Module {
 public:
  explicit PerceiverEmbeddingsImpl(const PerceiverConfig& config);
  /// For every one of a batch: [B, num_latents, d_latents]. `inputs`: any tensor [B, ...].
  torch::Tensor forward(const torch::Tensor& inputs) const;

  torch::Tensor latents;
};
TORCH_MODULE(PerceiverEmbeddings);

/// Attends from the latents to the inputs once, then from the latents to each other in num_blocks
/// blocks of the same layers.
class PerceiverEncoderImpl : public torch::nn::Module {
 public:
  /// `kv_dim`: channels of the inputs.
  PerceiverEncoderImpl(const PerceiverConfig& config, int64_t kv_dim);
  /// hidden_states: [B, num_latents, d_latents]; inputs: [B, N, kv_dim]. Of the options
  /// attention_mask and head_mask count. Fills in last_hidden_state and what was asked for.
  PerceiverModelOutput forward(const torch::Tensor& hidden_states,
                               const torch::Tensor& inputs,
                               const PerceiverOptions& options,
                               bool output_hidden_states,
                               bool output_attentions) const;

  int64_t num_blocks;
  PerceiverLayer cross_attention{nullptr};
  torch::nn::ModuleList self_attends;
};
TORCH_MODULE(PerceiverEncoder);

}  // namespace vizoo
