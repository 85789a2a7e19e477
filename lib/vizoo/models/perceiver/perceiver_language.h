#pragma once

// The Perceiver for texts, which it reads byte by byte.
// Source: transformers/models/perceiver/modeling_perceiver.py, 4.37.2.

#include <string>
#include <vector>

#include "vizoo/models/perceiver/perceiver_model.h"

namespace vizoo {

/// Predicts masked bytes.
class PerceiverForMaskedLMImpl
    : public PretrainedModel<PerceiverForMaskedLMImpl, PerceiverConfig, PretrainedModelImpl> {
 public:
  static constexpr const char* kClassName = "PerceiverForMaskedLM";
  static constexpr const char* kBaseModelPrefix = "perceiver";
  explicit PerceiverForMaskedLMImpl(PerceiverConfig model_config = {});

  void initialize_module(torch::nn::Module& module) const override;
  std::vector<std::string> argument_names() const override {
    return {"inputs", "input_ids", "attention_mask", "head_mask", "labels"};
  }
  NamedTensors forward_named(const NamedArguments& arguments,
                             const ForwardOptions& options) override;

  /// input_ids: [B, N], Int or Long, from 0 to vocab_size - 1, N at most M =
  /// max_position_embeddings. logits: [B, M, vocab_size], for all positions however long the texts
  /// are. `options.labels()`: [B, M], Int or Long, from 0 to vocab_size - 1, or -100 where none
  /// counts; the loss is the mean cross entropy. Throws ShapeError for anything else.
  PerceiverMaskedLMOutput forward(const torch::Tensor& input_ids,
                                  const PerceiverOptions& options = {}) const;

  /// The first half of forward.
  PerceiverEncoding encode(const torch::Tensor& input_ids,
                           const PerceiverOptions& options = {}) const;

  /// The logits of some positions, [P], Int or Long, from 0 to M - 1: [B, P, vocab_size], as
  /// forward has there. Throws ShapeError for others.
  torch::Tensor decode(const PerceiverEncoding& encoding, const torch::Tensor& positions) const;

  PerceiverModel perceiver{nullptr};
  PerceiverEmbeddingDecoder embedding_decoder{nullptr};

 private:
  torch::Tensor vocabulary_logits(const torch::Tensor& decoded) const;
};
TORCH_MODULE(PerceiverForMaskedLM);

/// Classifies texts.
class PerceiverForSequenceClassificationImpl
    : public PretrainedModel<PerceiverForSequenceClassificationImpl,
                             PerceiverConfig,
                             PretrainedModelImpl> {
 public:
  static constexpr const char* kClassName = "PerceiverForSequenceClassification";
  static constexpr const char* kBaseModelPrefix = "perceiver";
  explicit PerceiverForSequenceClassificationImpl(PerceiverConfig model_config = {});

  void initialize_module(torch::nn::Module& module) const override;
  std::vector<std::string> argument_names() const override {
    return {"inputs", "input_ids", "attention_mask", "head_mask", "labels"};
  }
  NamedTensors forward_named(const NamedArguments& arguments,
                             const ForwardOptions& options) override;

  /// input_ids: as PerceiverForMaskedLM. logits: [B, num_labels]. `options.labels()` as
  /// image_classification_loss takes them. Throws ShapeError for anything else.
  PerceiverClassifierOutput forward(const torch::Tensor& input_ids,
                                    const PerceiverOptions& options = {});

  PerceiverModel perceiver{nullptr};
};
TORCH_MODULE(PerceiverForSequenceClassification);

/// The decoder of all classifiers: one query of d_latents channels, learned and added to what it
/// finds.
PerceiverDecoder perceiver_classification_decoder(const PerceiverConfig& config);

}  // namespace vizoo
