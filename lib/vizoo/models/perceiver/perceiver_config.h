#pragma once

// Perceiver: "Perceiver IO: A General Architecture for Structured Inputs & Outputs",
// https://arxiv.org/abs/2107.14795.
// Names and numbers follow transformers/models/perceiver/configuration_perceiver.py, 4.37.2.

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "vizoo/core/config.h"

namespace vizoo {

/// How many channels queries and keys of a cross-attention have that is not told.
enum class PerceiverCrossAttentionShape {
  kv,  ///< as many as what is attended to
  q,   ///< as many as what attends
};

template <>
struct EnumNames<PerceiverCrossAttentionShape> {
  static constexpr std::pair<PerceiverCrossAttentionShape, const char*> table[] = {
      {PerceiverCrossAttentionShape::kv, "kv"},
      {PerceiverCrossAttentionShape::q, "q"},
  };
};

/// config.json of model_type "perceiver".
struct PerceiverConfig : PretrainedConfig {
  static constexpr const char* kModelType = "perceiver";

  int64_t num_latents = 256;
  int64_t d_latents = 1280;  ///< channels of a latent; both head counts divide it
  int64_t d_model = 768;   ///< channels of the inputs of texts, and where there is no preprocessor
  int64_t num_blocks = 1;  ///< how often the same self-attention layers are applied
  int64_t num_self_attends_per_block = 26;
  int64_t num_self_attention_heads = 8;
  int64_t num_cross_attention_heads = 8;  ///< of the encoder
  /// Channels of queries and keys in the encoder. Unset: d_latents in self-attention,
  /// cross_attention_shape_for_attention in cross-attention.
  std::optional<int64_t> qk_channels;
  std::optional<int64_t> v_channels;  ///< of values in the encoder; unset: as queries and keys
  PerceiverCrossAttentionShape cross_attention_shape_for_attention =
      PerceiverCrossAttentionShape::kv;
  int64_t self_attention_widening_factor = 1;  ///< hidden channels of an MLP for each of its inputs
  int64_t cross_attention_widening_factor = 1;
  Activation hidden_act = Activation::gelu;
  double attention_probs_dropout_prob = 0.1;  ///< of decoders too
  double initializer_range = 0.02;
  double layer_norm_eps = 1e-12;   ///< without effect, as upstream: norms have 1e-5
  bool use_query_residual = true;  ///< in the encoder's cross-attention
  int64_t vocab_size = 262;
  int64_t max_position_embeddings = 2048;  ///< longest text, in bytes; length of a text's logits
  int64_t image_size = 56;
  std::vector<int64_t> train_size{368, 496};  ///< height and width of frames for optical flow
  int64_t num_frames = 16;
  int64_t audio_samples_per_frame = 1920;
  int64_t samples_per_patch = 16;                      ///< audio samples
  std::vector<int64_t> output_shape{1, 16, 224, 224};  ///< of a video: [1, frames, height, width]
  int64_t output_num_channels = 512;                   ///< of the multimodal decoder
  int64_t label_trainable_num_channels = 1024;         ///< of the query for the label of a video
  int64_t chunk_size_feed_forward = 0;  ///< positions that an MLP takes at once; 0: all of them

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    PretrainedConfig::fields(self, visit);
    visit("num_latents", self.num_latents);
    visit("d_latents", self.d_latents);
    visit("d_model", self.d_model);
    visit("num_blocks", self.num_blocks);
    visit("num_self_attends_per_block", self.num_self_attends_per_block);
    visit("num_self_attention_heads", self.num_self_attention_heads);
    visit("num_cross_attention_heads", self.num_cross_attention_heads);
    visit("qk_channels", self.qk_channels);
    visit("v_channels", self.v_channels);
    visit("cross_attention_shape_for_attention", self.cross_attention_shape_for_attention);
    visit("self_attention_widening_factor", self.self_attention_widening_factor);
    visit("cross_attention_widening_factor", self.cross_attention_widening_factor);
    visit("hidden_act", self.hidden_act);
    visit("attention_probs_dropout_prob", self.attention_probs_dropout_prob);
    visit("initializer_range", self.initializer_range);
    visit("layer_norm_eps", self.layer_norm_eps);
    visit("use_query_residual", self.use_query_residual);
    visit("vocab_size", self.vocab_size);
    visit("max_position_embeddings", self.max_position_embeddings);
    visit("image_size", self.image_size);
    visit("train_size", self.train_size);
    visit("num_frames", self.num_frames);
    visit("audio_samples_per_frame", self.audio_samples_per_frame);
    visit("samples_per_patch", self.samples_per_patch);
    visit("output_shape", self.output_shape);
    visit("output_num_channels", self.output_num_channels);
    visit("_label_trainable_num_channels", self.label_trainable_num_channels);
    visit("chunk_size_feed_forward", self.chunk_size_feed_forward);
  }

  /// Checks the values against each other. Throws ConfigError.
  void resolve();

  /// Audio samples of a whole video.
  int64_t audio_samples() const { return num_frames * audio_samples_per_frame; }
};

}  // namespace vizoo
