#include "vizoo/models/perceiver/perceiver_config.h"

#include <string>

#include "vizoo/core/config_checks.h"
#include "vizoo/core/error.h"

namespace vizoo {
namespace {

constexpr int64_t kMaxVocabulary = 1 << 22;
constexpr int64_t kMaxTextPositions = 1 << 20;
constexpr int64_t kMaxWidening = 64;
constexpr int64_t kMaxAppliedLayers = 1024;
constexpr int64_t kMaxPixels = int64_t{1} << 28U;  // of what a config describes, frames together
constexpr double kMaxParameters = 1e10;

void check_divides(const char* field, int64_t heads, const char* what, int64_t channels) {
  if (channels % heads == 0) return;
  throw ConfigError("config",
                    std::string("/") + field,
                    std::string("a divisor of /") + what + " " + std::to_string(channels),
                    std::to_string(heads));
}

void check_config_sizes(const char* field, const std::vector<int64_t>& sizes, std::size_t count) {
  if (sizes.size() != count) {
    throw ConfigError("config",
                      std::string("/") + field,
                      "an array of " + std::to_string(count) + " integers",
                      "an array of " + std::to_string(sizes.size()));
  }
  int64_t product = 1;
  for (const auto size : sizes) {
    check_integer(field, size, 1, kMaxSize);
    product *= size;
    check_integer(field, product, 1, kMaxPixels);
  }
}

void check_encoder(const PerceiverConfig& config) {
  check_integer("num_latents", config.num_latents, 1, kMaxSize);
  check_integer("d_latents", config.d_latents, 1, kMaxSize);
  check_integer("d_model", config.d_model, 1, kMaxSize);
  check_integer("num_blocks", config.num_blocks, 0, kMaxAppliedLayers);
  check_integer("num_self_attends_per_block", config.num_self_attends_per_block, 0, kMaxLayers);
  check_integer(
      "num_blocks", config.num_blocks * config.num_self_attends_per_block, 0, kMaxAppliedLayers);
  const auto check_heads = [&](const char* field, int64_t heads) {
    check_integer(field, heads, 1, config.d_latents);
    check_divides(field, heads, "d_latents", config.d_latents);
    if (config.qk_channels) check_divides(field, heads, "qk_channels", *config.qk_channels);
    if (config.v_channels) check_divides(field, heads, "v_channels", *config.v_channels);
  };
  if (config.qk_channels) check_integer("qk_channels", *config.qk_channels, 1, kMaxSize);
  if (config.v_channels) check_integer("v_channels", *config.v_channels, 1, kMaxSize);
  check_heads("num_self_attention_heads", config.num_self_attention_heads);
  check_heads("num_cross_attention_heads", config.num_cross_attention_heads);
  // What a self-attention layer adds to the latents has as many channels as its values.
  const auto values = config.v_channels.value_or(config.qk_channels.value_or(config.d_latents));
  if (config.num_self_attends_per_block > 0 && values != config.d_latents) {
    throw ConfigError("config",
                      config.v_channels ? "/v_channels" : "/qk_channels",
                      "/d_latents " + std::to_string(config.d_latents) + " channels of values",
                      std::to_string(values),
                      "Set v_channels where qk_channels differs from d_latents");
  }
  check_integer(
      "self_attention_widening_factor", config.self_attention_widening_factor, 1, kMaxWidening);
  check_integer(
      "cross_attention_widening_factor", config.cross_attention_widening_factor, 1, kMaxWidening);
  check_integer("chunk_size_feed_forward", config.chunk_size_feed_forward, 0, kMaxPixels);
  check_probability("attention_probs_dropout_prob", config.attention_probs_dropout_prob);
  check_number("initializer_range",
               config.initializer_range,
               config.initializer_range >= 0.0,
               "a number of at least 0");
}

}  // namespace

void PerceiverConfig::resolve() {
  check_encoder(*this);
  check_integer("vocab_size", vocab_size, 1, kMaxVocabulary);
  check_integer("max_position_embeddings", max_position_embeddings, 1, kMaxTextPositions);
  check_integer("image_size", image_size, 1, kMaxSize);
  check_config_sizes("train_size", train_size, 2);
  check_integer("num_frames", num_frames, 1, kMaxSize);
  check_integer("audio_samples_per_frame", audio_samples_per_frame, 1, kMaxPixels / num_frames);
  check_integer("samples_per_patch", samples_per_patch, 1, kMaxSize);
  check_config_sizes("output_shape", output_shape, 4);
  check_integer("output_num_channels", output_num_channels, 1, kMaxSize);
  check_integer("_label_trainable_num_channels", label_trainable_num_channels, 1, kMaxSize);

  const auto number = [](int64_t value) { return static_cast<double>(value); };
  const auto latents = number(d_latents);
  const auto layer = latents * (2.0 * number(qk_channels.value_or(d_latents)) + 2.0 * latents +
                                2.0 * number(self_attention_widening_factor) * latents);
  const auto total = number(num_self_attends_per_block) * layer + number(num_latents) * latents +
                     number(vocab_size + 2 * max_position_embeddings) * number(d_model);
  check_number(
      "d_latents",
      latents,
      total <= kMaxParameters,
      "a model of at most " + std::to_string(static_cast<int64_t>(kMaxParameters)) + " parameters");
}

}  // namespace vizoo
