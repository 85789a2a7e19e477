#pragma once

#include "test/support/largest_difference.h"
#include "test/support/small_convnext.h"
#include "vizoo/models/owlv2/owlv2_detection.h"

namespace vizoo::test {

/// An OWLv2 small enough to run in a millisecond: 4 x 4 patches of 3 pixels, texts of up to 6
/// tokens of 20, of which 18 begins and 19 ends a text.
inline Owlv2Config small_owlv2_config() {
  Owlv2TextConfig text;
  text.vocab_size = 20;
  text.hidden_size = 8;
  text.intermediate_size = 12;
  text.num_hidden_layers = 2;
  text.num_attention_heads = 2;
  text.max_position_embeddings = 6;
  Owlv2VisionConfig vision;
  vision.hidden_size = 12;
  vision.intermediate_size = 10;
  vision.num_hidden_layers = 2;
  vision.num_attention_heads = 3;
  vision.image_size = 12;
  vision.patch_size = 3;
  auto config = Owlv2Config::from_text_vision_configs(text, vision);
  config.projection_dim = 8;
  return config;
}

/// A model of random weights in evaluation mode.
template <class Model, class Config>
Model random_owlv2(const Config& config, uint64_t seed) {
  Model model(config);
  randomize(model, seed);
  model->eval();
  return model;
}

inline torch::Tensor small_owlv2_pixels(int64_t batch, uint64_t seed = 3) {
  torch::manual_seed(seed);
  return torch::randn({batch, 3, 12, 12});
}

/// Begin, words, end, padding.
inline torch::Tensor small_owlv2_texts() {
  return torch::tensor({{18, 4, 7, 19, 0, 0}, {18, 19, 0, 0, 0, 0}, {18, 9, 9, 2, 5, 19}});
}

}  // namespace vizoo::test
