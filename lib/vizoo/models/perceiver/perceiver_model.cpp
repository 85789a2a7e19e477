#include "vizoo/models/perceiver/perceiver_model.h"

#include <utility>

#include "vizoo/core/error.h"
#include "vizoo/models/perceiver/perceiver_multimodal.h"

namespace vizoo {
namespace {

constexpr const char* kInputs = "inputs.";
constexpr const char* kPoints = "subsampled_output_points.";

// The tensors among the arguments whose names begin with `prefix`, by the rest of the name.
PerceiverModalities modalities_of(const NamedArguments& arguments, const std::string& prefix) {
  PerceiverModalities modalities;
  for (const auto& [name, tensor] : arguments) {
    if (name.rfind(prefix, 0) == 0) modalities[name.substr(prefix.size())] = tensor;
  }
  return modalities;
}

// The logits of each modality, of which those without points have one query; none without points.
// logits: [B, queries, C].
PerceiverModalities split_by_points(const torch::Tensor& logits,
                                    const PerceiverDecoder& decoder,
                                    const PerceiverModalities& points) {
  const auto* multimodal = dynamic_cast<const PerceiverMultimodalDecoderImpl*>(decoder.get());
  if (points.empty() || multimodal == nullptr) return {};
  // The numbers of points as a tensor, so that an exported model takes any.
  std::vector<torch::Tensor> counts;
  for (const auto& [modality, part] : multimodal->decoders) {
    const auto found = points.find(modality);
    counts.push_back(found == points.end() ? at::ones({1}, torch::kLong)
                                           : at::_shape_as_tensor(found->second));
  }
  const auto ends = at::cat(counts).cumsum(0).slice(0, 0, -1);
  const auto parts = at::tensor_split(logits, ends, 1);
  PerceiverModalities split;
  for (const auto& [modality, part] : multimodal->decoders) {
    split.emplace(modality, parts[split.size()]);
  }
  return split;
}

PerceiverPreprocessed without_preprocessor(const PerceiverTensors& inputs,
                                           const PerceiverConfig& config) {
  const auto& tensor = perceiver_single_input(inputs, {});
  if (tensor.dim() == 3 && tensor.size(2) == config.d_model && tensor.is_floating_point()) {
    return {tensor, {}, {}};
  }
  throw ShapeError(
      "model",
      "inputs",
      "a floating-point tensor [B, N, " + std::to_string(config.d_model) + "], as /d_model says",
      describe_tensor(tensor));
}

}  // namespace

PerceiverModelImpl::PerceiverModelImpl(PerceiverConfig model_config,
                                       PerceiverPreprocessor preprocessor,
                                       PerceiverDecoder model_decoder,
                                       PerceiverPostprocessor postprocessor)
    : PretrainedModel(std::move(model_config)),
      input_preprocessor(std::move(preprocessor)),
      output_postprocessor(std::move(postprocessor)),
      decoder(std::move(model_decoder)) {
  const auto channels = input_preprocessor ? input_preprocessor->num_channels() : config.d_model;
  if (input_preprocessor) register_module("input_preprocessor", input_preprocessor);
  if (output_postprocessor) register_module("output_postprocessor", output_postprocessor);
  embeddings = register_module("embeddings", PerceiverEmbeddings(config));
  encoder = register_module("encoder", PerceiverEncoder(config, channels));
  if (decoder) register_module("decoder", decoder);
  initialize_weights();
}

std::shared_ptr<torch::nn::Module> PerceiverModelImpl::clone(
    const std::optional<torch::Device>& device) const {
  const nn::NoInitGuard no_init;
  auto copy = std::make_shared<PerceiverModelImpl>(
      config,
      input_preprocessor ? input_preprocessor->make_another() : nullptr,
      decoder ? decoder->make_another() : nullptr,
      output_postprocessor ? output_postprocessor->make_another() : nullptr);
  copy_state(*this, *copy);
  if (device) copy->to(*device);
  return copy;
}

bool initialize_perceiver_module(torch::nn::Module& module, double std) {
  if (auto* latents = dynamic_cast<PerceiverEmbeddingsImpl*>(&module)) {
    nn::normal_(latents->latents, std);
  } else if (auto* table = dynamic_cast<PerceiverTrainablePositionEncodingImpl*>(&module)) {
    nn::normal_(table->position_embeddings, std);
  } else if (dynamic_cast<PerceiverModalityParametersImpl*>(&module) != nullptr) {
    for (auto& parameter : module.named_parameters(/*recurse=*/false)) {
      nn::normal_(parameter.value(), std);
    }
  } else if (auto* embedding = dynamic_cast<nn::EmbeddingImpl*>(&module)) {
    nn::normal_(embedding->weight, std);
  } else if (auto* bias = dynamic_cast<PerceiverEmbeddingDecoderImpl*>(&module)) {
    const torch::NoGradGuard no_grad;
    bias->bias.zero_();
  } else {
    return false;
  }
  return true;
}

void PerceiverModelImpl::initialize_module(torch::nn::Module& module) const {
  if (!initialize_perceiver_module(module, config.initializer_range)) {
    PretrainedModelImpl::initialize_module(module);
  }
}

std::vector<std::string> PerceiverModelImpl::argument_names() const {
  std::vector<std::string> names = {
      "inputs", "attention_mask", "head_mask", "interpolate_pos_encoding"};
  if (const auto* several =
          dynamic_cast<const PerceiverMultimodalPreprocessorImpl*>(input_preprocessor.get())) {
    names.erase(names.begin());
    for (const auto& [modality, part] : several->preprocessors) names.push_back(kInputs + modality);
  }
  if (const auto* several = dynamic_cast<const PerceiverMultimodalDecoderImpl*>(decoder.get())) {
    for (const auto& [modality, part] : several->decoders) names.push_back(kPoints + modality);
  }
  return names;
}

NamedTensors PerceiverModelImpl::forward_named(const NamedArguments& arguments,
                                               const ForwardOptions& options) {
  const nn::NamedArgumentReader reader(arguments, "PerceiverModel.forward", argument_names());
  PerceiverTensors inputs(reader.tensor("inputs"));
  inputs.modalities = modalities_of(arguments, kInputs);
  return named_tensors(forward(inputs,
                               perceiver_options(reader, options)
                                   .subsampled_output_points(modalities_of(arguments, kPoints))));
}

PerceiverModelOutput PerceiverModelImpl::forward(const PerceiverTensors& inputs,
                                                 const PerceiverOptions& options) const {
  return decode(encode(inputs, options),
                options.subsampled_output_points(),
                options.output_attentions().value_or(config.output_attentions));
}

PerceiverEncoding PerceiverModelImpl::encode(const PerceiverTensors& inputs,
                                             const PerceiverOptions& options) const {
  PerceiverEncoding encoding;
  encoding.inputs = input_preprocessor ? input_preprocessor->forward(
                                             inputs, {"inputs", options.interpolate_pos_encoding()})
                                       : without_preprocessor(inputs, config);
  const auto& preprocessed = encoding.inputs.inputs;
  check_perceiver_masks(config, preprocessed, options);
  encoding.output =
      encoder->forward(embeddings->forward(preprocessed),
                       preprocessed,
                       options,
                       options.output_hidden_states().value_or(config.output_hidden_states),
                       options.output_attentions().value_or(config.output_attentions));
  return encoding;
}

PerceiverModelOutput PerceiverModelImpl::decode(const PerceiverEncoding& encoding,
                                                const PerceiverTensors& subsampled_output_points,
                                                bool output_attentions) const {
  auto output = encoding.output;
  if (!decoder) return output;
  const auto query = decoder->decoder_query(encoding.inputs, subsampled_output_points);
  auto decoded = decoder->forward(query, output.last_hidden_state, output_attentions);
  if (decoded.cross_attentions.defined()) {
    output.cross_attentions.push_back(decoded.cross_attentions);
  }
  PerceiverTensors logits(decoded.logits);
  if (output_postprocessor) {
    logits.modalities =
        split_by_points(decoded.logits, decoder, subsampled_output_points.modalities);
    logits = output_postprocessor->forward(logits, encoding.inputs.modality_sizes);
  }
  output.logits = logits.tensor;
  output.modality_logits = logits.modalities;
  return output;
}

PerceiverOptions perceiver_options(const nn::NamedArgumentReader& reader,
                                   const ForwardOptions& options) {
  return PerceiverOptions()
      .output_hidden_states(options.output_hidden_states())
      .output_attentions(options.output_attentions())
      .attention_mask(reader.tensor("attention_mask"))
      .head_mask(reader.tensor("head_mask"))
      .labels(reader.tensor("labels"))
      .interpolate_pos_encoding(reader.flag("interpolate_pos_encoding"));
}

torch::Tensor perceiver_inputs(const nn::NamedArgumentReader& reader, const char* alias) {
  auto inputs = reader.tensor("inputs");
  const auto other = reader.tensor(alias);
  if (inputs.defined() && other.defined()) {
    throw UsageError("model", "arguments", std::string("one of inputs and ") + alias, "both");
  }
  if (!inputs.defined()) return reader.required(alias);
  return inputs;
}

PerceiverClassifierOutput perceiver_classifier_output(PerceiverModelOutput output) {
  return {{},
          std::move(output.logits),
          std::move(output.hidden_states),
          std::move(output.attentions),
          std::move(output.cross_attentions)};
}

PerceiverOptions with_defaults(PerceiverOptions options, const PretrainedConfig& config) {
  if (!options.output_hidden_states()) options.output_hidden_states(config.output_hidden_states);
  if (!options.output_attentions()) options.output_attentions(config.output_attentions);
  return options;
}

}  // namespace vizoo
