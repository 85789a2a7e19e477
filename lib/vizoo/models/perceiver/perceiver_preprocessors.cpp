#include "vizoo/models/perceiver/perceiver_preprocessors.h"

#include "vizoo/core/error.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {

const torch::Tensor& perceiver_single_input(const PerceiverTensors& inputs,
                                            const PerceiverPreprocessorOptions& options) {
  const auto got = inputs.modalities.empty() ? "none" : "one for each modality";
  if (!inputs.tensor.defined()) throw ShapeError("model", options.name, "a tensor", got);
  const auto& tensor = inputs.tensor;
  if (tensor.dim() > 0 && tensor.numel() > 0) return tensor;
  throw ShapeError("model", options.name, "a batch of at least one", describe_tensor(tensor));
}

torch::Tensor perceiver_join(const torch::Tensor& features,
                             const torch::Tensor& positions,
                             PerceiverPositionJoin join,
                             const std::string& name) {
  if (features.size(1) != positions.size(1)) {
    throw ShapeError("model",
                     name,
                     std::to_string(positions.size(1)) + " positions, as the encoding has",
                     std::to_string(features.size(1)),
                     "Trainable positions are for inputs of one size");
  }
  if (join == PerceiverPositionJoin::concat) return at::cat({features, positions}, -1);
  if (features.size(2) != positions.size(2)) {
    throw ShapeError("model",
                     name,
                     std::to_string(positions.size(2)) + " channels, as the encoding to be added",
                     std::to_string(features.size(2)));
  }
  return features + positions;
}

PerceiverTextPreprocessorImpl::PerceiverTextPreprocessorImpl(const PerceiverConfig& model_config)
    : config(model_config) {
  embeddings = register_module("embeddings", nn::Embedding(config.vocab_size, config.d_model));
  position_embeddings = register_module(
      "position_embeddings", nn::Embedding(config.max_position_embeddings, config.d_model));
}

PerceiverPreprocessed PerceiverTextPreprocessorImpl::forward(
    const PerceiverTensors& inputs, const PerceiverPreprocessorOptions& options) const {
  const auto& ids = perceiver_single_input(inputs, options);
  const auto type = ids.scalar_type();
  const auto longest = config.max_position_embeddings;
  if ((type != torch::kLong && type != torch::kInt) || ids.dim() != 2 || ids.size(1) > longest) {
    throw ShapeError("model",
                     options.name,
                     "an Int or Long tensor [texts, length] of length 1 to " +
                         std::to_string(longest) + ", as /max_position_embeddings says",
                     describe_tensor(ids),
                     "Truncate texts that are too long");
  }
  torch::Tensor without_pos;
  try {
    without_pos = embeddings->forward(ids);
  } catch (const c10::IndexError&) {
    throw ShapeError("model",
                     options.name,
                     "ids from 0 to " + std::to_string(config.vocab_size - 1),
                     "ids from " + std::to_string(ids.min().item<int64_t>()) + " to " +
                         std::to_string(ids.max().item<int64_t>()),
                     "The tokenizer may belong to another model");
  }
  const auto positions = at::ones_like(ids.narrow(0, 0, 1)).cumsum(-1) - 1;  // [1, N]
  return {without_pos + position_embeddings->forward(positions), {}, without_pos};
}

PerceiverPreprocessor PerceiverTextPreprocessorImpl::make_another() const {
  return std::make_shared<PerceiverTextPreprocessorImpl>(config);
}

PerceiverEmbeddingDecoderImpl::PerceiverEmbeddingDecoderImpl(const PerceiverConfig& config) {
  bias = register_parameter("bias", torch::zeros({config.vocab_size}));
}

torch::Tensor PerceiverEmbeddingDecoderImpl::forward(const torch::Tensor& hidden_states,
                                                     const nn::Embedding& embeddings) const {
  return at::matmul(hidden_states, embeddings->weight.t()) + bias;
}

PerceiverOneHotPreprocessorImpl::PerceiverOneHotPreprocessorImpl(
    const PerceiverConfig& model_config)
    : config(model_config) {}

PerceiverPreprocessed PerceiverOneHotPreprocessorImpl::forward(
    const PerceiverTensors& inputs, const PerceiverPreprocessorOptions& options) const {
  const auto& classes = perceiver_single_input(inputs, options);
  if (classes.dim() != 2 || classes.size(1) != num_channels() || !classes.is_floating_point()) {
    throw ShapeError("model",
                     options.name,
                     "a floating-point tensor [B, " + std::to_string(num_channels()) +
                         "], a value for each label",
                     describe_tensor(classes));
  }
  const auto positions = classes.unsqueeze(1);
  return {positions, {}, positions};
}

PerceiverPreprocessor PerceiverOneHotPreprocessorImpl::make_another() const {
  return std::make_shared<PerceiverOneHotPreprocessorImpl>(config);
}

PerceiverAudioPreprocessorImpl::PerceiverAudioPreprocessorImpl(
    const PerceiverConfig& /*config*/, const PerceiverAudioPreprocessorOptions& audio_options)
    : options(audio_options),
      positions("PerceiverAudioPreprocessor", audio_options, audio_options.out_channels) {
  if (options.samples_per_patch < 1) {
    throw UsageError("usage",
                     "PerceiverAudioPreprocessor: samples_per_patch",
                     "an integer of at least 1",
                     std::to_string(options.samples_per_patch));
  }
  positions.register_with(*this, "position_embeddings");
}

int64_t PerceiverAudioPreprocessorImpl::num_channels() const {
  const bool adds = options.concat_or_add_pos == PerceiverPositionJoin::add;
  return positions.num_channels() + (adds ? 0 : options.samples_per_patch);
}

PerceiverPreprocessed PerceiverAudioPreprocessorImpl::forward(
    const PerceiverTensors& inputs, const PerceiverPreprocessorOptions& call) const {
  const auto& audio = perceiver_single_input(inputs, call);
  const bool mono = audio.dim() == 2 || (audio.dim() == 3 && audio.size(2) == 1);
  if (!mono || audio.size(1) % options.samples_per_patch != 0 || !audio.is_floating_point()) {
    throw ShapeError("model",
                     call.name,
                     "a floating-point tensor [B, samples, 1] with a multiple of " +
                         std::to_string(options.samples_per_patch) + " samples",
                     describe_tensor(audio));
  }
  // [B, S, 1] -> [B, S / samples_per_patch, samples_per_patch]
  const auto patches = audio.flatten(1).unflatten(1, {-1, options.samples_per_patch});
  const auto encoding = positions.on_grid(patches);
  return {perceiver_join(patches, encoding, options.concat_or_add_pos, call.name), {}, patches};
}

PerceiverPreprocessor PerceiverAudioPreprocessorImpl::make_another() const {
  return std::make_shared<PerceiverAudioPreprocessorImpl>(PerceiverConfig(), options);
}

}  // namespace vizoo
