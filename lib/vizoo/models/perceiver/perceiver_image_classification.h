#pragma once

// The Perceiver's three image classifiers, which differ in how they make positions of an image.
// Source: transformers/models/perceiver/modeling_perceiver.py, 4.37.2.

#include <string>
#include <vector>

#include "vizoo/models/perceiver/perceiver_image_preprocessor.h"
#include "vizoo/models/perceiver/perceiver_model.h"

namespace vizoo {

/// What the three have in common. Hidden states and attentions as PerceiverModelOutput.
class PerceiverImageClassifierImpl : public ImageClassifierImpl {
 public:
  void initialize_module(torch::nn::Module& module) const override;
  std::vector<std::string> argument_names() const override {
    return {"inputs",
            "pixel_values",
            "attention_mask",
            "head_mask",
            "labels",
            "interpolate_pos_encoding"};
  }
  NamedTensors forward_named(const NamedArguments& arguments,
                             const ForwardOptions& options) override;

  /// As every image classifier; cross-attentions are left out. Of the tensors labels and head_mask.
  ImageClassifierOutput forward(const torch::Tensor& pixel_values,
                                const ForwardOptions& options = {}) override;

  /// pixel_values: [B, 3, H, W], floating point, of the size that the model is for. logits: [B,
  /// num_labels]. `options.labels()` as image_classification_loss takes them. Throws ShapeError for
  /// anything else.
  PerceiverClassifierOutput forward(const torch::Tensor& pixel_values,
                                    const PerceiverOptions& options);

  PerceiverModel perceiver{nullptr};

 protected:
  /// Registers `perceiver`, with a classification decoder.
  void build(const PerceiverConfig& config, const PerceiverImagePreprocessorOptions& options);
};

/// Each pixel is a position: a 1x1 convolution to 256 channels and a learned encoding, for images
/// of image_size x image_size. `interpolate_pos_encoding` serves others.
class PerceiverForImageClassificationLearnedImpl
    : public PretrainedModel<PerceiverForImageClassificationLearnedImpl,
                             PerceiverConfig,
                             PerceiverImageClassifierImpl> {
 public:
  static constexpr const char* kClassName = "PerceiverForImageClassificationLearned";
  static constexpr const char* kBaseModelPrefix = "perceiver";
  explicit PerceiverForImageClassificationLearnedImpl(PerceiverConfig model_config = {});
};
TORCH_MODULE(PerceiverForImageClassificationLearned);

/// Each pixel is a position, with Fourier features for images of 224 x 224; others are taken as
/// well.
class PerceiverForImageClassificationFourierImpl
    : public PretrainedModel<PerceiverForImageClassificationFourierImpl,
                             PerceiverConfig,
                             PerceiverImageClassifierImpl> {
 public:
  static constexpr const char* kClassName = "PerceiverForImageClassificationFourier";
  static constexpr const char* kBaseModelPrefix = "perceiver";
  explicit PerceiverForImageClassificationFourierImpl(PerceiverConfig model_config = {});
};
TORCH_MODULE(PerceiverForImageClassificationFourier);

/// Conv2DDownsample, then Fourier features for maps of 56 x 56; others are taken as well.
class PerceiverForImageClassificationConvProcessingImpl
    : public PretrainedModel<PerceiverForImageClassificationConvProcessingImpl,
                             PerceiverConfig,
                             PerceiverImageClassifierImpl> {
 public:
  static constexpr const char* kClassName = "PerceiverForImageClassificationConvProcessing";
  static constexpr const char* kBaseModelPrefix = "perceiver";
  explicit PerceiverForImageClassificationConvProcessingImpl(PerceiverConfig model_config = {});
};
TORCH_MODULE(PerceiverForImageClassificationConvProcessing);

}  // namespace vizoo
