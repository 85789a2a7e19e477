#pragma once

// What turns the output of a Perceiver decoder into that of one modality.
// Source: transformers/models/perceiver/modeling_perceiver.py, 4.37.2.

#include <memory>
#include <utility>

#include "vizoo/models/perceiver/perceiver_config.h"
#include "vizoo/models/perceiver/perceiver_output.h"
#include "vizoo/nn/layers.h"

namespace vizoo {

/// Base of the postprocessors.
class PerceiverPostprocessorImpl : public torch::nn::Module {
 public:
  /// inputs: the decoder's logits, [B, Q, in_channels]. `modality_sizes`: how many of the queries
  /// belong to each modality. Throws ShapeError for inputs that do not fit.
  virtual PerceiverTensors forward(const PerceiverTensors& inputs,
                                   const PerceiverModalitySizes& modality_sizes = {}) const = 0;
  /// A module of the same structure with parameters of its own, freshly initialised.
  virtual std::shared_ptr<PerceiverPostprocessorImpl> make_another() const = 0;
};

/// A postprocessor of any kind.
using PerceiverPostprocessor = std::shared_ptr<PerceiverPostprocessorImpl>;

/// Arguments of PerceiverProjectionPostprocessor.
struct PerceiverProjectionPostprocessorOptions {
  int64_t in_channels = 0;   ///< required
  int64_t out_channels = 0;  ///< required

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("in_channels", self.in_channels);
    visit("out_channels", self.out_channels);
  }
};

/// A linear layer: [B, Q, in_channels] -> [B, Q, out_channels].
class PerceiverProjectionPostprocessorImpl : public PerceiverPostprocessorImpl {
 public:
  /// Throws UsageError for channels below 1, as do the following.
  explicit PerceiverProjectionPostprocessorImpl(
      const PerceiverProjectionPostprocessorOptions& projection_options);
  PerceiverTensors forward(const PerceiverTensors& inputs,
                           const PerceiverModalitySizes& modality_sizes = {}) const override;
  PerceiverPostprocessor make_another() const override;

  PerceiverProjectionPostprocessorOptions options;
  nn::Linear classifier{nullptr};
};
TORCH_MODULE(PerceiverProjectionPostprocessor);

/// Arguments of PerceiverClassificationPostprocessor beside the config.
struct PerceiverClassificationPostprocessorOptions {
  int64_t in_channels = 0;  ///< required

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("in_channels", self.in_channels);
  }
};

/// Logits of the first query: [B, Q, in_channels] -> [B, num_labels].
class PerceiverClassificationPostprocessorImpl : public PerceiverPostprocessorImpl {
 public:
  PerceiverClassificationPostprocessorImpl(
      const PerceiverConfig& model_config,
      const PerceiverClassificationPostprocessorOptions& classification_options);
  PerceiverTensors forward(const PerceiverTensors& inputs,
                           const PerceiverModalitySizes& modality_sizes = {}) const override;
  PerceiverPostprocessor make_another() const override;

  PerceiverConfig config;
  PerceiverClassificationPostprocessorOptions options;
  nn::Linear classifier{nullptr};
};
TORCH_MODULE(PerceiverClassificationPostprocessor);

/// How an audio postprocessor makes samples.
enum class PerceiverAudioPostprocType { patches };

template <>
struct EnumNames<PerceiverAudioPostprocType> {
  static constexpr std::pair<PerceiverAudioPostprocType, const char*> table[] = {
      {PerceiverAudioPostprocType::patches, "patches"},
  };
};

/// Arguments of PerceiverAudioPostprocessor beside the config.
struct PerceiverAudioPostprocessorOptions {
  int64_t in_channels = 0;  ///< required
  PerceiverAudioPostprocType postproc_type = PerceiverAudioPostprocType::patches;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("in_channels", self.in_channels);
    visit("postproc_type", self.postproc_type);
  }
};

/// The samples of each patch: [B, Q, in_channels] -> [B, Q samples_per_patch].
class PerceiverAudioPostprocessorImpl : public PerceiverPostprocessorImpl {
 public:
  PerceiverAudioPostprocessorImpl(const PerceiverConfig& model_config,
                                  const PerceiverAudioPostprocessorOptions& audio_options);
  PerceiverTensors forward(const PerceiverTensors& inputs,
                           const PerceiverModalitySizes& modality_sizes = {}) const override;
  PerceiverPostprocessor make_another() const override;

  PerceiverConfig config;
  PerceiverAudioPostprocessorOptions options;
  nn::Linear classifier{nullptr};
};
TORCH_MODULE(PerceiverAudioPostprocessor);

}  // namespace vizoo
