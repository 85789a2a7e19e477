#include "vizoo/models/owlv2/owlv2_config.h"

#include <utility>

#include "vizoo/core/config_checks.h"
#include "vizoo/core/error.h"

namespace vizoo {
namespace {

constexpr int64_t kMaxOwlv2Vocabulary = 1 << 22;
constexpr int64_t kMaxOwlv2Positions = 1 << 16;  // of texts, whose attention is quadratic
constexpr int64_t kMaxOwlv2Patches = 1 << 20;
constexpr double kMaxOwlv2Parameters = 1e10;  // of one tower

// What both towers have. `embeddings`: the entries of all embedding tables.
template <class Config>
void check_tower(const Config& config, const std::string& path, double embeddings) {
  const auto field = [&](const char* name) { return path + name; };
  check_integer(field("hidden_size").c_str(), config.hidden_size, 1, kMaxSize);
  check_integer(field("intermediate_size").c_str(), config.intermediate_size, 1, kMaxSize);
  check_integer(field("num_hidden_layers").c_str(), config.num_hidden_layers, 0, kMaxLayers);
  check_integer(
      field("num_attention_heads").c_str(), config.num_attention_heads, 1, config.hidden_size);
  if (config.hidden_size % config.num_attention_heads != 0) {
    throw ConfigError("config",
                      "/" + field("num_attention_heads"),
                      "a divisor of hidden_size " + std::to_string(config.hidden_size),
                      std::to_string(config.num_attention_heads));
  }
  check_probability(field("attention_dropout").c_str(), config.attention_dropout);
  const auto check_factor = [&](const char* name, double value) {
    check_number(field(name).c_str(), value, value >= 0.0, "a number of at least 0");
  };
  check_factor("initializer_range", config.initializer_range);
  check_factor("initializer_factor", config.initializer_factor);

  const auto size = static_cast<double>(config.hidden_size);
  const auto layer = size * (4.0 * size + 2.0 * static_cast<double>(config.intermediate_size));
  const auto total = static_cast<double>(config.num_hidden_layers) * layer + embeddings * size;
  check_number(field("hidden_size").c_str(),
               size,
               total <= kMaxOwlv2Parameters,
               "a tower of at most " + std::to_string(static_cast<int64_t>(kMaxOwlv2Parameters)) +
                   " parameters");
}

}  // namespace

void Owlv2TextConfig::resolve(const std::string& path) {
  check_integer((path + "vocab_size").c_str(), vocab_size, 1, kMaxOwlv2Vocabulary);
  check_integer(
      (path + "max_position_embeddings").c_str(), max_position_embeddings, 1, kMaxOwlv2Positions);
  check_tower(*this, path, static_cast<double>(vocab_size + max_position_embeddings));
}

void Owlv2VisionConfig::resolve(const std::string& path) {
  check_integer((path + "num_channels").c_str(), num_channels, 1, kMaxSize);
  check_integer((path + "patch_size").c_str(), patch_size, 1, kMaxSize);
  check_integer((path + "image_size").c_str(), image_size, patch_size, kMaxSize);
  if (num_patches() > kMaxOwlv2Patches) {
    throw ConfigError("config",
                      "/" + path + "image_size",
                      "at most " + std::to_string(kMaxOwlv2Patches) + " patches",
                      std::to_string(num_patches()));
  }
  const auto patch = static_cast<double>(patch_size) * static_cast<double>(patch_size) *
                     static_cast<double>(num_channels);
  check_tower(*this, path, patch + static_cast<double>(num_patches()));
}

Owlv2Config Owlv2Config::from_text_vision_configs(Owlv2TextConfig text_config,
                                                  Owlv2VisionConfig vision_config) {
  Owlv2Config config;
  config.text_config = std::move(text_config);
  config.vision_config = std::move(vision_config);
  return config;
}

void Owlv2Config::resolve() {
  text_config.resolve("text_config/");
  vision_config.resolve("vision_config/");
  check_integer("projection_dim", projection_dim, 1, kMaxSize);
  initializer_factor = 1.0;
}

}  // namespace vizoo
