// The decoders whose output is an image or a video.
#include "vizoo/core/error.h"
#include "vizoo/models/perceiver/perceiver_decoders.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {
namespace {

void check_decoder_shape(const std::string& argument,
                         const std::vector<int64_t>& shape,
                         std::size_t rank) {
  bool fits = shape.size() == rank;
  for (const auto size : shape) fits = fits && size >= 1;
  if (fits) return;
  throw UsageError("usage",
                   argument,
                   std::to_string(rank) + " integers of at least 1",
                   std::to_string(shape.size()) + " integers");
}

// [B, Q, C] -> [B, sizes..., C]
torch::Tensor unflatten_queries(const torch::Tensor& logits, const std::vector<int64_t>& sizes) {
  int64_t count = 1;
  for (const auto size : sizes) count *= size;
  if (logits.size(1) == count) return logits.unflatten(1, sizes);
  std::string shape;
  for (const auto size : sizes) shape += (shape.empty() ? "" : " x ") + std::to_string(size);
  throw ShapeError("model",
                   "decoder queries",
                   "one for each of " + shape + " positions of the output",
                   std::to_string(logits.size(1)),
                   "Frames must have the size that the model was built for");
}

}  // namespace

PerceiverOpticalFlowDecoderImpl::PerceiverOpticalFlowDecoderImpl(
    const PerceiverConfig& config, const PerceiverOpticalFlowDecoderOptions& flow_options)
    : options(flow_options) {
  check_decoder_shape(
      "PerceiverOpticalFlowDecoder: output_image_shape", options.output_image_shape, 2);
  decoder = register_module(
      "decoder",
      PerceiverBasicDecoder(config,
                            PerceiverBasicDecoderOptions(
                                options, options.output_num_channels, options.output_index_dims)));
}

int64_t PerceiverOpticalFlowDecoderImpl::num_query_channels() const {
  return decoder->num_query_channels();
}

torch::Tensor PerceiverOpticalFlowDecoderImpl::decoder_query(
    const PerceiverPreprocessed& inputs, const PerceiverTensors& subsampled_points) const {
  if (subsampled_points.empty()) return inputs.inputs;
  throw UsageError("model", "PerceiverOpticalFlowDecoder", "no subsampled_output_points", "some");
}

PerceiverDecoderOutput PerceiverOpticalFlowDecoderImpl::forward(const torch::Tensor& query,
                                                                const torch::Tensor& latents,
                                                                bool output_attentions) const {
  auto output = decoder->forward(query, latents, output_attentions);
  output.logits =
      unflatten_queries(output.logits / options.rescale_factor, options.output_image_shape);
  return output;
}

PerceiverDecoder PerceiverOpticalFlowDecoderImpl::make_another() const {
  return std::make_shared<PerceiverOpticalFlowDecoderImpl>(decoder->config, options);
}

PerceiverBasicVideoAutoencodingDecoderImpl::PerceiverBasicVideoAutoencodingDecoderImpl(
    const PerceiverConfig& config, const PerceiverVideoDecoderOptions& video_options)
    : options(video_options) {
  const auto& shape = options.output_shape;
  check_decoder_shape("PerceiverBasicVideoAutoencodingDecoder: output_shape", shape, 4);
  const std::vector<int64_t> frames(shape.begin() + 1, shape.end());
  decoder = register_module(
      "decoder",
      PerceiverBasicDecoder(
          config, PerceiverBasicDecoderOptions(options, options.output_num_channels, frames)));
}

int64_t PerceiverBasicVideoAutoencodingDecoderImpl::num_query_channels() const {
  return decoder->num_query_channels();
}

torch::Tensor PerceiverBasicVideoAutoencodingDecoderImpl::decoder_query(
    const PerceiverPreprocessed& inputs, const PerceiverTensors& subsampled_points) const {
  return decoder->decoder_query(inputs, subsampled_points);
}

PerceiverDecoderOutput PerceiverBasicVideoAutoencodingDecoderImpl::forward(
    const torch::Tensor& query, const torch::Tensor& latents, bool output_attentions) const {
  const auto& shape = options.output_shape;
  auto output = decoder->forward(query, latents, output_attentions);
  output.logits = unflatten_queries(output.logits, {shape.begin() + 1, shape.end()});
  return output;
}

PerceiverDecoder PerceiverBasicVideoAutoencodingDecoderImpl::make_another() const {
  return std::make_shared<PerceiverBasicVideoAutoencodingDecoderImpl>(decoder->config, options);
}

}  // namespace vizoo
