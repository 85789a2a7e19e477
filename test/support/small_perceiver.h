#pragma once

#include <string>
#include <utility>
#include <vector>

#include "test/support/largest_difference.h"
#include "test/support/small_convnext.h"
#include "vizoo/core/error.h"
#include "vizoo/models/perceiver/perceiver_model.h"
#include "vizoo/models/perceiver/perceiver_positions.h"

namespace vizoo::test {

/// A Perceiver small enough to run in a millisecond: 5 latents of 8 channels, 3 blocks of the same
/// 2 layers, texts of up to 7 bytes of 11, frames of 4 x 6 pixels, videos of 2 frames of 4 x 8
/// pixels with 12 samples of sound each in patches of 4.
inline PerceiverConfig small_perceiver_config() {
  PerceiverConfig config;
  config.num_latents = 5;
  config.d_latents = 8;
  config.d_model = 16;
  config.num_blocks = 3;
  config.num_self_attends_per_block = 2;
  config.num_self_attention_heads = 2;
  config.num_cross_attention_heads = 1;
  config.self_attention_widening_factor = 2;
  config.vocab_size = 11;
  config.max_position_embeddings = 7;
  config.image_size = 6;
  config.train_size = {4, 6};
  config.num_frames = 2;
  config.audio_samples_per_frame = 12;
  config.samples_per_patch = 4;
  config.output_shape = {1, 2, 4, 8};
  config.output_num_channels = 10;
  config.label_trainable_num_channels = 14;
  config.set_num_labels(3);
  return config;
}

/// Two bands for each axis.
inline PerceiverFourierOptions fourier_options(std::vector<int64_t> resolution) {
  PerceiverFourierOptions options;
  options.num_bands = 2;
  options.max_resolution = std::move(resolution);
  return options;
}

/// A model of random weights in evaluation mode.
template <class Model>
Model random_perceiver(const PerceiverConfig& config, uint64_t seed = 1) {
  Model model(config);
  randomize(model, seed);
  model->eval();
  return model;
}

/// The message of the vizoo::Error that `function` throws, "no error" if it throws none.
template <class Function>
std::string error_of(Function&& function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace vizoo::test
