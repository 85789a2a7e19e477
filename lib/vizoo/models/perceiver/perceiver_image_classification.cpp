#include "vizoo/models/perceiver/perceiver_image_classification.h"

#include <utility>

#include "vizoo/models/perceiver/perceiver_language.h"
#include "vizoo/nn/loss.h"

namespace vizoo {
namespace {

constexpr int64_t kNumBands = 64;

PerceiverFourierOptions fourier_options(int64_t side) {
  PerceiverFourierOptions options;
  options.num_bands = kNumBands;
  options.max_resolution = {side, side};
  return options;
}

}  // namespace

void PerceiverImageClassifierImpl::build(const PerceiverConfig& config,
                                         const PerceiverImagePreprocessorOptions& options) {
  perceiver = register_module(
      "perceiver",
      PerceiverModel(config,
                     std::make_shared<PerceiverImagePreprocessorImpl>(config, options),
                     perceiver_classification_decoder(config)));
  initialize_weights();
}

void PerceiverImageClassifierImpl::initialize_module(torch::nn::Module& module) const {
  perceiver->initialize_module(module);
}

NamedTensors PerceiverImageClassifierImpl::forward_named(const NamedArguments& arguments,
                                                         const ForwardOptions& options) {
  const nn::NamedArgumentReader reader(arguments, class_name() + ".forward", argument_names());
  return named_tensors(
      forward(perceiver_inputs(reader, "pixel_values"), perceiver_options(reader, options)));
}

ImageClassifierOutput PerceiverImageClassifierImpl::forward(const torch::Tensor& pixel_values,
                                                            const ForwardOptions& options) {
  check_options(options);
  auto result = forward(pixel_values,
                        PerceiverOptions()
                            .output_hidden_states(options.output_hidden_states())
                            .output_attentions(options.output_attentions())
                            .head_mask(options.head_mask())
                            .labels(options.labels()));
  ImageClassifierOutput output;
  output.loss = std::move(result.loss);
  output.logits = std::move(result.logits);
  output.hidden_states = std::move(result.hidden_states);
  output.attentions = std::move(result.attentions);
  return output;
}

PerceiverClassifierOutput PerceiverImageClassifierImpl::forward(const torch::Tensor& pixel_values,
                                                                const PerceiverOptions& options) {
  auto output = perceiver_classifier_output(
      perceiver->forward(pixel_values, with_defaults(options, base_config())));
  if (options.labels().defined()) {
    output.loss = image_classification_loss(base_config(), output.logits, options.labels());
  }
  return output;
}

PerceiverForImageClassificationLearnedImpl::PerceiverForImageClassificationLearnedImpl(
    PerceiverConfig model_config)
    : PretrainedModel(std::move(model_config)) {
  constexpr int64_t kChannels = 256;
  PerceiverImagePreprocessorOptions options;
  options.prep_type = PerceiverPrepType::conv1x1;
  options.spatial_downsample = 1;
  options.out_channels = kChannels;
  options.position_encoding_type = PerceiverPositionEncodingType::trainable;
  options.project_pos_dim = kChannels;
  options.trainable_position_encoding_kwargs =
      PerceiverTrainableOptions{config.image_size * config.image_size, kChannels};
  build(config, options);
}

PerceiverForImageClassificationFourierImpl::PerceiverForImageClassificationFourierImpl(
    PerceiverConfig model_config)
    : PretrainedModel(std::move(model_config)) {
  PerceiverImagePreprocessorOptions options;
  options.prep_type = PerceiverPrepType::pixels;
  options.spatial_downsample = 1;
  options.fourier_position_encoding_kwargs = fourier_options(224);
  build(config, options);
}

PerceiverForImageClassificationConvProcessingImpl::
    PerceiverForImageClassificationConvProcessingImpl(PerceiverConfig model_config)
    : PretrainedModel(std::move(model_config)) {
  PerceiverImagePreprocessorOptions options;
  options.prep_type = PerceiverPrepType::conv;
  options.spatial_downsample = 1;
  options.fourier_position_encoding_kwargs = fourier_options(56);
  build(config, options);
}

}  // namespace vizoo
