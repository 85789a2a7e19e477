#include "vizoo/models/perceiver/perceiver_decoders.h"

#include <ATen/TracerMode.h>

#include "vizoo/core/error.h"
#include "vizoo/models/perceiver/perceiver_encoder.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {
namespace {

UsageError without_encoding() {
  return {"usage", "PerceiverBasicDecoder: position_encoding_type", "trainable|fourier", "none"};
}

// Coordinates in [-1, 1) of indices into an array of these sizes: [Q] -> [Q, dimensions], float32.
// Not those of linspace that a whole grid has.
torch::Tensor coordinates_of(const torch::Tensor& points, const std::vector<int64_t>& sizes) {
  std::vector<torch::Tensor> coordinates(sizes.size());
  auto rest = points.to(torch::kCPU, torch::kLong);
  for (std::size_t i = sizes.size(); i-- > 0;) {
    const auto index = at::remainder(rest, sizes[i]);
    rest = at::div(rest, sizes[i], "floor");
    coordinates[i] = (2 * index).to(torch::kFloat) / static_cast<double>(sizes[i]) - 1.0;
  }
  return at::stack(coordinates, 1);
}

void check_points(const torch::Tensor& points,
                  const std::vector<int64_t>& sizes,
                  const std::string& modality) {
  const auto name = "subsampled_output_points" + (modality.empty() ? "" : "." + modality);
  int64_t count = sizes.empty() ? 0 : 1;
  for (const auto size : sizes) count *= size;
  const auto expected = "indices [queries], Int or Long, from 0 to " + std::to_string(count - 1);
  const auto type = points.scalar_type();
  if (points.dim() != 1 || points.numel() == 0 || (type != torch::kLong && type != torch::kInt)) {
    throw ShapeError("model", name, expected, describe_tensor(points));
  }
  // While tracing, values are not to be looked at.
  if (at::tracer::impl::is_dispatch_enabled()) return;
  const auto least = points.min().item<int64_t>();
  const auto most = points.max().item<int64_t>();
  if (least >= 0 && most < count) return;
  throw ShapeError("model",
                   name,
                   expected,
                   "indices from " + std::to_string(least) + " to " + std::to_string(most));
}

}  // namespace

PerceiverProjectionDecoderImpl::PerceiverProjectionDecoderImpl(const PerceiverConfig& model_config)
    : config(model_config) {
  classifier = register_module("classifier", nn::Linear(config.d_latents, config.num_labels()));
}

int64_t PerceiverProjectionDecoderImpl::num_query_channels() const {
  throw UsageError("usage", "PerceiverProjectionDecoder", "a decoder with queries", "one without");
}

torch::Tensor PerceiverProjectionDecoderImpl::decoder_query(
    const PerceiverPreprocessed& /*inputs*/, const PerceiverTensors& /*subsampled_points*/) const {
  return {};
}

PerceiverDecoderOutput PerceiverProjectionDecoderImpl::forward(const torch::Tensor& /*query*/,
                                                               const torch::Tensor& latents,
                                                               bool /*output_attentions*/) const {
  return {classifier->forward(latents.mean(1)), {}};
}

PerceiverDecoder PerceiverProjectionDecoderImpl::make_another() const {
  return std::make_shared<PerceiverProjectionDecoderImpl>(config);
}

PerceiverBasicDecoderImpl::PerceiverBasicDecoderImpl(
    const PerceiverConfig& model_config, const PerceiverBasicDecoderOptions& decoder_options)
    : config(model_config), options(decoder_options) {
  const auto check_positive = [](const char* name, int64_t value) {
    if (value >= 1) return;
    throw UsageError("usage",
                     std::string("PerceiverBasicDecoder: ") + name,
                     "an integer of at least 1",
                     std::to_string(value));
  };
  check_positive("output_num_channels", options.output_num_channels);
  check_positive("num_channels", options.num_channels);
  check_positive("widening_factor", options.widening_factor);
  if (options.output_index_dims) {
    for (const auto size : perceiver_index_dims(*options.output_index_dims)) {
      check_positive("output_index_dims", size);
    }
  }
  if (options.position_encoding_type != PerceiverPositionEncodingType::none) {
    positions = PerceiverPositions("PerceiverBasicDecoder", options, options.out_channels);
    positions.register_with(*this, "output_position_encodings");
  }
  if (options.position_encoding_only) return;
  PerceiverLayerOptions layer;
  layer.is_cross_attention = true;
  layer.qk_channels = options.qk_channels;
  layer.v_channels = options.v_channels;
  layer.num_heads = options.num_heads;
  layer.q_dim = options.num_channels;
  layer.kv_dim = config.d_latents;
  layer.widening_factor = options.widening_factor;
  layer.use_query_residual = options.use_query_residual;
  decoding_cross_attention =
      register_module("decoding_cross_attention", PerceiverLayer(config, layer));
  if (options.final_project) {
    final_layer = register_module("final_layer",
                                  nn::Linear(options.num_channels, options.output_num_channels));
  }
}

int64_t PerceiverBasicDecoderImpl::num_query_channels() const {
  if (options.position_encoding_type == PerceiverPositionEncodingType::none) {
    throw without_encoding();
  }
  if (options.position_encoding_only) return positions.num_channels();
  return options.final_project ? options.output_num_channels : options.num_channels;
}

torch::Tensor PerceiverBasicDecoderImpl::decoder_query(
    const PerceiverPreprocessed& inputs, const PerceiverTensors& subsampled_points) const {
  if (options.position_encoding_type == PerceiverPositionEncodingType::none) {
    throw without_encoding();
  }
  torch::Tensor query;
  if (subsampled_points.tensor.defined()) {
    const auto sizes =
        perceiver_index_dims(options.output_index_dims.value_or(PerceiverIndexDims(int64_t{1})));
    check_points(subsampled_points.tensor, sizes, inputs.modality);
    query = positions.at_points(coordinates_of(subsampled_points.tensor, sizes), inputs.inputs);
  } else {
    // Upstream's grid: what comes after the positions. [B, N, C] -> [B, C, 1]
    query = positions.on_grid(inputs.inputs.select(1, 0).unsqueeze(-1));
  }
  if (!options.concat_preprocessed_input) return query;
  const auto& features = inputs.inputs_without_pos.tensor;
  if (!features.defined() || features.size(1) != query.size(1)) {
    throw ShapeError(
        "model",
        "concat_preprocessed_input",
        std::to_string(query.size(1)) + " positions of a preprocessor, one for each query",
        features.defined() ? std::to_string(features.size(1)) : "none");
  }
  return at::cat({features, query}, -1);
}

PerceiverDecoderOutput PerceiverBasicDecoderImpl::forward(const torch::Tensor& query,
                                                          const torch::Tensor& latents,
                                                          bool output_attentions) const {
  if (decoding_cross_attention.is_empty()) {
    throw UsageError("usage",
                     "PerceiverBasicDecoder",
                     "a decoder with cross-attention",
                     "position_encoding_only");
  }
  if (query.dim() != 3 || query.size(-1) != options.num_channels) {
    throw ShapeError("model",
                     "decoder queries",
                     "[B, queries, " + std::to_string(options.num_channels) +
                         "], as num_channels of the decoder says",
                     describe_tensor(query));
  }
  PerceiverDecoderOutput output;
  output.logits = decoding_cross_attention->forward(
      query, {latents, {}, {}}, output_attentions ? &output.cross_attentions : nullptr);
  if (!final_layer.is_empty()) output.logits = final_layer->forward(output.logits);
  return output;
}

PerceiverDecoder PerceiverBasicDecoderImpl::make_another() const {
  return std::make_shared<PerceiverBasicDecoderImpl>(config, options);
}

PerceiverClassificationDecoderImpl::PerceiverClassificationDecoderImpl(
    const PerceiverConfig& config, const PerceiverDecoderOptions& options) {
  decoder = register_module(
      "decoder",
      PerceiverBasicDecoder(
          config, PerceiverBasicDecoderOptions(options, config.num_labels(), int64_t{1})));
}

int64_t PerceiverClassificationDecoderImpl::num_query_channels() const {
  return decoder->num_query_channels();
}

torch::Tensor PerceiverClassificationDecoderImpl::decoder_query(
    const PerceiverPreprocessed& inputs, const PerceiverTensors& subsampled_points) const {
  return decoder->decoder_query(inputs, subsampled_points);
}

PerceiverDecoderOutput PerceiverClassificationDecoderImpl::forward(const torch::Tensor& query,
                                                                   const torch::Tensor& latents,
                                                                   bool output_attentions) const {
  auto output = decoder->forward(query, latents, output_attentions);
  output.logits = output.logits.select(1, 0);
  return output;
}

PerceiverDecoder PerceiverClassificationDecoderImpl::make_another() const {
  return std::make_shared<PerceiverClassificationDecoderImpl>(decoder->config, decoder->options);
}

}  // namespace vizoo
