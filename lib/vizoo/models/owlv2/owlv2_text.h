#pragma once

// The text tower of OWLv2, which is CLIP's.
// Source: transformers/models/owlv2/modeling_owlv2.py, 4.37.2.

#include <string>
#include <vector>

#include "vizoo/models/owlv2/owlv2_encoder.h"
#include "vizoo/models/owlv2/owlv2_output.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {

/// Token and position embeddings.
class Owlv2TextEmbeddingsImpl : public torch::nn::Module {
 public:
  explicit Owlv2TextEmbeddingsImpl(const Owlv2TextConfig& config);
  /// input_ids: [T, L], integer, from 0 to vocab_size - 1, L at most max_position_embeddings.
  /// `positions`: 0 ... L - 1 as [1, L]. Returns [T, L, C]. Throws ShapeError for an id outside of
  /// the vocabulary.
  torch::Tensor forward(const torch::Tensor& input_ids, const torch::Tensor& positions) const;
  /// Fresh weights: N(0, 0.02 factor).
  void initialize(double factor);

  nn::Embedding token_embedding{nullptr};
  nn::Embedding position_embedding{nullptr};
};
TORCH_MODULE(Owlv2TextEmbeddings);

/// The tower, with causal attention. T texts of L tokens. last_hidden_state: [T, L, C] after the
/// final norm; pooler_output: [T, C], its row at the largest id of the text, the first of these,
/// which is the first end-of-text token; hidden_states: embeddings and each layer, [T, L, C],
/// before the final norm; attentions: each layer, [T, heads, L, L].
class Owlv2TextTransformerImpl : public torch::nn::Module {
 public:
  explicit Owlv2TextTransformerImpl(Owlv2TextConfig text_config);
  /// input_ids: [T, L] or [B, Q, L] with B Q = T, integer, L from 1 to max_position_embeddings.
  /// attention_mask: of the same shape, 1 where a token may be attended to, or undefined. Flags
  /// default to the tower's config. Throws ShapeError for anything else.
  BaseModelOutputWithPooling forward(const torch::Tensor& input_ids,
                                     const torch::Tensor& attention_mask = {},
                                     const Owlv2Options& options = {}) const;

  Owlv2TextConfig config;
  Owlv2TextEmbeddings embeddings{nullptr};
  Owlv2Encoder encoder{nullptr};
  nn::LayerNorm final_layer_norm{nullptr};
};
TORCH_MODULE(Owlv2TextTransformer);

/// The text tower alone. Loads from its own checkpoints and from those of Owlv2Model and
/// Owlv2ForObjectDetection, whose other parts are left out silently.
class Owlv2TextModelImpl
    : public PretrainedModel<Owlv2TextModelImpl, Owlv2TextConfig, PretrainedModelImpl> {
 public:
  static constexpr const char* kClassName = "Owlv2TextModel";
  static constexpr const char* kBaseModelPrefix = "owlv2";
  explicit Owlv2TextModelImpl(Owlv2TextConfig model_config = {});

  void initialize_module(torch::nn::Module& module) const override;
  bool is_ignored_key(const std::string& key) const override;
  std::vector<std::string> argument_names() const override {
    return {"input_ids", "attention_mask"};
  }
  NamedTensors forward_named(const NamedArguments& arguments,
                             const ForwardOptions& options) override;

  /// As Owlv2TextTransformer.
  BaseModelOutputWithPooling forward(const torch::Tensor& input_ids,
                                     const torch::Tensor& attention_mask = {},
                                     const Owlv2Options& options = {});

  Owlv2TextTransformer text_model{nullptr};
};
TORCH_MODULE(Owlv2TextModel);

}  // namespace vizoo
