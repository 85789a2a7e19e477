#pragma once

// What goes into the Perceiver models and their parts, and what comes out. Source of the outputs:
// transformers/models/perceiver/modeling_perceiver.py, 4.37.2.

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "vizoo/nn/model_output.h"

namespace vizoo {

/// A tensor for each modality ("audio", "image", "label", ...), in the order of their names.
struct PerceiverModalities : std::map<std::string, torch::Tensor> {
  using std::map<std::string, torch::Tensor>::map;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    for (auto& [name, tensor] : self) visit(name.c_str(), tensor);
  }
};

/// One tensor, or one for each modality: what upstream passes as a tensor or a dict.
struct PerceiverTensors {
  PerceiverTensors() = default;
  PerceiverTensors(torch::Tensor one) : tensor(std::move(one)) {}
  PerceiverTensors(PerceiverModalities several) : modalities(std::move(several)) {}

  /// Whether there is nothing in it.
  bool empty() const { return !tensor.defined() && modalities.empty(); }

  torch::Tensor tensor;
  PerceiverModalities modalities;
};

/// Number of positions of each modality, in the order in which they are concatenated.
using PerceiverModalitySizes = std::map<std::string, int64_t>;

/// Options of the Perceiver models' forward.
struct PerceiverOptions {
  /// Default: the config's value.
  TORCH_ARG(std::optional<bool>, output_hidden_states) = std::nullopt;
  TORCH_ARG(std::optional<bool>, output_attentions) = std::nullopt;
  /// 1 where the latents may attend to an input, 0 where not: [B or 1, N] or [B or 1, L or 1, N]
  /// for N positions after the preprocessor and L latents, any dtype.
  TORCH_ARG(torch::Tensor, attention_mask) = torch::Tensor();
  /// Factors of the probabilities of self-attention: [heads], or [layers, heads] of which row i
  /// counts for layer i of every block; any dtype.
  TORCH_ARG(torch::Tensor, head_mask) = torch::Tensor();
  /// Labels of a head that has a loss; the head documents shape and dtype.
  TORCH_ARG(torch::Tensor, labels) = torch::Tensor();
  /// Images of another size than the table of trainable positions is for
  /// (PerceiverImagePreprocessor): positions are resized bicubically, as later versions of
  /// Transformers do. Other positions follow the size anyway.
  TORCH_ARG(bool, interpolate_pos_encoding) = false;
  /// PerceiverModel with a PerceiverMultimodalDecoder: which outputs of each modality to decode,
  /// indices into its flattened output, [Q], Int or Long.
  TORCH_ARG(PerceiverModalities, subsampled_output_points);
};

/// Output of PerceiverModel. B inputs, N positions each after the preprocessor, L latents, Q
/// queries of the decoder.
struct PerceiverModelOutput {
  torch::Tensor logits;                 ///< what the decoder or the postprocessor returns, if any
  PerceiverModalities modality_logits;  ///< instead, if that has several modalities
  torch::Tensor last_hidden_state;      ///< [B, L, d_latents]
  /// On request: [B, L, d_latents], the latents before each self-attention layer and after each
  /// block; the first are those after the cross-attention.
  std::vector<torch::Tensor> hidden_states;
  std::vector<torch::Tensor> attentions;  ///< on request: [B, heads, L, L] for each layer applied
  /// On request: the encoder's, [B, heads, L, N], and the decoder's, if it has one, [B, heads, Q,
  /// L].
  std::vector<torch::Tensor> cross_attentions;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("logits", self.logits);
    if (!self.modality_logits.empty()) visit("logits", self.modality_logits);
    visit("last_hidden_state", self.last_hidden_state);
    visit("hidden_states", self.hidden_states);
    visit("attentions", self.attentions);
    visit("cross_attentions", self.cross_attentions);
  }
};

/// Output of the classifiers and of optical flow; hidden states and attentions as
/// PerceiverModelOutput.
struct PerceiverClassifierOutput {
  torch::Tensor loss;    ///< scalar, when labels were given
  torch::Tensor logits;  ///< as the model says
  std::vector<torch::Tensor> hidden_states;
  std::vector<torch::Tensor> attentions;
  std::vector<torch::Tensor> cross_attentions;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("loss", self.loss);
    visit("logits", self.logits);
    visit("hidden_states", self.hidden_states);
    visit("attentions", self.attentions);
    visit("cross_attentions", self.cross_attentions);
  }
};

/// Output of PerceiverForMaskedLM, with the same fields.
using PerceiverMaskedLMOutput = PerceiverClassifierOutput;

/// Output of PerceiverForMultimodalAutoencoding: logits for each modality, the rest as
/// PerceiverModelOutput.
struct PerceiverMultimodalOutput {
  PerceiverModalities logits;
  std::vector<torch::Tensor> hidden_states;
  std::vector<torch::Tensor> attentions;
  std::vector<torch::Tensor> cross_attentions;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("logits", self.logits);
    visit("hidden_states", self.hidden_states);
    visit("attentions", self.attentions);
    visit("cross_attentions", self.cross_attentions);
  }
};

/// What Transformers returns with `return_dict=False`: as of any output, but the map of the
/// decoder's cross-attention is an entry of its own behind the encoder's.
std::vector<std::vector<torch::Tensor>> to_tuple(const PerceiverModelOutput& output);
std::vector<std::vector<torch::Tensor>> to_tuple(const PerceiverClassifierOutput& output);
std::vector<std::vector<torch::Tensor>> to_tuple(const PerceiverMultimodalOutput& output);

}  // namespace vizoo
