#include "vizoo/models/perceiver/perceiver_language.h"

#include <utility>

#include "vizoo/core/error.h"
#include "vizoo/nn/loss.h"

namespace vizoo {
namespace {

PerceiverDecoder masked_lm_decoder(const PerceiverConfig& config) {
  PerceiverBasicDecoderOptions options;
  options.output_num_channels = config.d_latents;
  options.output_index_dims = config.max_position_embeddings;
  options.num_channels = config.d_model;
  options.qk_channels = 8 * 32;
  options.v_channels = config.d_model;
  options.num_heads = 8;
  options.final_project = false;
  options.trainable_position_encoding_kwargs =
      PerceiverTrainableOptions{config.max_position_embeddings, config.d_model};
  return std::make_shared<PerceiverBasicDecoderImpl>(config, options);
}

torch::Tensor masked_lm_loss(const torch::Tensor& logits, const torch::Tensor& labels) {
  const auto type = labels.scalar_type();
  const auto count = logits.size(2);
  const auto index = labels.flatten().to(torch::kLong);
  if ((type != torch::kLong && type != torch::kInt) || index.numel() != logits.numel() / count) {
    throw ShapeError("loss",
                     "labels",
                     "Int or Long [" + std::to_string(logits.size(0)) + ", " +
                         std::to_string(logits.size(1)) + "], as many as /max_position_embeddings",
                     describe_tensor(labels));
  }
  const auto known = index.ge(0).logical_and(index.lt(count)).logical_or(index.eq(-100));
  if (!known.all().item<bool>()) {
    throw ShapeError(
        "loss", "labels", "ids from 0 to " + std::to_string(count - 1) + " or -100", "others");
  }
  return at::cross_entropy_loss(logits.flatten(0, 1), index);
}

}  // namespace

PerceiverDecoder perceiver_classification_decoder(const PerceiverConfig& config) {
  PerceiverDecoderOptions options;
  options.num_channels = config.d_latents;
  options.use_query_residual = true;
  options.trainable_position_encoding_kwargs =
      PerceiverTrainableOptions{int64_t{1}, config.d_latents};
  return std::make_shared<PerceiverClassificationDecoderImpl>(config, options);
}

PerceiverForMaskedLMImpl::PerceiverForMaskedLMImpl(PerceiverConfig model_config)
    : PretrainedModel(std::move(model_config)) {
  perceiver =
      register_module("perceiver",
                      PerceiverModel(config,
                                     std::make_shared<PerceiverTextPreprocessorImpl>(config),
                                     masked_lm_decoder(config)));
  embedding_decoder = register_module("embedding_decoder", PerceiverEmbeddingDecoder(config));
  initialize_weights();
}

void PerceiverForMaskedLMImpl::initialize_module(torch::nn::Module& module) const {
  perceiver->initialize_module(module);
}

NamedTensors PerceiverForMaskedLMImpl::forward_named(const NamedArguments& arguments,
                                                     const ForwardOptions& options) {
  const nn::NamedArgumentReader reader(arguments, class_name() + ".forward", argument_names());
  return named_tensors(
      forward(perceiver_inputs(reader, "input_ids"), perceiver_options(reader, options)));
}

torch::Tensor PerceiverForMaskedLMImpl::vocabulary_logits(const torch::Tensor& decoded) const {
  const auto& text =
      dynamic_cast<const PerceiverTextPreprocessorImpl&>(*perceiver->input_preprocessor);
  return embedding_decoder->forward(decoded, text.embeddings);
}

PerceiverMaskedLMOutput PerceiverForMaskedLMImpl::forward(const torch::Tensor& input_ids,
                                                          const PerceiverOptions& options) const {
  auto output =
      perceiver_classifier_output(perceiver->forward(input_ids, with_defaults(options, config)));
  output.logits = vocabulary_logits(output.logits);
  if (options.labels().defined()) output.loss = masked_lm_loss(output.logits, options.labels());
  return output;
}

PerceiverEncoding PerceiverForMaskedLMImpl::encode(const torch::Tensor& input_ids,
                                                   const PerceiverOptions& options) const {
  return perceiver->encode(input_ids, with_defaults(options, config));
}

torch::Tensor PerceiverForMaskedLMImpl::decode(const PerceiverEncoding& encoding,
                                               const torch::Tensor& positions) const {
  const auto type = positions.scalar_type();
  const auto count = config.max_position_embeddings;
  const bool indices = (type == torch::kLong || type == torch::kInt) && positions.dim() == 1 &&
                       positions.numel() > 0;
  if (!indices || positions.min().item<int64_t>() < 0 || positions.max().item<int64_t>() >= count) {
    throw ShapeError("model",
                     "positions",
                     "Int or Long [positions] from 0 to " + std::to_string(count - 1),
                     describe_tensor(positions));
  }
  const auto query =
      perceiver->decoder->decoder_query(encoding.inputs, {}).index_select(1, positions);
  return vocabulary_logits(
      perceiver->decoder->forward(query, encoding.output.last_hidden_state).logits);
}

PerceiverForSequenceClassificationImpl::PerceiverForSequenceClassificationImpl(
    PerceiverConfig model_config)
    : PretrainedModel(std::move(model_config)) {
  perceiver =
      register_module("perceiver",
                      PerceiverModel(config,
                                     std::make_shared<PerceiverTextPreprocessorImpl>(config),
                                     perceiver_classification_decoder(config)));
  initialize_weights();
}

void PerceiverForSequenceClassificationImpl::initialize_module(torch::nn::Module& module) const {
  perceiver->initialize_module(module);
}

NamedTensors PerceiverForSequenceClassificationImpl::forward_named(const NamedArguments& arguments,
                                                                   const ForwardOptions& options) {
  const nn::NamedArgumentReader reader(arguments, class_name() + ".forward", argument_names());
  return named_tensors(
      forward(perceiver_inputs(reader, "input_ids"), perceiver_options(reader, options)));
}

PerceiverClassifierOutput PerceiverForSequenceClassificationImpl::forward(
    const torch::Tensor& input_ids, const PerceiverOptions& options) {
  auto output =
      perceiver_classifier_output(perceiver->forward(input_ids, with_defaults(options, config)));
  if (options.labels().defined()) {
    output.loss = image_classification_loss(config, output.logits, options.labels());
  }
  return output;
}

}  // namespace vizoo
