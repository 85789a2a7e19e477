#include "vizoo/models/perceiver/perceiver_multimodal.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "vizoo/core/error.h"
#include "vizoo/models/perceiver/perceiver_encoder.h"
#include "vizoo/nn/initialization.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {
namespace {

template <class Components>
std::string component_names(const Components& components) {
  std::string names;
  for (const auto& [name, component] : components) names += (names.empty() ? "" : ", ") + name;
  return names.empty() ? "none" : names;
}

// Registers the components as children of one module, `modalities`, as upstream's ModuleDict.
template <class Components>
void register_modalities(torch::nn::Module& owner, const char* class_name, Components& components) {
  if (components.empty()) throw UsageError("usage", class_name, "at least one modality", "none");
  const auto modules = std::make_shared<torch::nn::Module>();
  for (const auto& [name, component] : components) {
    if (name.empty() || name.find('.') != std::string::npos || component == nullptr) {
      throw UsageError("usage",
                       std::string(class_name) + ": modalities",
                       "names without dots, and a component for each",
                       quote(name));
    }
    modules->register_module(name, component);
  }
  owner.register_module("modalities", modules);
}

template <class Components>
Components make_others(const Components& components) {
  Components others;
  for (const auto& [name, component] : components) others[name] = component->make_another();
  return others;
}

// [B, N, c] -> [B, N, c + size] with the vector [1, size] at every position.
torch::Tensor pad_channels(const torch::Tensor& features, const torch::Tensor& vector) {
  // [1, size] -> [B, N, size]
  const auto wide = at::broadcast_tensors({vector.unsqueeze(0), features.narrow(2, 0, 1)})[0];
  return at::cat({features, wide}, 2);
}

}  // namespace

PerceiverModalities perceiver_restructure(const PerceiverModalitySizes& modality_sizes,
                                          const torch::Tensor& inputs) {
  PerceiverModalities parts;
  int64_t first = 0;
  for (const auto& [modality, size] : modality_sizes) {
    parts[modality] = inputs.slice(1, first, first + size);
    first += size;
  }
  return parts;
}

PerceiverModalityParametersImpl::PerceiverModalityParametersImpl(
    const PerceiverModalitySizes& sizes) {
  for (const auto& [modality, size] : sizes) {
    auto parameter = register_parameter(modality, nn::empty_parameter({1, size}));
    nn::normal_(parameter, 1.0);
  }
}

torch::Tensor PerceiverModalityParametersImpl::at(const std::string& modality) const {
  return named_parameters(/*recurse=*/false)[modality];
}

PerceiverMultimodalPreprocessorImpl::PerceiverMultimodalPreprocessorImpl(
    const Modalities& modalities, const PerceiverMultimodalPreprocessorOptions& multimodal_options)
    : options(multimodal_options), preprocessors(modalities) {
  constexpr const char* kName = "PerceiverMultimodalPreprocessor";
  register_modalities(*this, kName, preprocessors);
  if (options.min_padding_size < 0) {
    throw UsageError("usage",
                     std::string(kName) + ": min_padding_size",
                     "an integer of at least 0",
                     std::to_string(options.min_padding_size));
  }
  PerceiverModalitySizes padding_sizes;
  for (const auto& [modality, preprocessor] : preprocessors) {
    padding_sizes[modality] = num_channels() - preprocessor->num_channels();
  }
  PerceiverModalitySizes mask_sizes;
  if (!options.mask_probs) options.mask_probs.emplace();
  for (const auto& [modality, probability] : *options.mask_probs) {
    if (preprocessors.count(modality) == 0 || !(probability >= 0.0 && probability <= 1.0)) {
      throw UsageError("usage",
                       std::string(kName) + ": mask_probs",
                       "a number in [0, 1] for some of " + component_names(preprocessors),
                       quote(modality) + ": " + std::to_string(probability));
    }
    mask_sizes[modality] = num_channels();
  }
  padding = register_module("padding", PerceiverModalityParameters(padding_sizes));
  mask = register_module("mask", PerceiverModalityParameters(mask_sizes));
}

int64_t PerceiverMultimodalPreprocessorImpl::num_channels() const {
  int64_t most = 0;
  for (const auto& [modality, preprocessor] : preprocessors) {
    most = std::max(most, preprocessor->num_channels());
  }
  return most + options.min_padding_size;
}

torch::Tensor PerceiverMultimodalPreprocessorImpl::pad_and_mask(
    const std::string& modality, const torch::Tensor& features) const {
  const auto padded = pad_channels(features, padding->at(modality));
  const auto found = options.mask_probs->find(modality);
  if (found == options.mask_probs->end()) return padded;
  // Also for 0 and 1, and on the CPU, so that one seed gives upstream's random stream.
  const auto probabilities =
      at::full_like(padded.select(2, 0), found->second, at::device(at::kCPU).dtype(at::kFloat));
  const auto masked = at::bernoulli(probabilities).unsqueeze(2).to(padded.options());  // [B, N, 1]
  return (1 - masked) * padded + masked * mask->at(modality);
}

PerceiverPreprocessed PerceiverMultimodalPreprocessorImpl::forward(
    const PerceiverTensors& inputs, const PerceiverPreprocessorOptions& call) const {
  for (const auto& [modality, tensor] : inputs.modalities) {
    if (preprocessors.count(modality) != 0) continue;
    throw ShapeError(
        "model", call.name, "the modalities " + component_names(preprocessors), quote(modality));
  }
  PerceiverPreprocessed output;
  std::vector<torch::Tensor> all;
  for (const auto& [modality, preprocessor] : preprocessors) {
    const auto found = inputs.modalities.find(modality);
    if (found == inputs.modalities.end()) {
      throw ShapeError("model",
                       call.name,
                       "tensors for the modalities " + component_names(preprocessors),
                       inputs.tensor.defined() ? "one tensor" : component_names(inputs.modalities));
    }
    const PerceiverPreprocessorOptions own{call.name + "." + modality,
                                           call.interpolate_pos_encoding};
    const auto part = preprocessor->forward(found->second, own);
    const auto features = pad_and_mask(modality, part.inputs);
    if (!all.empty() && features.size(0) != all.front().size(0)) {
      throw ShapeError(
          "model",
          own.name,
          "a batch of " + std::to_string(all.front().size(0)) + ", as the other modalities have",
          std::to_string(features.size(0)));
    }
    all.push_back(features);
    output.modality_sizes[modality] = features.size(1);
    output.inputs_without_pos.modalities[modality] = part.inputs_without_pos.tensor;
  }
  output.inputs = at::cat(all, 1);
  return output;
}

PerceiverPreprocessor PerceiverMultimodalPreprocessorImpl::make_another() const {
  return std::make_shared<PerceiverMultimodalPreprocessorImpl>(make_others(preprocessors), options);
}

PerceiverMultimodalDecoderImpl::PerceiverMultimodalDecoderImpl(
    const PerceiverConfig& config,
    const Modalities& modalities,
    const PerceiverMultimodalDecoderOptions& multimodal_options)
    : options(multimodal_options), decoders(modalities) {
  constexpr const char* kName = "PerceiverMultimodalDecoder";
  register_modalities(*this, kName, decoders);
  if (options.min_padding_size < 0) {
    throw UsageError("usage",
                     std::string(kName) + ": min_padding_size",
                     "an integer of at least 0",
                     std::to_string(options.min_padding_size));
  }
  PerceiverBasicDecoderOptions basic(options, options.output_num_channels, std::nullopt);
  basic.position_encoding_type = PerceiverPositionEncodingType::none;
  basic.num_channels = num_query_channels();
  decoder = register_module("decoder", PerceiverBasicDecoder(config, basic));
  PerceiverModalitySizes padding_sizes;
  for (const auto& [modality, part] : decoders) {
    padding_sizes[modality] = num_query_channels() - part->num_query_channels();
  }
  padding = register_module("padding", PerceiverModalityParameters(padding_sizes));
}

int64_t PerceiverMultimodalDecoderImpl::num_query_channels() const {
  int64_t most = 0;
  for (const auto& [modality, part] : decoders) most = std::max(most, part->num_query_channels());
  return most + options.min_padding_size;
}

// [B, Q, num_query_channels]
torch::Tensor PerceiverMultimodalDecoderImpl::modality_query(
    const std::string& modality,
    const PerceiverPreprocessed& inputs,
    const PerceiverModalities& points) const {
  const auto& without_pos = inputs.inputs_without_pos.modalities;
  PerceiverPreprocessed own{inputs.inputs, {}, {}, modality};
  if (const auto found = without_pos.find(modality); found != without_pos.end()) {
    own.inputs_without_pos = found->second;
  }
  const auto found = points.find(modality);
  const auto query = decoders.at(modality)->decoder_query(
      own, found == points.end() ? PerceiverTensors() : PerceiverTensors(found->second));
  const auto channels = decoders.at(modality)->num_query_channels();
  const auto wanted = found == points.end() ? 1 : found->second.numel();
  if (!query.defined() || query.size(-1) != channels) {
    throw ShapeError("model",
                     "decoder queries of " + modality,
                     std::to_string(channels) + " channels",
                     query.defined() ? describe_tensor(query) : "none");
  }
  if (!points.empty() && query.size(1) != wanted) {
    throw ShapeError("model",
                     "subsampled_output_points." + modality,
                     "points for a modality with a query for each",
                     std::to_string(wanted) + " for " + std::to_string(query.size(1)) + " queries",
                     "Modalities without points must have one query");
  }
  return pad_channels(query, padding->at(modality));
}

torch::Tensor PerceiverMultimodalDecoderImpl::decoder_query(
    const PerceiverPreprocessed& inputs, const PerceiverTensors& subsampled_points) const {
  const auto& points = subsampled_points.modalities;
  if (subsampled_points.tensor.defined()) {
    throw ShapeError("model",
                     "subsampled_output_points",
                     "points for the modalities " + component_names(decoders),
                     "one tensor");
  }
  for (const auto& [modality, tensor] : points) {
    if (decoders.count(modality) != 0) continue;
    throw ShapeError("model",
                     "subsampled_output_points",
                     "points for the modalities " + component_names(decoders),
                     quote(modality));
  }
  const auto parts = perceiver_restructure(inputs.modality_sizes, inputs.inputs);
  std::vector<torch::Tensor> queries;
  for (const auto& [modality, part] : decoders) {
    const auto found = parts.find(modality);
    if (found == parts.end()) {
      throw ShapeError("model",
                       "inputs",
                       "the modalities " + component_names(decoders) + " from the preprocessor",
                       component_names(parts));
    }
    queries.push_back(
        modality_query(modality, {found->second, {}, inputs.inputs_without_pos, modality}, points));
  }
  return at::cat(queries, 1);
}

PerceiverDecoderOutput PerceiverMultimodalDecoderImpl::forward(const torch::Tensor& query,
                                                               const torch::Tensor& latents,
                                                               bool output_attentions) const {
  return decoder->forward(query, latents, output_attentions);
}

PerceiverDecoder PerceiverMultimodalDecoderImpl::make_another() const {
  return std::make_shared<PerceiverMultimodalDecoderImpl>(
      decoder->config, make_others(decoders), options);
}

PerceiverMultimodalPostprocessorImpl::PerceiverMultimodalPostprocessorImpl(
    const Modalities& modalities, const PerceiverMultimodalPostprocessorOptions& multimodal_options)
    : options(multimodal_options), postprocessors(modalities) {
  register_modalities(*this, "PerceiverMultimodalPostprocessor", postprocessors);
}

PerceiverTensors PerceiverMultimodalPostprocessorImpl::forward(
    const PerceiverTensors& inputs, const PerceiverModalitySizes& modality_sizes) const {
  auto parts = inputs.modalities;
  if (!options.input_is_dict && parts.empty() && inputs.tensor.defined()) {
    parts = perceiver_restructure(modality_sizes, inputs.tensor);
  }
  PerceiverModalities outputs;
  for (const auto& [modality, postprocessor] : postprocessors) {
    const auto found = parts.find(modality);
    if (found == parts.end()) {
      throw ShapeError("model",
                       "PerceiverMultimodalPostprocessor",
                       "the modalities " + component_names(postprocessors),
                       component_names(parts));
    }
    outputs[modality] = postprocessor->forward(found->second).tensor;
  }
  return outputs;
}

PerceiverPostprocessor PerceiverMultimodalPostprocessorImpl::make_another() const {
  return std::make_shared<PerceiverMultimodalPostprocessorImpl>(make_others(postprocessors),
                                                                options);
}

}  // namespace vizoo
