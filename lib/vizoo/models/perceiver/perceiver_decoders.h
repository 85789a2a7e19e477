#pragma once

// What turns the Perceiver's latents into outputs for one modality.
// Source: transformers/models/perceiver/modeling_perceiver.py, 4.37.2.

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "vizoo/models/perceiver/perceiver_layers.h"
#include "vizoo/models/perceiver/perceiver_preprocessors.h"

namespace vizoo {

/// What a decoder returns.
struct PerceiverDecoderOutput {
  torch::Tensor logits;
  torch::Tensor cross_attentions;  ///< [B, heads, Q, L] if it was asked for and there is any
};

/// Base of the decoders. B inputs, N positions each after the preprocessor, L latents, Q queries.
class PerceiverDecoderImpl : public torch::nn::Module {
 public:
  /// Channels of the queries, as part of a multimodal decoder.
  virtual int64_t num_query_channels() const = 0;
  /// What asks the latents: [B, Q, C]; undefined if the decoder asks nothing. `subsampled_points`:
  /// indices into the flattened output of which queries are wanted, [Q], Int or Long; empty: all.
  virtual torch::Tensor decoder_query(const PerceiverPreprocessed& inputs,
                                      const PerceiverTensors& subsampled_points) const = 0;
  /// latents: [B, L, d_latents].
  virtual PerceiverDecoderOutput forward(const torch::Tensor& query,
                                         const torch::Tensor& latents,
                                         bool output_attentions = false) const = 0;
  /// A module of the same structure with parameters of its own, freshly initialised.
  virtual std::shared_ptr<PerceiverDecoderImpl> make_another() const = 0;
};

/// A decoder of any kind.
using PerceiverDecoder = std::shared_ptr<PerceiverDecoderImpl>;

/// The mean of the latents and a linear layer: logits [B, num_labels]. Asks nothing. Does not work
/// inside of upstream's PerceiverModel; it does in ours.
class PerceiverProjectionDecoderImpl : public PerceiverDecoderImpl {
 public:
  explicit PerceiverProjectionDecoderImpl(const PerceiverConfig& model_config);
  /// Throws UsageError: there are no queries.
  int64_t num_query_channels() const override;
  torch::Tensor decoder_query(const PerceiverPreprocessed& inputs,
                              const PerceiverTensors& subsampled_points) const override;
  PerceiverDecoderOutput forward(const torch::Tensor& query,
                                 const torch::Tensor& latents,
                                 bool output_attentions = false) const override;
  PerceiverDecoder make_another() const override;

  PerceiverConfig config;
  nn::Linear classifier{nullptr};
};
TORCH_MODULE(PerceiverProjectionDecoder);

/// Arguments that PerceiverBasicDecoder and the decoders around one have in common.
struct PerceiverDecoderOptions : PerceiverPositionOptions {
  PerceiverDecoderOptions() { position_encoding_type = PerceiverPositionEncodingType::trainable; }

  int64_t num_channels = 128;                               ///< of a query
  std::optional<PerceiverIndexDims> subsampled_index_dims;  ///< without effect, as upstream
  std::optional<int64_t> qk_channels;  ///< unset: as cross_attention_shape_for_attention says
  std::optional<int64_t> v_channels;   ///< unset: as queries and keys
  int64_t num_heads = 1;
  int64_t widening_factor = 1;
  bool use_query_residual = false;
  bool concat_preprocessed_input = false;  ///< whether the features come first in a query
  bool final_project = true;               ///< whether a linear layer ends it
  bool position_encoding_only = false;     ///< whether it only makes queries
  int64_t out_channels = 0;  ///< of the position encoding, where project_pos_dim projects it

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("num_channels", self.num_channels);
    visit("subsampled_index_dims", self.subsampled_index_dims);
    visit("qk_channels", self.qk_channels);
    visit("v_channels", self.v_channels);
    visit("num_heads", self.num_heads);
    visit("widening_factor", self.widening_factor);
    visit("use_query_residual", self.use_query_residual);
    visit("concat_preprocessed_input", self.concat_preprocessed_input);
    visit("final_project", self.final_project);
    visit("position_encoding_only", self.position_encoding_only);
    visit("out_channels", self.out_channels);
    PerceiverPositionOptions::fields(self, visit);
  }
};

/// Arguments of PerceiverBasicDecoder beside the config.
struct PerceiverBasicDecoderOptions : PerceiverDecoderOptions {
  PerceiverBasicDecoderOptions() = default;
  PerceiverBasicDecoderOptions(const PerceiverDecoderOptions& common,
                               int64_t num_outputs,
                               std::optional<PerceiverIndexDims> index_dims)
      : PerceiverDecoderOptions(common),
        output_num_channels(num_outputs),
        output_index_dims(std::move(index_dims)) {}

  int64_t output_num_channels = 0;  ///< required; without effect unless final_project
  /// Size of the output, of which subsampled points are indices.
  std::optional<PerceiverIndexDims> output_index_dims;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("output_num_channels", self.output_num_channels);
    visit("output_index_dims", self.output_index_dims);
    PerceiverDecoderOptions::fields(self, visit);
  }
};

/// Queries, positions as a rule, that attend to the latents: [B, Q, num_channels] -> logits [B, Q,
/// output_num_channels], or num_channels without final_project.
///
/// Its queries: all rows of a trainable encoding; Fourier features of the points, if some are
/// given, whose coordinate i is 2 index / output_index_dims[i] - 1, else of a line of as many
/// points as the preprocessed inputs have channels, as upstream.
class PerceiverBasicDecoderImpl : public PerceiverDecoderImpl {
 public:
  /// Throws UsageError for arguments that make no sense.
  PerceiverBasicDecoderImpl(const PerceiverConfig& model_config,
                            const PerceiverBasicDecoderOptions& decoder_options);
  /// Throws UsageError if position_encoding_type is none.
  int64_t num_query_channels() const override;
  /// Throws UsageError if position_encoding_type is none; ShapeError for points outside of
  /// output_index_dims.
  torch::Tensor decoder_query(const PerceiverPreprocessed& inputs,
                              const PerceiverTensors& subsampled_points) const override;
  /// Throws UsageError if it only makes queries, ShapeError for queries of other channels.
  PerceiverDecoderOutput forward(const torch::Tensor& query,
                                 const torch::Tensor& latents,
                                 bool output_attentions = false) const override;
  PerceiverDecoder make_another() const override;

  PerceiverConfig config;
  PerceiverBasicDecoderOptions options;
  /// Registered as output_position_encodings and positions_projection; none for type none.
  PerceiverPositions positions;
  PerceiverLayer decoding_cross_attention{nullptr};  ///< empty if it only makes queries
  nn::Linear final_layer{nullptr};                   ///< empty without final_project
};
TORCH_MODULE(PerceiverBasicDecoder);

/// One query for the logits of all labels: [B, num_labels]. Registers a PerceiverBasicDecoder as
/// `decoder`, as do the following.
class PerceiverClassificationDecoderImpl : public PerceiverDecoderImpl {
 public:
  PerceiverClassificationDecoderImpl(const PerceiverConfig& config,
                                     const PerceiverDecoderOptions& options);
  int64_t num_query_channels() const override;
  torch::Tensor decoder_query(const PerceiverPreprocessed& inputs,
                              const PerceiverTensors& subsampled_points) const override;
  PerceiverDecoderOutput forward(const torch::Tensor& query,
                                 const torch::Tensor& latents,
                                 bool output_attentions = false) const override;
  PerceiverDecoder make_another() const override;

  PerceiverBasicDecoder decoder{nullptr};
};
TORCH_MODULE(PerceiverClassificationDecoder);

/// Arguments of PerceiverOpticalFlowDecoder beside the config.
struct PerceiverOpticalFlowDecoderOptions : PerceiverDecoderOptions {
  std::vector<int64_t> output_image_shape;  ///< required; height and width
  int64_t output_num_channels = 2;
  double rescale_factor = 100.0;  ///< what the result is divided by
  std::optional<PerceiverIndexDims> output_index_dims;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("output_image_shape", self.output_image_shape);
    visit("output_num_channels", self.output_num_channels);
    visit("rescale_factor", self.rescale_factor);
    visit("output_index_dims", self.output_index_dims);
    PerceiverDecoderOptions::fields(self, visit);
  }
};

/// The preprocessed inputs ask: [B, H W, C] -> logits [B, H, W, output_num_channels]. Its position
/// encoding is not used. Takes no points.
class PerceiverOpticalFlowDecoderImpl : public PerceiverDecoderImpl {
 public:
  PerceiverOpticalFlowDecoderImpl(const PerceiverConfig& config,
                                  const PerceiverOpticalFlowDecoderOptions& flow_options);
  int64_t num_query_channels() const override;
  torch::Tensor decoder_query(const PerceiverPreprocessed& inputs,
                              const PerceiverTensors& subsampled_points) const override;
  /// Throws ShapeError unless there is a query for each pixel of output_image_shape.
  PerceiverDecoderOutput forward(const torch::Tensor& query,
                                 const torch::Tensor& latents,
                                 bool output_attentions = false) const override;
  PerceiverDecoder make_another() const override;

  PerceiverOpticalFlowDecoderOptions options;
  PerceiverBasicDecoder decoder{nullptr};
};
TORCH_MODULE(PerceiverOpticalFlowDecoder);

/// Arguments of PerceiverBasicVideoAutoencodingDecoder beside the config.
struct PerceiverVideoDecoderOptions : PerceiverDecoderOptions {
  std::vector<int64_t> output_shape;  ///< required; [batch, frames, height, width]
  int64_t output_num_channels = 0;    ///< required

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("output_shape", self.output_shape);
    visit("output_num_channels", self.output_num_channels);
    PerceiverDecoderOptions::fields(self, visit);
  }
};

/// A query for each pixel of a video: [B, T H W, C] -> logits [B, T, H, W, output_num_channels],
/// whatever batch output_shape names.
class PerceiverBasicVideoAutoencodingDecoderImpl : public PerceiverDecoderImpl {
 public:
  PerceiverBasicVideoAutoencodingDecoderImpl(const PerceiverConfig& config,
                                             const PerceiverVideoDecoderOptions& video_options);
  int64_t num_query_channels() const override;
  torch::Tensor decoder_query(const PerceiverPreprocessed& inputs,
                              const PerceiverTensors& subsampled_points) const override;
  /// Throws ShapeError unless there is a query for each pixel of output_shape.
  PerceiverDecoderOutput forward(const torch::Tensor& query,
                                 const torch::Tensor& latents,
                                 bool output_attentions = false) const override;
  PerceiverDecoder make_another() const override;

  PerceiverVideoDecoderOptions options;
  PerceiverBasicDecoder decoder{nullptr};
};
TORCH_MODULE(PerceiverBasicVideoAutoencodingDecoder);

}  // namespace vizoo
