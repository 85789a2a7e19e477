#pragma once

// What turns texts, classes and sound into what the Perceiver's latents attend to.
// Source: transformers/models/perceiver/modeling_perceiver.py, 4.37.2.

#include <memory>
#include <string>
#include <utility>

#include "vizoo/models/perceiver/perceiver_config.h"
#include "vizoo/models/perceiver/perceiver_output.h"
#include "vizoo/models/perceiver/perceiver_positions.h"
#include "vizoo/nn/layers.h"

namespace vizoo {

/// How position encodings join the features.
enum class PerceiverPositionJoin {
  concat,  ///< behind them, as further channels
  add,     ///< which needs as many channels of one as of the other
};

template <>
struct EnumNames<PerceiverPositionJoin> {
  static constexpr std::pair<PerceiverPositionJoin, const char*> table[] = {
      {PerceiverPositionJoin::concat, "concat"},
      {PerceiverPositionJoin::add, "add"},
  };
};

/// What a preprocessor returns.
struct PerceiverPreprocessed {
  torch::Tensor inputs;                   ///< [B, N, num_channels]
  PerceiverModalitySizes modality_sizes;  ///< positions of each modality, by a multimodal one
  /// The features before position encodings, [B, N, C], of each modality where there are several.
  PerceiverTensors inputs_without_pos;
  std::string modality{};  ///< which of several this is, for messages; else empty
};

/// How a preprocessor is called.
struct PerceiverPreprocessorOptions {
  std::string name = "inputs";            ///< what messages call the tensor
  bool interpolate_pos_encoding = false;  ///< as in PerceiverOptions
};

/// Base of the preprocessors.
class PerceiverPreprocessorImpl : public torch::nn::Module {
 public:
  /// Channels of what it returns.
  virtual int64_t num_channels() const = 0;
  /// Throws ShapeError for inputs that do not fit.
  virtual PerceiverPreprocessed forward(const PerceiverTensors& inputs,
                                        const PerceiverPreprocessorOptions& options = {}) const = 0;
  /// A module of the same structure with parameters of its own, freshly initialised.
  virtual std::shared_ptr<PerceiverPreprocessorImpl> make_another() const = 0;
};

/// A preprocessor of any kind.
using PerceiverPreprocessor = std::shared_ptr<PerceiverPreprocessorImpl>;

/// `inputs.tensor`. Throws ShapeError if there are modalities, or nothing.
const torch::Tensor& perceiver_single_input(const PerceiverTensors& inputs,
                                            const PerceiverPreprocessorOptions& options);

/// Features and their position encodings, both [B, N, C], joined. Throws ShapeError unless the
/// encoding is for N positions, and to be added has as many channels.
torch::Tensor perceiver_join(const torch::Tensor& features,
                             const torch::Tensor& positions,
                             PerceiverPositionJoin join,
                             const std::string& name);

/// Byte embeddings and the positions' learned ones: ids [B, N], Int or Long, N at most
/// max_position_embeddings -> [B, N, d_model].
class PerceiverTextPreprocessorImpl : public PerceiverPreprocessorImpl {
 public:
  explicit PerceiverTextPreprocessorImpl(const PerceiverConfig& model_config);
  int64_t num_channels() const override { return config.d_model; }
  PerceiverPreprocessed forward(const PerceiverTensors& inputs,
                                const PerceiverPreprocessorOptions& options = {}) const override;
  PerceiverPreprocessor make_another() const override;

  PerceiverConfig config;
  nn::Embedding embeddings{nullptr};
  nn::Embedding position_embeddings{nullptr};
};
TORCH_MODULE(PerceiverTextPreprocessor);

/// Logits of embeddings by the weights that embedded the inputs: [B, N, d_model] -> [B, N,
/// vocab_size]. Parameter `bias` [vocab_size].
class PerceiverEmbeddingDecoderImpl : public torch::nn::Module {
 public:
  explicit PerceiverEmbeddingDecoderImpl(const PerceiverConfig& config);
  torch::Tensor forward(const torch::Tensor& hidden_states, const nn::Embedding& embeddings) const;

  torch::Tensor bias;
};
TORCH_MODULE(PerceiverEmbeddingDecoder);

/// One position for each input, without encoding: [B, num_labels] -> [B, 1, num_labels].
class PerceiverOneHotPreprocessorImpl : public PerceiverPreprocessorImpl {
 public:
  explicit PerceiverOneHotPreprocessorImpl(const PerceiverConfig& model_config);
  int64_t num_channels() const override { return config.num_labels(); }
  PerceiverPreprocessed forward(const PerceiverTensors& inputs,
                                const PerceiverPreprocessorOptions& options = {}) const override;
  PerceiverPreprocessor make_another() const override;

  PerceiverConfig config;
};
TORCH_MODULE(PerceiverOneHotPreprocessor);

/// How an audio preprocessor makes positions.
enum class PerceiverAudioPrepType { patches };

template <>
struct EnumNames<PerceiverAudioPrepType> {
  static constexpr std::pair<PerceiverAudioPrepType, const char*> table[] = {
      {PerceiverAudioPrepType::patches, "patches"},
  };
};

/// Arguments of PerceiverAudioPreprocessor beside the config.
struct PerceiverAudioPreprocessorOptions : PerceiverPositionOptions {
  PerceiverAudioPrepType prep_type = PerceiverAudioPrepType::patches;
  int64_t samples_per_patch = 96;
  PerceiverPositionJoin concat_or_add_pos = PerceiverPositionJoin::concat;
  int64_t out_channels = 64;  ///< of the position encoding, where project_pos_dim projects it

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("prep_type", self.prep_type);
    visit("samples_per_patch", self.samples_per_patch);
    visit("concat_or_add_pos", self.concat_or_add_pos);
    visit("out_channels", self.out_channels);
    PerceiverPositionOptions::fields(self, visit);
  }
};

/// Patches of samples: [B, S, 1] or [B, S], samples_per_patch dividing S -> [B, S /
/// samples_per_patch, num_channels].
class PerceiverAudioPreprocessorImpl : public PerceiverPreprocessorImpl {
 public:
  /// Throws UsageError for arguments that make no sense.
  PerceiverAudioPreprocessorImpl(const PerceiverConfig& config,
                                 const PerceiverAudioPreprocessorOptions& audio_options);
  int64_t num_channels() const override;
  PerceiverPreprocessed forward(const PerceiverTensors& inputs,
                                const PerceiverPreprocessorOptions& options = {}) const override;
  PerceiverPreprocessor make_another() const override;

  PerceiverAudioPreprocessorOptions options;
  PerceiverPositions positions;  ///< registered as position_embeddings and positions_projection
};
TORCH_MODULE(PerceiverAudioPreprocessor);

}  // namespace vizoo
