#include "vizoo/ops/fourier_positions.h"

#include <ATen/ATen.h>

#include <vector>

#include "vizoo/ops/find_op.h"

namespace vizoo::ops {
namespace {

constexpr double kPi = 3.141592653589793;

at::TensorOptions on_cpu() { return at::TensorOptions().dtype(at::kFloat).device(at::kCPU); }

// The channels of points whose coordinate i is coordinates[i]; those broadcast to each other.
std::vector<at::Tensor> fourier_channels(const std::vector<at::Tensor>& coordinates,
                                         at::IntArrayRef max_resolution,
                                         int64_t num_bands,
                                         bool concat_pos,
                                         bool sine_only) {
  std::vector<at::Tensor> channels;
  std::vector<at::Tensor> sines;
  std::vector<at::Tensor> cosines;
  for (std::size_t i = 0; i < coordinates.size(); ++i) {
    const auto highest = static_cast<double>(max_resolution[i]) / 2.0;
    const auto frequencies = at::linspace(1.0, highest, num_bands, on_cpu());
    const auto angles = coordinates[i].unsqueeze(-1) * frequencies * kPi;
    if (concat_pos) channels.push_back(coordinates[i].unsqueeze(-1));
    sines.push_back(at::sin(angles));
    if (!sine_only) cosines.push_back(at::cos(angles));
  }
  channels.insert(channels.end(), sines.begin(), sines.end());
  channels.insert(channels.end(), cosines.begin(), cosines.end());
  return channels;
}

}  // namespace

at::Tensor fourier_features(const at::Tensor& positions,
                            at::IntArrayRef max_resolution,
                            int64_t num_bands,
                            bool concat_pos,
                            bool sine_only) {
  TORCH_CHECK(
      positions.dim() == 2 && positions.size(1) == static_cast<int64_t>(max_resolution.size()),
      "[fourier_features] positions: expected a tensor [N, ",
      max_resolution.size(),
      "], got ",
      positions.sizes(),
      ".");
  return at::cat(
      fourier_channels(positions.unbind(1), max_resolution, num_bands, concat_pos, sine_only), -1);
}

at::Tensor fourier_features_of_grid(const at::Tensor& feature_map,
                                    at::IntArrayRef max_resolution,
                                    int64_t num_bands,
                                    bool concat_pos,
                                    bool sine_only) {
  static const auto op =
      find_op<decltype(fourier_features_of_grid)>("vizoo::fourier_features_of_grid");
  return op.call(feature_map, max_resolution, num_bands, concat_pos, sine_only);
}

namespace composite {

at::Tensor fourier_features_of_grid(const at::Tensor& feature_map,
                                    at::IntArrayRef max_resolution,
                                    int64_t num_bands,
                                    bool concat_pos,
                                    bool sine_only) {
  constexpr const char* kOp = "[fourier_features_of_grid] ";
  const auto dimensions = static_cast<int64_t>(max_resolution.size());
  TORCH_CHECK(dimensions >= 1 && feature_map.dim() == dimensions + 2,
              kOp,
              "feature_map: expected a tensor [B, sizes..., C] with ",
              dimensions,
              " sizes, got ",
              feature_map.sym_sizes(),
              ".");
  TORCH_CHECK(
      num_bands >= 1, kOp, "num_bands: expected an integer of at least 1, got ", num_bands, ".");
  std::vector<int64_t> sizes;
  std::vector<at::Tensor> coordinates;
  for (int64_t i = 0; i < dimensions; ++i) {
    sizes.push_back(feature_map.sym_size(i + 1).guard_int(__FILE__, __LINE__));
    std::vector<int64_t> shape(max_resolution.size(), 1);
    shape[static_cast<std::size_t>(i)] = sizes.back();
    coordinates.push_back(at::linspace(-1.0, 1.0, sizes.back(), on_cpu()).view(shape));
  }
  auto channels = fourier_channels(coordinates, max_resolution, num_bands, concat_pos, sine_only);
  for (auto& channel : channels) {
    auto shape = sizes;
    shape.push_back(channel.size(-1));
    channel = channel.expand(shape);
  }
  // [sizes..., channels] -> [N, channels]
  return at::cat(channels, -1).flatten(0, -2).to(feature_map.device(), feature_map.scalar_type());
}

}  // namespace composite
}  // namespace vizoo::ops
