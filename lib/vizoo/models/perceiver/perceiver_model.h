#pragma once

// The Perceiver without a head: any preprocessor, decoder and postprocessor around its latents.
// Source: transformers/models/perceiver/modeling_perceiver.py, 4.37.2.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vizoo/models/perceiver/perceiver_decoders.h"
#include "vizoo/models/perceiver/perceiver_encoder.h"
#include "vizoo/models/perceiver/perceiver_postprocessors.h"
#include "vizoo/nn/named_arguments.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {

/// Inputs that have been encoded, of which any outputs can be decoded, one call after another.
struct PerceiverEncoding {
  PerceiverPreprocessed inputs;
  PerceiverModelOutput output;  ///< without logits
};

/// Latents that attend to the inputs, and are asked by a decoder. Each of the three components may
/// be absent; what a component returns must be what the next one takes. Upstream's constructor has
/// the decoder before the preprocessor.
class PerceiverModelImpl
    : public PretrainedModel<PerceiverModelImpl, PerceiverConfig, PretrainedModelImpl> {
 public:
  static constexpr const char* kClassName = "PerceiverModel";
  static constexpr const char* kBaseModelPrefix = "perceiver";
  explicit PerceiverModelImpl(PerceiverConfig model_config = {},
                              PerceiverPreprocessor preprocessor = nullptr,
                              PerceiverDecoder model_decoder = nullptr,
                              PerceiverPostprocessor postprocessor = nullptr);

  std::shared_ptr<torch::nn::Module> clone(
      const std::optional<torch::Device>& device = std::nullopt) const override;
  void initialize_module(torch::nn::Module& module) const override;
  /// `inputs`, or `inputs.<modality>` for each modality; `subsampled_output_points.<modality>`.
  std::vector<std::string> argument_names() const override;
  NamedTensors forward_named(const NamedArguments& arguments,
                             const ForwardOptions& options) override;

  /// inputs: what the preprocessor takes; without one [B, N, d_model], floating point. Throws
  /// ShapeError for anything else, and for masks that do not fit.
  PerceiverModelOutput forward(const PerceiverTensors& inputs,
                               const PerceiverOptions& options = {}) const;

  /// The first half of forward: everything but the decoder and the postprocessor.
  PerceiverEncoding encode(const PerceiverTensors& inputs,
                           const PerceiverOptions& options = {}) const;

  /// The second half: `encoding.output` with logits and, on request, the map of the decoder.
  /// Without a decoder nothing is added.
  PerceiverModelOutput decode(const PerceiverEncoding& encoding,
                              const PerceiverTensors& subsampled_output_points = {},
                              bool output_attentions = false) const;

  PerceiverPreprocessor input_preprocessor;  ///< null, as the other two, if there is none
  PerceiverPostprocessor output_postprocessor;
  PerceiverEmbeddings embeddings{nullptr};
  PerceiverEncoder encoder{nullptr};
  PerceiverDecoder decoder;
};
TORCH_MODULE(PerceiverModel);

/// Initialises the parameters of the Perceiver's own modules and of embeddings from N(0, std).
/// Returns whether `module` is one of them.
bool initialize_perceiver_module(torch::nn::Module& module, double std);

/// The options among the arguments of a forward by name; those that `reader` does not know are
/// absent. Flags that the call leaves open are the config's.
PerceiverOptions perceiver_options(const nn::NamedArgumentReader& reader,
                                   const ForwardOptions& options);

/// The argument `inputs` or its other name `alias`. Throws UsageError if both are given, ShapeError
/// if none is.
torch::Tensor perceiver_inputs(const nn::NamedArgumentReader& reader, const char* alias);

/// A model's output as that of a head.
PerceiverClassifierOutput perceiver_classifier_output(PerceiverModelOutput output);

/// `options` with flags that are not set taken from the config of the model with the head.
PerceiverOptions with_defaults(PerceiverOptions options, const PretrainedConfig& config);

}  // namespace vizoo
