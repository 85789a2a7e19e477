#include "vizoo/nn/neighborhood_config.h"

#include <string>

#include "vizoo/core/config_checks.h"
#include "vizoo/core/error.h"

namespace vizoo {
namespace {

constexpr int64_t kMaxKernelSize = 127;  // a bias of 253 x 253 for each head
constexpr int64_t kMaxDilation = 1024;
constexpr int64_t kMaxPaddedElements = 1 << 25;  // of one image on the least grid of a layer

// A layer pads its input to its window: that must fit into memory whatever the image.
void check_window(const std::string& field, int64_t window, int64_t width) {
  if (window * window * width <= kMaxPaddedElements) return;
  throw ConfigError("config",
                    "/" + field,
                    "a window that fits into memory",
                    std::to_string(window) + " x " + std::to_string(window) + " tokens of " +
                        std::to_string(width) + " channels");
}

}  // namespace

int64_t NeighborhoodConfig::mlp_width(int64_t width) const {
  return static_cast<int64_t>(mlp_ratio * static_cast<double>(width));
}

void NeighborhoodConfig::resolve() {
  check_integer("patch_size", patch_size, 4, 4);
  check_integer("num_channels", num_channels, 1, kMaxSize);
  check_integer("embed_dim", embed_dim, 2, kMaxSize);
  check_depths(depths);
  const auto stages = static_cast<int64_t>(depths.size());
  check_one_per_stage("num_heads", num_heads.size(), stages);
  check_integer("kernel_size", kernel_size, 3, kMaxKernelSize);
  if (kernel_size % 2 == 0) {
    throw ConfigError("config", "/kernel_size", "an odd integer", std::to_string(kernel_size));
  }
  check_number(
      "mlp_ratio",
      mlp_ratio,
      mlp_ratio > 0.0 && mlp_ratio * static_cast<double>(embed_dim) >= 1.0 && mlp_ratio <= 64.0,
      "a number up to 64 that leaves at least one channel");
  check_probability("hidden_dropout_prob", hidden_dropout_prob);
  check_probability("attention_probs_dropout_prob", attention_probs_dropout_prob);
  check_rates(drop_path_rate, initializer_range);

  num_layers = stages;
  hidden_size = stage_width(depths.size() - 1);
  if (hidden_size > kMaxSize) {
    throw ConfigError("config",
                      "/embed_dim",
                      "at most " + std::to_string(kMaxSize) + " channels in the last of the " +
                          std::to_string(stages) + " stages",
                      std::to_string(hidden_size));
  }
  check_window("kernel_size", kernel_size, hidden_size);
  for (std::size_t i = 0; i < depths.size(); ++i) {
    const auto width = stage_width(i);
    check_integer("num_heads", num_heads[i], 1, width);
    if (width % num_heads[i] == 0) continue;
    throw ConfigError("config",
                      "/num_heads/" + std::to_string(i),
                      "a divisor of the stage's " + std::to_string(width) + " channels",
                      std::to_string(num_heads[i]));
  }
  align_output_stages(stages);
}

void check_dilations(const NeighborhoodConfig& config, const Dilations& dilations) {
  check_one_per_stage("dilations", dilations.size(), config.num_layers);
  for (std::size_t i = 0; i < config.depths.size(); ++i) {
    const auto path = "dilations/" + std::to_string(i);
    if (static_cast<int64_t>(dilations[i].size()) < config.depths[i]) {
      throw ConfigError(
          "config",
          "/" + path,
          "a dilation for each of the " + std::to_string(config.depths[i]) + " layers of the stage",
          std::to_string(dilations[i].size()) + " values");
    }
    for (int64_t j = 0; j < config.depths[i]; ++j) {
      const auto dilation = dilations[i][static_cast<std::size_t>(j)];
      const auto item = path + "/" + std::to_string(j);
      check_integer(item.c_str(), dilation, 1, kMaxDilation);
      check_window(item, config.kernel_size * dilation, config.stage_width(i));
    }
  }
}

}  // namespace vizoo
