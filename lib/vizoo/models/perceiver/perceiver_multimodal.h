#pragma once

// The Perceiver's components for several modalities at once, made of those for one.
// Source: transformers/models/perceiver/modeling_perceiver.py, 4.37.2.

#include <map>
#include <optional>
#include <string>

#include "vizoo/models/perceiver/perceiver_decoders.h"
#include "vizoo/models/perceiver/perceiver_postprocessors.h"

namespace vizoo {

/// The positions of each modality, of those that are concatenated in the order of the names: [B, N,
/// C] -> slices [B, size, C], shorter where N does not reach.
PerceiverModalities perceiver_restructure(const PerceiverModalitySizes& modality_sizes,
                                          const torch::Tensor& inputs);

/// A learned vector for each modality: parameters [1, size], called as the modalities.
class PerceiverModalityParametersImpl : public torch::nn::Module {
 public:
  explicit PerceiverModalityParametersImpl(const PerceiverModalitySizes& sizes);
  /// One of the parameters.
  torch::Tensor at(const std::string& modality) const;
};
TORCH_MODULE(PerceiverModalityParameters);

/// Arguments of PerceiverMultimodalPreprocessor.
struct PerceiverMultimodalPreprocessorOptions {
  std::optional<std::map<std::string, double>> mask_probs;  ///< by modality, in [0, 1]
  int64_t min_padding_size = 2;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("mask_probs", self.mask_probs);
    visit("min_padding_size", self.min_padding_size);
  }
};

/// The positions of all modalities, one behind the other in the order of their names. Learned
/// vectors pad each modality to as many channels as the widest has and min_padding_size more;
/// positions of modalities in mask_probs are replaced by a learned vector with that probability, in
/// evaluation as well. The random numbers are drawn in the order of the names.
class PerceiverMultimodalPreprocessorImpl : public PerceiverPreprocessorImpl {
 public:
  using Modalities = std::map<std::string, PerceiverPreprocessor>;
  /// Throws UsageError for no modality, for names that are empty or hold dots, and for a
  /// probability of none.
  PerceiverMultimodalPreprocessorImpl(
      const Modalities& modalities,
      const PerceiverMultimodalPreprocessorOptions& multimodal_options = {});
  int64_t num_channels() const override;
  /// Throws ShapeError unless there is a tensor for each modality and no other, which it calls
  /// `options.name` dot modality.
  PerceiverPreprocessed forward(const PerceiverTensors& inputs,
                                const PerceiverPreprocessorOptions& options = {}) const override;
  PerceiverPreprocessor make_another() const override;

  PerceiverMultimodalPreprocessorOptions options;
  Modalities preprocessors;  ///< registered in `modalities`
  PerceiverModalityParameters padding{nullptr};
  PerceiverModalityParameters mask{nullptr};

 private:
  torch::Tensor pad_and_mask(const std::string& modality, const torch::Tensor& features) const;
};
TORCH_MODULE(PerceiverMultimodalPreprocessor);

/// Arguments of PerceiverMultimodalDecoder beside the config.
struct PerceiverMultimodalDecoderOptions : PerceiverDecoderOptions {
  std::optional<int64_t> num_outputs;  ///< without effect, as upstream
  int64_t output_num_channels = 0;     ///< required
  int64_t min_padding_size = 2;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("num_outputs", self.num_outputs);
    visit("output_num_channels", self.output_num_channels);
    visit("min_padding_size", self.min_padding_size);
    PerceiverDecoderOptions::fields(self, visit);
  }
};

/// The queries of all modalities, each by a decoder of its own, padded and concatenated as
/// PerceiverMultimodalPreprocessor does; one cross-attention for all of them. Logits [B, Q,
/// output_num_channels]. num_channels and the position encoding of the arguments do not count.
class PerceiverMultimodalDecoderImpl : public PerceiverDecoderImpl {
 public:
  using Modalities = std::map<std::string, PerceiverDecoder>;
  /// Throws UsageError for no modality and for names that are empty or hold dots.
  PerceiverMultimodalDecoderImpl(const PerceiverConfig& config,
                                 const Modalities& modalities,
                                 const PerceiverMultimodalDecoderOptions& multimodal_options);
  int64_t num_query_channels() const override;
  /// inputs: of a PerceiverMultimodalPreprocessor with at least the same modalities. The queries of
  /// a modality with points, one for each, and the single one of a modality without; without any
  /// points those that each decoder has. Throws ShapeError for other counts and for points of
  /// another modality.
  torch::Tensor decoder_query(const PerceiverPreprocessed& inputs,
                              const PerceiverTensors& subsampled_points) const override;
  PerceiverDecoderOutput forward(const torch::Tensor& query,
                                 const torch::Tensor& latents,
                                 bool output_attentions = false) const override;
  PerceiverDecoder make_another() const override;

  PerceiverMultimodalDecoderOptions options;
  Modalities decoders;  ///< registered in `modalities`
  PerceiverBasicDecoder decoder{nullptr};
  PerceiverModalityParameters padding{nullptr};

 private:
  torch::Tensor modality_query(const std::string& modality,
                               const PerceiverPreprocessed& inputs,
                               const PerceiverModalities& points) const;
};
TORCH_MODULE(PerceiverMultimodalDecoder);

/// Arguments of PerceiverMultimodalPostprocessor.
struct PerceiverMultimodalPostprocessorOptions {
  bool input_is_dict = false;  ///< whether it takes a tensor for each modality, not one to be split

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("input_is_dict", self.input_is_dict);
  }
};

/// The output of each modality by a postprocessor of its own, from its share of the queries.
class PerceiverMultimodalPostprocessorImpl : public PerceiverPostprocessorImpl {
 public:
  using Modalities = std::map<std::string, PerceiverPostprocessor>;
  /// Throws UsageError for no modality and for names that are empty or hold dots.
  explicit PerceiverMultimodalPostprocessorImpl(
      const Modalities& modalities,
      const PerceiverMultimodalPostprocessorOptions& multimodal_options = {});
  /// Throws ShapeError unless the sizes, or the tensors, are those of at least its modalities.
  PerceiverTensors forward(const PerceiverTensors& inputs,
                           const PerceiverModalitySizes& modality_sizes = {}) const override;
  PerceiverPostprocessor make_another() const override;

  PerceiverMultimodalPostprocessorOptions options;
  Modalities postprocessors;  ///< registered in `modalities`
};
TORCH_MODULE(PerceiverMultimodalPostprocessor);

}  // namespace vizoo
