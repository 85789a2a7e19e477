#include "vizoo/tasks/feature_extraction.h"

#include <algorithm>
#include <sstream>

#include "vizoo/core/error.h"

namespace vizoo {
namespace {

void check_maps(const std::vector<torch::Tensor>& maps) {
  constexpr const char* kExpected = "feature maps [C, H, W] of one number of channels";
  if (maps.empty()) throw ShapeError("features", "maps", kExpected, "none");
  for (const auto& map : maps) {
    if (map.dim() == 3 && map.size(0) == maps.front().size(0) && map.numel() > 0) continue;
    std::ostringstream got;
    got << map.sizes();
    throw ShapeError("features", "maps", kExpected, got.str());
  }
}

// Each column's entry of largest magnitude made positive.
torch::Tensor fix_signs(const torch::Tensor& loadings) {
  const auto largest = loadings.abs().argmax(0, /*keepdim=*/true);
  return loadings * loadings.gather(0, largest).sign();
}

// Linearly to [0, 1]; 0.5 where all values are the same up to rounding.
torch::Tensor to_unit_range(const torch::Tensor& values, double noise) {
  const auto least = values.min();
  const auto range = values.max() - least;
  if (range.item<double>() <= noise) return torch::full_like(values, 0.5);
  return (values - least) / range;
}

}  // namespace

torch::Tensor pooled_features(const VisionModelImpl& model,
                              const BaseModelOutputWithPooling& output,
                              const torch::Tensor& pixel_values) {
  if (output.pooler_output.defined()) return output.pooler_output;
  return model.feature_map(output, pixel_values).mean({-2, -1});
}

std::vector<torch::Tensor> principal_component_colors(const std::vector<torch::Tensor>& maps) {
  constexpr int64_t kColors = 3;
  check_maps(maps);
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> rows;
  for (const auto& map : maps) {
    // [C, H, W] -> [H * W, C]
    rows.push_back(map.to(torch::kCPU, torch::kFloat64).flatten(1).transpose(0, 1));
  }
  auto features = torch::cat(rows);
  features = features - features.mean(0);
  // Eigenvectors of the covariance, [C, C], by rising variance.
  const auto [variances, vectors] = at::linalg_eigh(features.transpose(0, 1).matmul(features));
  const auto count = std::min(kColors, vectors.size(1));
  const auto loadings = fix_signs(vectors.flip(1).slice(1, 0, count));
  const auto components = features.matmul(loadings);  // [patches, count]
  const double noise = 1e-9 * features.abs().max().item<double>();
  auto colors = torch::full({components.size(0), kColors}, 0.5, torch::kFloat64);
  for (int64_t i = 0; i < count; ++i) {
    colors.select(1, i).copy_(to_unit_range(components.select(1, i), noise));
  }
  std::vector<torch::Tensor> result;
  int64_t first = 0;
  for (const auto& map : maps) {
    const auto patches = map.size(1) * map.size(2);
    // [H * W, 3] -> [3, H * W] -> [3, H, W]
    result.push_back(colors.narrow(0, first, patches)
                         .transpose(0, 1)
                         .unflatten(1, {map.size(1), map.size(2)})
                         .to(torch::kFloat32));
    first += patches;
  }
  return result;
}

}  // namespace vizoo
