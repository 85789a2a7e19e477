#pragma once

// The transformer encoder that both towers of OWLv2 have.
// Source: transformers/models/owlv2/modeling_owlv2.py, 4.37.2.

#include <cstdint>
#include <string>
#include <vector>

#include "vizoo/models/owlv2/owlv2_config.h"
#include "vizoo/nn/layers.h"
#include "vizoo/nn/model_output.h"

namespace vizoo {

/// What an encoder needs to know of its tower's config.
struct Owlv2EncoderOptions {
  explicit Owlv2EncoderOptions(const Owlv2TextConfig& config);
  explicit Owlv2EncoderOptions(const Owlv2VisionConfig& config);

  int64_t hidden_size;
  int64_t intermediate_size;
  int64_t num_hidden_layers;
  int64_t num_attention_heads;
  Activation hidden_act;
  double layer_norm_eps;
  double attention_dropout;
};

/// Attention of every token to every token, the query scaled before the product. [B, N, C] in and
/// out.
class Owlv2AttentionImpl : public torch::nn::Module {
 public:
  explicit Owlv2AttentionImpl(const Owlv2EncoderOptions& encoder_options);
  /// `mask`: added to the scores, [B or 1, 1, N, N], or undefined. `probabilities`, unless null,
  /// becomes [B, heads, N, N], before dropout.
  torch::Tensor forward(const torch::Tensor& hidden_states,
                        const torch::Tensor& mask,
                        torch::Tensor* probabilities) const;
  /// Fresh weights: N(0, factor / sqrt(C)), query, key and value divided by sqrt(2 layers) more.
  void initialize(double factor);

  Owlv2EncoderOptions options;
  nn::Linear k_proj{nullptr};
  nn::Linear v_proj{nullptr};
  nn::Linear q_proj{nullptr};
  nn::Linear out_proj{nullptr};
};
TORCH_MODULE(Owlv2Attention);

/// Two linear layers with an activation between them. [B, N, C] in and out.
class Owlv2MLPImpl : public torch::nn::Module {
 public:
  explicit Owlv2MLPImpl(const Owlv2EncoderOptions& encoder_options);
  torch::Tensor forward(const torch::Tensor& hidden_states) const;
  /// Fresh weights: fc1 from N(0, factor / sqrt(2 C)), fc2 from N(0, factor / sqrt(2 C layers)).
  void initialize(double factor);

  Owlv2EncoderOptions options;
  nn::Linear fc1{nullptr};
  nn::Linear fc2{nullptr};
};
TORCH_MODULE(Owlv2MLP);

/// x + attention(norm(x)), then the same with an MLP; arguments as Owlv2Attention.
class Owlv2EncoderLayerImpl : public torch::nn::Module {
 public:
  explicit Owlv2EncoderLayerImpl(const Owlv2EncoderOptions& options);
  torch::Tensor forward(const torch::Tensor& hidden_states,
                        const torch::Tensor& mask,
                        torch::Tensor* probabilities) const;

  Owlv2Attention self_attn{nullptr};
  nn::LayerNorm layer_norm1{nullptr};
  Owlv2MLP mlp{nullptr};
  nn::LayerNorm layer_norm2{nullptr};
};
TORCH_MODULE(Owlv2EncoderLayer);

class Owlv2EncoderImpl : public torch::nn::Module {
 public:
  explicit Owlv2EncoderImpl(const Owlv2EncoderOptions& options);
  /// Runs all layers on [B, N, C]: fills in last_hidden_state, without a norm after it; on request
  /// hidden_states, the input and each layer's output, and attentions. `mask` as Owlv2Attention.
  BaseModelOutputWithPooling forward(const torch::Tensor& inputs_embeds,
                                     const torch::Tensor& mask,
                                     bool output_hidden_states,
                                     bool output_attentions) const;

  torch::nn::ModuleList layers;
};
TORCH_MODULE(Owlv2Encoder);

/// Initialises the parameters that a module of the towers itself holds or that upstream sets from
/// there, as `Owlv2PreTrainedModel._init_weights`: norms 1 and 0, biases 0, the rest by `factor`
/// times what the module says. Does nothing for the projections of Owlv2Model.
void initialize_owlv2_module(torch::nn::Module& module, double factor);

/// Whether a checkpoint's key names what older and newer versions of Transformers saved although it
/// follows from the config: `position_ids`, `box_bias`.
bool is_owlv2_derived_key(const std::string& key);

}  // namespace vizoo
