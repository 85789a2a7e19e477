#include "vizoo/models/perceiver/perceiver_positions.h"

#include <cmath>

#include "vizoo/core/error.h"
#include "vizoo/models/perceiver/perceiver_encoder.h"
#include "vizoo/nn/initialization.h"
#include "vizoo/ops/fourier_positions.h"
#include "vizoo/ops/image_ops.h"

namespace vizoo {
namespace {

constexpr int64_t kMaxPositions = int64_t{1} << 28U;

void check_size(const char* owner, const char* name, int64_t size) {
  if (size >= 1 && size <= kMaxPositions) return;
  throw UsageError("usage",
                   std::string(owner) + ": " + name,
                   "integers from 1 to " + std::to_string(kMaxPositions),
                   std::to_string(size));
}

}  // namespace

std::vector<int64_t> perceiver_index_dims(const PerceiverIndexDims& dims) {
  if (const auto* size = std::get_if<int64_t>(&dims)) return {*size};
  return std::get<std::vector<int64_t>>(dims);
}

PerceiverTrainablePositionEncodingImpl::PerceiverTrainablePositionEncodingImpl(
    const PerceiverTrainableOptions& encoding_options)
    : options(encoding_options) {
  constexpr const char* kOwner = "PerceiverTrainablePositionEncoding";
  const auto sizes = perceiver_index_dims(options.index_dims);
  int64_t count = 1;
  for (const auto size : sizes) {
    check_size(kOwner, "index_dims", size);
    count *= size;
    check_size(kOwner, "index_dims", count);
  }
  check_size(kOwner, "num_channels", options.num_channels);
  position_embeddings =
      register_parameter("position_embeddings", nn::empty_parameter({count, options.num_channels}));
  nn::normal_(position_embeddings, 1.0);
}

int64_t PerceiverTrainablePositionEncodingImpl::num_dimensions() const {
  return static_cast<int64_t>(perceiver_index_dims(options.index_dims).size());
}

torch::Tensor PerceiverTrainablePositionEncodingImpl::forward(const torch::Tensor& like) const {
  return perceiver_expand(position_embeddings, like);
}

torch::Tensor PerceiverTrainablePositionEncodingImpl::interpolate(
    const torch::Tensor& feature_map) const {
  const auto count = position_embeddings.size(0);
  const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(count))));
  if (side * side != count) {
    throw ShapeError("model",
                     "interpolate_pos_encoding",
                     "a square number of trainable positions",
                     std::to_string(count));
  }
  // The op is for tables whose first row belongs to a class token; ours has none.
  const auto table = at::cat({position_embeddings.narrow(0, 0, 1), position_embeddings});
  const auto resized = ops::interpolate_position_embeddings(table.unsqueeze(0),
                                                            feature_map,
                                                            /*patch_size=*/1,
                                                            /*offset=*/false,
                                                            /*antialias=*/false,
                                                            /*in_float32=*/false);
  return resized.squeeze(0).slice(0, 1);
}

PerceiverFourierPositionEncodingImpl::PerceiverFourierPositionEncodingImpl(
    const PerceiverFourierOptions& encoding_options)
    : options(encoding_options) {
  constexpr const char* kOwner = "PerceiverFourierPositionEncoding";
  check_size(kOwner, "num_bands", options.num_bands);
  check_size(kOwner, "number of dimensions of max_resolution", num_dimensions());
  for (const auto size : options.max_resolution) check_size(kOwner, "max_resolution", size);
}

int64_t PerceiverFourierPositionEncodingImpl::output_size() const {
  const auto waves = options.num_bands * num_dimensions() * (options.sine_only ? 1 : 2);
  return waves + (options.concat_pos ? num_dimensions() : 0);
}

torch::Tensor PerceiverFourierPositionEncodingImpl::forward(
    const torch::Tensor& feature_map) const {
  if (feature_map.dim() - 2 != num_dimensions()) {
    throw ShapeError("model",
                     "Fourier position encoding",
                     std::to_string(num_dimensions()) + " dimensions, as max_resolution has",
                     std::to_string(feature_map.dim() - 2));
  }
  return ops::fourier_features_of_grid(feature_map,
                                       options.max_resolution,
                                       options.num_bands,
                                       options.concat_pos,
                                       options.sine_only);
}

torch::Tensor PerceiverFourierPositionEncodingImpl::encode(const torch::Tensor& positions,
                                                           const torch::Tensor& like) const {
  if (positions.dim() != 2 || positions.size(1) != num_dimensions()) {
    throw ShapeError("model",
                     "Fourier position encoding",
                     "points [N, " + std::to_string(num_dimensions()) + "]",
                     "a tensor of " + std::to_string(positions.dim()) + " dimensions");
  }
  return ops::fourier_features(positions.cpu(),
                               options.max_resolution,
                               options.num_bands,
                               options.concat_pos,
                               options.sine_only)
      .to(like.device(), like.scalar_type());
}

PerceiverPositions::PerceiverPositions(const std::string& owner,
                                       const PerceiverPositionOptions& options,
                                       int64_t out_channels) {
  int64_t channels = 0;
  const auto missing = [&](const char* name) {
    return UsageError("usage", owner, std::string("the argument ") + name, "nothing");
  };
  switch (options.position_encoding_type) {
    case PerceiverPositionEncodingType::trainable:
      if (!options.trainable_position_encoding_kwargs) {
        throw missing("trainable_position_encoding_kwargs");
      }
      trainable = PerceiverTrainablePositionEncoding(*options.trainable_position_encoding_kwargs);
      channels = trainable->output_size();
      break;
    case PerceiverPositionEncodingType::fourier:
      if (!options.fourier_position_encoding_kwargs) {
        throw missing("fourier_position_encoding_kwargs");
      }
      fourier = PerceiverFourierPositionEncoding(*options.fourier_position_encoding_kwargs);
      channels = fourier->output_size();
      break;
    case PerceiverPositionEncodingType::none:
      throw UsageError("usage", owner + ": position_encoding_type", "trainable|fourier", "none");
  }
  if (options.project_pos_dim <= 0) return;
  check_size(owner.c_str(), "project_pos_dim", options.project_pos_dim);
  if (channels != out_channels) {
    throw UsageError("usage",
                     owner + ": out_channels",
                     std::to_string(channels) + ", as many as the position encoding has",
                     std::to_string(out_channels),
                     "project_pos_dim projects from out_channels");
  }
  projection = nn::Linear(out_channels, options.project_pos_dim);
}

void PerceiverPositions::register_with(torch::nn::Module& module, const char* encoding_name) const {
  if (!trainable.is_empty()) module.register_module(encoding_name, trainable);
  if (!fourier.is_empty()) module.register_module(encoding_name, fourier);
  if (!projection.is_empty()) module.register_module("positions_projection", projection);
}

int64_t PerceiverPositions::num_channels() const {
  if (!projection.is_empty()) return projection->weight.size(0);
  return trainable.is_empty() ? fourier->output_size() : trainable->output_size();
}

int64_t PerceiverPositions::num_dimensions() const {
  return trainable.is_empty() ? fourier->num_dimensions() : trainable->num_dimensions();
}

torch::Tensor PerceiverPositions::on_grid(const torch::Tensor& feature_map) const {
  return project(
      trainable.is_empty() ? fourier->forward(feature_map) : trainable->position_embeddings,
      feature_map);
}

torch::Tensor PerceiverPositions::at_points(const torch::Tensor& positions,
                                            const torch::Tensor& like) const {
  return project(
      trainable.is_empty() ? fourier->encode(positions, like) : trainable->position_embeddings,
      like);
}

torch::Tensor PerceiverPositions::on_resized_grid(const torch::Tensor& feature_map) const {
  if (trainable.is_empty()) return on_grid(feature_map);
  // [B, H, W, C] -> [B, C, H, W]
  return project(trainable->interpolate(feature_map.permute({0, 3, 1, 2})), feature_map);
}

torch::Tensor PerceiverPositions::project(const torch::Tensor& encoding,
                                          const torch::Tensor& like) const {
  const auto all = perceiver_expand(encoding, like);
  return projection.is_empty() ? all : projection->forward(all);
}

}  // namespace vizoo
