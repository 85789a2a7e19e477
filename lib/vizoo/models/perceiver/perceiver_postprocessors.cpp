#include "vizoo/models/perceiver/perceiver_postprocessors.h"

#include <string>

#include "vizoo/core/error.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {
namespace {

nn::Linear make_classifier(const char* owner, int64_t in_channels, int64_t out_channels) {
  const auto check_positive = [&](const char* name, int64_t value) {
    if (value >= 1) return;
    throw UsageError("usage",
                     std::string(owner) + ": " + name,
                     "an integer of at least 1",
                     std::to_string(value));
  };
  check_positive("in_channels", in_channels);
  check_positive("out_channels", out_channels);
  return nn::Linear(in_channels, out_channels);
}

// [B, Q, in_channels] -> [B, Q, out_channels]
torch::Tensor classify(const nn::Linear& classifier, const PerceiverTensors& inputs) {
  const auto channels = classifier->weight.size(1);
  const auto& logits = inputs.tensor;
  if (logits.defined() && logits.dim() >= 2 && logits.size(-1) == channels) {
    return classifier->forward(logits);
  }
  throw ShapeError("model",
                   "postprocessor",
                   "logits of " + std::to_string(channels) + " channels",
                   logits.defined() ? describe_tensor(logits) : "none");
}

torch::Tensor classify_queries(const nn::Linear& classifier, const PerceiverTensors& inputs) {
  auto logits = classify(classifier, inputs);
  if (logits.dim() == 3) return logits;
  throw ShapeError(
      "model", "postprocessor", "logits [B, queries, channels]", describe_tensor(inputs.tensor));
}

}  // namespace

PerceiverProjectionPostprocessorImpl::PerceiverProjectionPostprocessorImpl(
    const PerceiverProjectionPostprocessorOptions& projection_options)
    : options(projection_options) {
  classifier = register_module(
      "classifier",
      make_classifier(
          "PerceiverProjectionPostprocessor", options.in_channels, options.out_channels));
}

PerceiverTensors PerceiverProjectionPostprocessorImpl::forward(
    const PerceiverTensors& inputs, const PerceiverModalitySizes& /*modality_sizes*/) const {
  return classify(classifier, inputs);
}

PerceiverPostprocessor PerceiverProjectionPostprocessorImpl::make_another() const {
  return std::make_shared<PerceiverProjectionPostprocessorImpl>(options);
}

PerceiverClassificationPostprocessorImpl::PerceiverClassificationPostprocessorImpl(
    const PerceiverConfig& model_config,
    const PerceiverClassificationPostprocessorOptions& classification_options)
    : config(model_config), options(classification_options) {
  classifier = register_module(
      "classifier",
      make_classifier(
          "PerceiverClassificationPostprocessor", options.in_channels, config.num_labels()));
}

PerceiverTensors PerceiverClassificationPostprocessorImpl::forward(
    const PerceiverTensors& inputs, const PerceiverModalitySizes& /*modality_sizes*/) const {
  return classify_queries(classifier, inputs).select(1, 0);
}

PerceiverPostprocessor PerceiverClassificationPostprocessorImpl::make_another() const {
  return std::make_shared<PerceiverClassificationPostprocessorImpl>(config, options);
}

PerceiverAudioPostprocessorImpl::PerceiverAudioPostprocessorImpl(
    const PerceiverConfig& model_config, const PerceiverAudioPostprocessorOptions& audio_options)
    : config(model_config), options(audio_options) {
  classifier = register_module(
      "classifier",
      make_classifier(
          "PerceiverAudioPostprocessor", options.in_channels, config.samples_per_patch));
}

PerceiverTensors PerceiverAudioPostprocessorImpl::forward(
    const PerceiverTensors& inputs, const PerceiverModalitySizes& /*modality_sizes*/) const {
  return classify(classifier, inputs).flatten(1);
}

PerceiverPostprocessor PerceiverAudioPostprocessorImpl::make_another() const {
  return std::make_shared<PerceiverAudioPostprocessorImpl>(config, options);
}

}  // namespace vizoo
