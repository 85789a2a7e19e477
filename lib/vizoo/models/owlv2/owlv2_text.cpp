#include "vizoo/models/owlv2/owlv2_text.h"

#include <utility>

#include "vizoo/core/error.h"
#include "vizoo/nn/attention.h"
#include "vizoo/nn/named_arguments.h"

namespace vizoo {
namespace {

void check_texts(const torch::Tensor& input_ids,
                 const torch::Tensor& attention_mask,
                 const Owlv2TextConfig& config) {
  const auto longest = config.max_position_embeddings;
  const auto expected = "an Int or Long tensor [texts, length] of length 1 to " +
                        std::to_string(longest) + " with at least one text";
  if (!input_ids.defined()) throw ShapeError("model", "input_ids", expected, "none");
  const auto type = input_ids.scalar_type();
  if ((type != torch::kLong && type != torch::kInt) ||
      (input_ids.dim() != 2 && input_ids.dim() != 3) || input_ids.numel() == 0 ||
      input_ids.size(-1) > longest) {
    throw ShapeError("model",
                     "input_ids",
                     expected,
                     describe_tensor(input_ids),
                     "Truncate texts that are too long");
  }
  if (!attention_mask.defined() || attention_mask.sizes() == input_ids.sizes()) return;
  throw ShapeError(
      "model", "attention_mask", "the shape of input_ids", describe_tensor(attention_mask));
}

// What is added to the scores: 0 where a position may attend to another, else the least number of
// `dtype`; minus infinity, as upstream, where the other one is both behind it and masked.
// positions: [1, L]; attention_mask: [T, L] or undefined. Returns [L, L] or [T, 1, L, L].
torch::Tensor scores_mask(const torch::Tensor& positions,
                          const torch::Tensor& attention_mask,
                          at::ScalarType dtype) {
  const auto causal = positions.gt(positions.transpose(0, 1)).to(dtype) * nn::lowest(dtype);
  if (!attention_mask.defined()) return causal;
  const auto masked = attention_mask.to(dtype).ne(1).to(dtype) * nn::lowest(dtype);
  return causal + masked.unsqueeze(1).unsqueeze(1);  // [L, L] + [T, 1, 1, L]
}

}  // namespace

Owlv2TextEmbeddingsImpl::Owlv2TextEmbeddingsImpl(const Owlv2TextConfig& config) {
  token_embedding =
      register_module("token_embedding", nn::Embedding(config.vocab_size, config.hidden_size));
  position_embedding = register_module(
      "position_embedding", nn::Embedding(config.max_position_embeddings, config.hidden_size));
}

torch::Tensor Owlv2TextEmbeddingsImpl::forward(const torch::Tensor& input_ids,
                                               const torch::Tensor& positions) const {
  torch::Tensor tokens;
  try {
    tokens = token_embedding->forward(input_ids);
  } catch (const c10::IndexError&) {
    throw ShapeError("model",
                     "input_ids",
                     "ids from 0 to " + std::to_string(token_embedding->weight.size(0) - 1),
                     "ids from " + std::to_string(input_ids.min().item<int64_t>()) + " to " +
                         std::to_string(input_ids.max().item<int64_t>()),
                     "The tokenizer may belong to another model");
  }
  return tokens + position_embedding->forward(positions);
}

void Owlv2TextEmbeddingsImpl::initialize(double factor) {
  constexpr double kStd = 0.02;
  nn::normal_(token_embedding->weight, factor * kStd);
  nn::normal_(position_embedding->weight, factor * kStd);
}

Owlv2TextTransformerImpl::Owlv2TextTransformerImpl(Owlv2TextConfig text_config)
    : config(std::move(text_config)) {
  embeddings = register_module("embeddings", Owlv2TextEmbeddings(config));
  encoder = register_module("encoder", Owlv2Encoder(Owlv2EncoderOptions(config)));
  final_layer_norm =
      register_module("final_layer_norm", nn::LayerNorm(config.hidden_size, config.layer_norm_eps));
}

BaseModelOutputWithPooling Owlv2TextTransformerImpl::forward(const torch::Tensor& input_ids,
                                                             const torch::Tensor& attention_mask,
                                                             const Owlv2Options& options) const {
  check_texts(input_ids, attention_mask, config);
  const auto ids = input_ids.flatten(0, -2);  // [T, L]
  const auto mask = attention_mask.defined() ? attention_mask.flatten(0, -2) : attention_mask;
  const auto positions = at::ones_like(ids.narrow(0, 0, 1)).cumsum(-1) - 1;  // [1, L]
  const auto hidden_states = embeddings->forward(ids, positions);
  auto output =
      encoder->forward(hidden_states,
                       scores_mask(positions, mask, hidden_states.scalar_type()),
                       options.output_hidden_states().value_or(config.output_hidden_states),
                       options.output_attentions().value_or(config.output_attentions));
  output.last_hidden_state = final_layer_norm->forward(output.last_hidden_state);
  // The end-of-text token has the largest id. [T] -> [T, 1, 1] -> [T, 1, C]
  const auto end = ids.to(torch::kInt).argmax(-1).unsqueeze(-1).unsqueeze(-1);
  const auto index = end.expand_as(output.last_hidden_state.narrow(1, 0, 1));
  output.pooler_output = output.last_hidden_state.gather(1, index).squeeze(1);
  return output;
}

Owlv2TextModelImpl::Owlv2TextModelImpl(Owlv2TextConfig model_config)
    : PretrainedModel(std::move(model_config)) {
  text_model = register_module("text_model", Owlv2TextTransformer(config));
  initialize_weights();
}

void Owlv2TextModelImpl::initialize_module(torch::nn::Module& module) const {
  initialize_owlv2_module(module, config.initializer_factor);
}

bool Owlv2TextModelImpl::is_ignored_key(const std::string& key) const {
  return key.rfind("text_model.", 0) != 0 || is_owlv2_derived_key(key);
}

NamedTensors Owlv2TextModelImpl::forward_named(const NamedArguments& arguments,
                                               const ForwardOptions& options) {
  const nn::NamedArgumentReader reader(arguments, "Owlv2TextModel.forward", argument_names());
  return named_tensors(forward(reader.required("input_ids"),
                               reader.tensor("attention_mask"),
                               Owlv2Options()
                                   .output_hidden_states(options.output_hidden_states())
                                   .output_attentions(options.output_attentions())));
}

BaseModelOutputWithPooling Owlv2TextModelImpl::forward(const torch::Tensor& input_ids,
                                                       const torch::Tensor& attention_mask,
                                                       const Owlv2Options& options) {
  return text_model->forward(input_ids, attention_mask, options);
}

}  // namespace vizoo
