#include "vizoo/models/perceiver/perceiver_autoencoding.h"

#include <utility>

#include "vizoo/core/error.h"
#include "vizoo/models/perceiver/perceiver_image_preprocessor.h"
#include "vizoo/models/perceiver/perceiver_multimodal.h"

namespace vizoo {
namespace {

PerceiverFourierOptions audio_positions(const PerceiverConfig& config) {
  PerceiverFourierOptions options;
  options.num_bands = 192;
  options.max_resolution = {config.audio_samples()};
  return options;
}

PerceiverFourierOptions image_positions(const PerceiverConfig& config) {
  PerceiverFourierOptions options;
  options.num_bands = 32;
  options.max_resolution = {config.num_frames, config.image_size, config.image_size};
  return options;
}

PerceiverPreprocessor make_preprocessor(const PerceiverConfig& config) {
  PerceiverAudioPreprocessorOptions audio;
  audio.samples_per_patch = config.samples_per_patch;
  audio.fourier_position_encoding_kwargs = audio_positions(config);

  PerceiverImagePreprocessorOptions image;
  image.prep_type = PerceiverPrepType::patches;
  image.fourier_position_encoding_kwargs = image_positions(config);

  PerceiverMultimodalPreprocessorOptions options;
  options.min_padding_size = 4;
  options.mask_probs = {{"audio", 0.0}, {"image", 0.0}, {"label", 1.0}};
  const PerceiverMultimodalPreprocessorImpl::Modalities modalities = {
      {"audio", std::make_shared<PerceiverAudioPreprocessorImpl>(config, audio)},
      {"image", std::make_shared<PerceiverImagePreprocessorImpl>(config, image)},
      {"label", std::make_shared<PerceiverOneHotPreprocessorImpl>(config)}};
  return std::make_shared<PerceiverMultimodalPreprocessorImpl>(modalities, options);
}

// The decoders of the modalities only make queries.
PerceiverDecoder make_decoder(const PerceiverConfig& config) {
  PerceiverBasicDecoderOptions audio;
  audio.output_index_dims = std::vector<int64_t>{config.audio_samples() / config.samples_per_patch};
  audio.output_num_channels = config.output_num_channels;
  audio.position_encoding_only = true;
  audio.position_encoding_type = PerceiverPositionEncodingType::fourier;
  audio.fourier_position_encoding_kwargs = audio_positions(config);

  PerceiverVideoDecoderOptions image;
  image.output_shape = config.output_shape;
  image.output_num_channels = config.output_num_channels;
  image.position_encoding_only = true;
  image.position_encoding_type = PerceiverPositionEncodingType::fourier;
  image.fourier_position_encoding_kwargs = image_positions(config);

  PerceiverDecoderOptions label;
  label.position_encoding_only = true;
  label.trainable_position_encoding_kwargs =
      PerceiverTrainableOptions{int64_t{1}, config.label_trainable_num_channels};

  PerceiverMultimodalDecoderOptions options;
  options.output_num_channels = config.output_num_channels;
  const PerceiverMultimodalDecoderImpl::Modalities modalities = {
      {"audio", std::make_shared<PerceiverBasicDecoderImpl>(config, audio)},
      {"image", std::make_shared<PerceiverBasicVideoAutoencodingDecoderImpl>(config, image)},
      {"label", std::make_shared<PerceiverClassificationDecoderImpl>(config, label)}};
  return std::make_shared<PerceiverMultimodalDecoderImpl>(config, modalities, options);
}

PerceiverPostprocessor make_postprocessor(const PerceiverConfig& config) {
  const auto channels = config.output_num_channels;
  const PerceiverMultimodalPostprocessorImpl::Modalities modalities = {
      {"audio",
       std::make_shared<PerceiverAudioPostprocessorImpl>(
           config, PerceiverAudioPostprocessorOptions{channels})},
      {"image",
       std::make_shared<PerceiverProjectionPostprocessorImpl>(
           PerceiverProjectionPostprocessorOptions{channels, 3})},
      {"label",
       std::make_shared<PerceiverClassificationPostprocessorImpl>(
           config, PerceiverClassificationPostprocessorOptions{channels})}};
  return std::make_shared<PerceiverMultimodalPostprocessorImpl>(modalities);
}

void check_subsampled_points(const PerceiverModalities& points) {
  for (const char* modality : {"audio", "image"}) {
    const auto found = points.find(modality);
    if (found != points.end() && found->second.defined()) continue;
    throw ShapeError("model",
                     std::string("subsampled_output_points.") + modality,
                     "indices [queries], Int or Long",
                     "none",
                     "Decode audio and image in parts, each with its points");
  }
}

}  // namespace

PerceiverForMultimodalAutoencodingImpl::PerceiverForMultimodalAutoencodingImpl(
    PerceiverConfig model_config)
    : PretrainedModel(std::move(model_config)) {
  if (config.audio_samples() < config.samples_per_patch) {
    throw ConfigError(
        "config",
        "/samples_per_patch",
        "at most /num_frames /audio_samples_per_frame " + std::to_string(config.audio_samples()),
        std::to_string(config.samples_per_patch));
  }
  perceiver = register_module(
      "perceiver",
      PerceiverModel(
          config, make_preprocessor(config), make_decoder(config), make_postprocessor(config)));
  initialize_weights();
}

void PerceiverForMultimodalAutoencodingImpl::initialize_module(torch::nn::Module& module) const {
  perceiver->initialize_module(module);
}

std::vector<std::string> PerceiverForMultimodalAutoencodingImpl::argument_names() const {
  return {"inputs.audio",
          "inputs.image",
          "inputs.label",
          "subsampled_output_points.audio",
          "subsampled_output_points.image",
          "subsampled_output_points.label",
          "attention_mask",
          "head_mask"};
}

NamedTensors PerceiverForMultimodalAutoencodingImpl::forward_named(const NamedArguments& arguments,
                                                                   const ForwardOptions& options) {
  const nn::NamedArgumentReader reader(arguments, class_name() + ".forward", argument_names());
  PerceiverModalities inputs;
  PerceiverModalities points;
  for (const char* modality : {"audio", "image", "label"}) {
    const auto take = [&](const std::string& prefix, PerceiverModalities& modalities) {
      const auto tensor = reader.tensor(prefix + modality);
      if (tensor.defined()) modalities[modality] = tensor;
    };
    take("inputs.", inputs);
    take("subsampled_output_points.", points);
  }
  return named_tensors(forward(inputs, points, perceiver_options(reader, options)));
}

PerceiverMultimodalOutput PerceiverForMultimodalAutoencodingImpl::forward(
    const PerceiverModalities& inputs,
    const PerceiverModalities& subsampled_output_points,
    const PerceiverOptions& options) const {
  check_subsampled_points(subsampled_output_points);
  auto output = perceiver->forward(
      inputs, with_defaults(options, config).subsampled_output_points(subsampled_output_points));
  return {std::move(output.modality_logits),
          std::move(output.hidden_states),
          std::move(output.attentions),
          std::move(output.cross_attentions)};
}

PerceiverEncoding PerceiverForMultimodalAutoencodingImpl::encode(
    const PerceiverModalities& inputs, const PerceiverOptions& options) const {
  return perceiver->encode(inputs, with_defaults(options, config));
}

PerceiverModalities PerceiverForMultimodalAutoencodingImpl::decode(
    const PerceiverEncoding& encoding, const PerceiverModalities& subsampled_output_points) const {
  check_subsampled_points(subsampled_output_points);
  return perceiver->decode(encoding, subsampled_output_points).modality_logits;
}

}  // namespace vizoo
