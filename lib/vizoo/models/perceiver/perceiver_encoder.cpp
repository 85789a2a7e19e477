#include "vizoo/models/perceiver/perceiver_encoder.h"

#include <string>

#include "vizoo/core/error.h"
#include "vizoo/nn/attention.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {
namespace {

// What the mask adds to the scores: 0 where it is 1, the least number where it is 0.
torch::Tensor scores_bias(const torch::Tensor& attention_mask, at::ScalarType dtype) {
  if (!attention_mask.defined()) return {};
  // [B, N] -> [B, 1, 1, N]; [B, L or 1, N] -> [B, 1, L or 1, N]
  auto mask = attention_mask.to(dtype).unsqueeze(1);
  if (attention_mask.dim() == 2) mask = mask.unsqueeze(1);
  return (1.0 - mask) * nn::lowest(dtype);
}

torch::Tensor layer_head_mask(const torch::Tensor& head_mask, int64_t i, at::ScalarType dtype) {
  if (!head_mask.defined()) return {};
  const auto row = head_mask.dim() == 1 ? head_mask : head_mask.select(0, i);
  return row.to(dtype).view({1, -1, 1, 1});
}

}  // namespace

torch::Tensor perceiver_expand(const torch::Tensor& table, const torch::Tensor& like) {
  auto batch = like;
  for (int64_t dim = 1; dim < like.dim(); ++dim) batch = batch.narrow(dim, 0, 1);
  // [B, 1, ...] -> [B, 1, 1], to whose batch the table is broadcast
  return at::broadcast_tensors({table.unsqueeze(0), batch.flatten(1).unsqueeze(-1)})[0];
}

void check_perceiver_masks(const PerceiverConfig& config,
                           const torch::Tensor& inputs,
                           const PerceiverOptions& options) {
  const auto& head_mask = options.head_mask();
  if (head_mask.defined()) {
    const auto heads = config.num_self_attention_heads;
    const auto layers = config.num_self_attends_per_block;
    const bool fits = head_mask.dim() == 1 || (head_mask.dim() == 2 && head_mask.size(0) >= layers);
    if (!fits || head_mask.size(-1) != heads) {
      throw ShapeError("model",
                       "head_mask",
                       "[heads] or [layers, heads] with " + std::to_string(heads) +
                           " heads and at least " + std::to_string(layers) + " layers",
                       describe_tensor(head_mask));
    }
  }
  const auto& mask = options.attention_mask();
  if (!mask.defined()) return;
  const auto batch = inputs.size(0);
  const auto length = inputs.size(1);
  const bool rows = mask.dim() == 2 ||
                    (mask.dim() == 3 && (mask.size(1) == 1 || mask.size(1) == config.num_latents));
  if (rows && mask.size(-1) == length && (mask.size(0) == batch || mask.size(0) == 1)) return;
  throw ShapeError("model",
                   "attention_mask",
                   "[" + std::to_string(batch) + ", " + std::to_string(length) +
                       "], a value for each position after the preprocessor",
                   describe_tensor(mask));
}

PerceiverEmbeddingsImpl::PerceiverEmbeddingsImpl(const PerceiverConfig& config) {
  latents =
      register_parameter("latents", nn::empty_parameter({config.num_latents, config.d_latents}));
  nn::normal_(latents, 1.0);
}

torch::Tensor PerceiverEmbeddingsImpl::forward(const torch::Tensor& inputs) const {
  return perceiver_expand(latents, inputs);
}

PerceiverEncoderImpl::PerceiverEncoderImpl(const PerceiverConfig& config, int64_t kv_dim)
    : num_blocks(config.num_blocks) {
  PerceiverLayerOptions cross;
  cross.is_cross_attention = true;
  cross.qk_channels = config.qk_channels;
  cross.v_channels = config.v_channels;
  cross.num_heads = config.num_cross_attention_heads;
  cross.q_dim = config.d_latents;
  cross.kv_dim = kv_dim;
  cross.widening_factor = config.cross_attention_widening_factor;
  cross.use_query_residual = config.use_query_residual;
  cross_attention = register_module("cross_attention", PerceiverLayer(config, cross));

  PerceiverLayerOptions own;
  own.qk_channels = config.qk_channels;
  own.v_channels = config.v_channels;
  own.num_heads = config.num_self_attention_heads;
  own.q_dim = config.d_latents;
  own.kv_dim = config.d_latents;
  own.widening_factor = config.self_attention_widening_factor;
  register_module("self_attends", self_attends);
  for (int64_t i = 0; i < config.num_self_attends_per_block; ++i) {
    self_attends->push_back(PerceiverLayer(config, own));
  }
}

PerceiverModelOutput PerceiverEncoderImpl::forward(const torch::Tensor& hidden_states,
                                                   const torch::Tensor& inputs,
                                                   const PerceiverOptions& options,
                                                   bool output_hidden_states,
                                                   bool output_attentions) const {
  PerceiverModelOutput output;
  const auto dtype = hidden_states.scalar_type();
  const auto slot = [&](std::vector<torch::Tensor>& maps) {
    return output_attentions ? &maps.emplace_back() : nullptr;
  };
  auto latents =
      cross_attention->forward(hidden_states,
                               {inputs, scores_bias(options.attention_mask(), dtype), {}},
                               slot(output.cross_attentions));
  for (int64_t block = 0; block < num_blocks; ++block) {
    for (std::size_t i = 0; i < self_attends->size(); ++i) {
      if (output_hidden_states) output.hidden_states.push_back(latents);
      const auto head_mask = layer_head_mask(options.head_mask(), static_cast<int64_t>(i), dtype);
      latents = self_attends->at<PerceiverLayerImpl>(i).forward(
          latents, {{}, {}, head_mask}, slot(output.attentions));
    }
    if (output_hidden_states) output.hidden_states.push_back(latents);
  }
  output.last_hidden_state = latents;
  return output;
}

}  // namespace vizoo
