#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "vizoo/nn/torch.h"

namespace vizoo {

/// Tensors with names, in order.
using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

/// Output of a bare vision model (modeling_outputs.py, BaseModelOutputWithPooling).
///
/// Every output struct has one `fields()` visitor in Transformers' order; fields that were not
/// asked for are undefined tensors and empty vectors.
struct BaseModelOutputWithPooling {
  torch::Tensor last_hidden_state;           ///< after the last stage; layout as the model says
  torch::Tensor pooler_output;               ///< [B, hidden]; undefined if the model has no pooler
  std::vector<torch::Tensor> hidden_states;  ///< on request
  std::vector<torch::Tensor> attentions;     ///< on request, by models with attention
  /// hidden_states as [B, C, H, W], by NAT and DiNAT.
  std::vector<torch::Tensor> reshaped_hidden_states;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("last_hidden_state", self.last_hidden_state);
    visit("pooler_output", self.pooler_output);
    visit("hidden_states", self.hidden_states);
    visit("attentions", self.attentions);
    visit("reshaped_hidden_states", self.reshaped_hidden_states);
  }
};

/// Output of an image classifier (modeling_outputs.py, ImageClassifierOutput; modeling_levit.py,
/// LevitForImageClassificationWithTeacherOutput).
struct ImageClassifierOutput {
  torch::Tensor loss;                        ///< scalar, when labels were given
  torch::Tensor logits;                      ///< [B, num_labels], before softmax or sigmoid
  torch::Tensor cls_logits;                  ///< of the first head, by LeViT with a teacher
  torch::Tensor distillation_logits;         ///< of its second head; logits are the mean of both
  std::vector<torch::Tensor> hidden_states;  ///< on request
  std::vector<torch::Tensor> attentions;     ///< on request, by models with attention
  /// hidden_states as [B, C, H, W], by NAT and DiNAT.
  std::vector<torch::Tensor> reshaped_hidden_states;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("loss", self.loss);
    visit("logits", self.logits);
    visit("cls_logits", self.cls_logits);
    visit("distillation_logits", self.distillation_logits);
    visit("hidden_states", self.hidden_states);
    visit("attentions", self.attentions);
    visit("reshaped_hidden_states", self.reshaped_hidden_states);
  }
};

/// Output of a backbone (modeling_outputs.py, BackboneOutput).
struct BackboneOutput {
  std::vector<torch::Tensor> feature_maps;   ///< one [B, C_i, H_i, W_i] for each of out_features
  std::vector<torch::Tensor> hidden_states;  ///< on request
  std::vector<torch::Tensor> attentions;     ///< on request, by models with attention

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("feature_maps", self.feature_maps);
    visit("hidden_states", self.hidden_states);
    visit("attentions", self.attentions);
  }
};

/// The defined tensors of an output under Transformers' names; entry i of a tuple is `name.i`, a
/// field of a nested output `name.field`.
template <class Output>
NamedTensors named_tensors(const Output& output, const std::string& prefix = "") {
  NamedTensors named;
  Output::fields(output, [&](const char* key, const auto& value) {
    using Value = std::decay_t<decltype(value)>;
    const std::string name = prefix + key;
    if constexpr (std::is_same_v<Value, torch::Tensor>) {
      if (value.defined()) named.emplace_back(name, value);
    } else if constexpr (std::is_same_v<Value, std::vector<torch::Tensor>>) {
      for (std::size_t i = 0; i < value.size(); ++i) {
        named.emplace_back(name + "." + std::to_string(i), value[i]);
      }
    } else {
      auto nested = named_tensors(value, name + ".");
      named.insert(named.end(), nested.begin(), nested.end());
    }
  });
  return named;
}

/// What Transformers returns with `return_dict=False`: the fields that are set, in order; each
/// entry is one tensor, the tensors of one tuple, or those of one nested output. `pooler_output`
/// keeps its place, undefined if the model has no pooler; `reshaped_hidden_states` is no part of
/// the tuple.
template <class Output>
std::vector<std::vector<torch::Tensor>> to_tuple(const Output& output) {
  std::vector<std::vector<torch::Tensor>> tuple;
  Output::fields(output, [&](const char* key, const auto& value) {
    using Value = std::decay_t<decltype(value)>;
    const std::string_view name = key;
    if constexpr (std::is_same_v<Value, torch::Tensor>) {
      if (value.defined() || name == "pooler_output") tuple.push_back({value});
    } else if constexpr (std::is_same_v<Value, std::vector<torch::Tensor>>) {
      if (!value.empty() && name != "reshaped_hidden_states") tuple.push_back(value);
    } else {
      auto& nested = tuple.emplace_back();
      for (const auto& entry : to_tuple(value)) {
        nested.insert(nested.end(), entry.begin(), entry.end());
      }
    }
  });
  return tuple;
}

}  // namespace vizoo
