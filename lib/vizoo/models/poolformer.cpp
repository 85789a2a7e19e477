#include "vizoo/models/poolformer.h"

#include <algorithm>
#include <string>

#include "vizoo/core/config_checks.h"
#include "vizoo/core/error.h"
#include "vizoo/nn/activation.h"
#include "vizoo/nn/drop_path.h"
#include "vizoo/nn/loss.h"
#include "vizoo/ops/image_ops.h"

namespace vizoo {
namespace {

constexpr int64_t kMaxPatchSize = 1024;
constexpr int64_t kMaxPoolSize = 255;

}  // namespace

void PoolFormerConfig::resolve() const {
  check_integer("num_channels", num_channels, 1, kMaxSize);
  check_integer("pool_size", pool_size, 1, kMaxPoolSize);
  if (pool_size % 2 == 0) {
    throw ConfigError("config", "/pool_size", "an odd integer", std::to_string(pool_size));
  }
  check_integer("num_encoder_blocks", num_encoder_blocks, 1, kMaxStages);
  check_one_per_stage("depths", depths.size(), num_encoder_blocks);
  check_depths(depths);
  check_one_per_stage("hidden_sizes", hidden_sizes.size(), num_encoder_blocks);
  check_one_per_stage("patch_sizes", patch_sizes.size(), num_encoder_blocks);
  check_one_per_stage("strides", strides.size(), num_encoder_blocks);
  check_one_per_stage("padding", padding.size(), num_encoder_blocks);
  for (const auto size : hidden_sizes) check_integer("hidden_sizes", size, 1, kMaxSize);
  for (const auto size : patch_sizes) check_integer("patch_sizes", size, 1, kMaxPatchSize);
  for (const auto size : strides) check_integer("strides", size, 1, kMaxPatchSize);
  // More padding than a patch would add positions that see no pixel, as many as a file likes.
  for (std::size_t i = 0; i < static_cast<std::size_t>(num_encoder_blocks); ++i) {
    check_integer("padding", padding[i], 0, patch_sizes[i]);
  }
  // Too small a ratio leaves no hidden channels: the MLP is then its last bias, as upstream.
  check_number(
      "mlp_ratio", mlp_ratio, mlp_ratio >= 0.0 && mlp_ratio <= 64.0, "a number from 0 to 64");
  check_rates(drop_path_rate, initializer_range);
}

int64_t PoolFormerConfig::least_image_size() const {
  int64_t least = 1;
  for (auto i = static_cast<std::size_t>(num_encoder_blocks); i-- > 0;) {
    // From floor((size + 2 padding - kernel) / stride) + 1 >= least.
    const auto size = (least - 1) * strides[i] + patch_sizes[i] - 2 * padding[i];
    least = std::clamp<int64_t>(size, 1, int64_t{1} << 40);  // far above any image, no overflow
  }
  return least;
}

PoolFormerEmbeddingsImpl::PoolFormerEmbeddingsImpl(const PoolFormerConfig& config,
                                                   std::size_t stage) {
  const auto in_channels = stage == 0 ? config.num_channels : config.hidden_sizes[stage - 1];
  const auto options = nn::Conv2dOptions()
                           .kernel_size(config.patch_sizes[stage])
                           .stride(config.strides[stage])
                           .padding(config.padding[stage]);
  projection =
      register_module("projection", nn::Conv2d(in_channels, config.hidden_sizes[stage], options));
}

torch::Tensor PoolFormerEmbeddingsImpl::forward(const torch::Tensor& pixel_values) const {
  return projection->forward(pixel_values);
}

PoolFormerGroupNormImpl::PoolFormerGroupNormImpl(int64_t num_channels) {
  weight = register_parameter("weight", torch::ones({num_channels}));
  bias = register_parameter("bias", torch::zeros({num_channels}));
}

torch::Tensor PoolFormerGroupNormImpl::forward(const torch::Tensor& input) const {
  return at::group_norm(input, /*num_groups=*/1, weight, bias, /*eps=*/1e-5);
}

torch::Tensor PoolFormerPoolingImpl::forward(const torch::Tensor& hidden_states) const {
  return ops::average_pool2d(hidden_states, pool_size) - hidden_states;
}

PoolFormerOutputImpl::PoolFormerOutputImpl(const PoolFormerConfig& config,
                                           int64_t hidden_size,
                                           double rate)
    : act_fn(config.hidden_act), drop_path_rate(rate) {
  const auto hidden = static_cast<int64_t>(static_cast<double>(hidden_size) * config.mlp_ratio);
  conv1 = register_module("conv1", nn::Conv2d(hidden_size, hidden, nn::Conv2dOptions()));
  conv2 = register_module("conv2", nn::Conv2d(hidden, hidden_size, nn::Conv2dOptions()));
}

torch::Tensor PoolFormerOutputImpl::forward(const torch::Tensor& hidden_states) const {
  auto x = conv1->forward(hidden_states);
  x = nn::activate_temporary(act_fn, x);
  x = nn::drop_path(x, drop_path_rate, is_training());
  x = conv2->forward(x);
  return nn::drop_path(x, drop_path_rate, is_training());
}

PoolFormerLayerImpl::PoolFormerLayerImpl(const PoolFormerConfig& config,
                                         int64_t hidden_size,
                                         double rate)
    : drop_path_rate(rate) {
  pooling = register_module("pooling", PoolFormerPooling(config.pool_size));
  output = register_module("output", PoolFormerOutput(config, hidden_size, rate));
  before_norm = register_module("before_norm", PoolFormerGroupNorm(hidden_size));
  after_norm = register_module("after_norm", PoolFormerGroupNorm(hidden_size));
  if (config.use_layer_scale) {
    const auto scale = [&] { return torch::full({hidden_size}, config.layer_scale_init_value); };
    layer_scale_1 = register_parameter("layer_scale_1", scale());
    layer_scale_2 = register_parameter("layer_scale_2", scale());
  }
}

torch::Tensor PoolFormerLayerImpl::forward(const torch::Tensor& hidden_states) const {
  const auto mixed = pooling->forward(before_norm->forward(hidden_states));
  const auto x = add(hidden_states, mixed, layer_scale_1);
  return add(x, output->forward(after_norm->forward(x)), layer_scale_2);
}

torch::Tensor PoolFormerLayerImpl::add(const torch::Tensor& shortcut,
                                       const torch::Tensor& branch,
                                       const torch::Tensor& layer_scale) const {
  auto scale = layer_scale;
  if (scale.defined()) scale = scale.unsqueeze(-1).unsqueeze(-1);  // [C] -> [C, 1, 1]
  return nn::add_branch(shortcut, branch, scale, drop_path_rate, is_training());
}

PoolFormerEncoderImpl::PoolFormerEncoderImpl(const PoolFormerConfig& config) {
  register_module("patch_embeddings", patch_embeddings);
  register_module("block", block);
  const auto stages = static_cast<std::size_t>(config.num_encoder_blocks);
  for (std::size_t i = 0; i < stages; ++i) {
    patch_embeddings->push_back(PoolFormerEmbeddings(config, i));
  }
  const auto rates = nn::drop_path_rates(config.drop_path_rate, check_depths(config.depths));
  std::size_t layer = 0;
  for (std::size_t i = 0; i < stages; ++i) {
    torch::nn::ModuleList layers;
    for (int64_t j = 0; j < config.depths[i]; ++j) {
      layers->push_back(PoolFormerLayer(config, config.hidden_sizes[i], rates[layer++]));
    }
    block->push_back(layers);
  }
}

torch::Tensor PoolFormerEncoderImpl::forward(torch::Tensor hidden_states,
                                             std::vector<torch::Tensor>* all_hidden_states) const {
  // Channels-last from here on: the 1x1 convolutions are then plain matrix products.
  hidden_states = hidden_states.contiguous(at::MemoryFormat::ChannelsLast);
  for (std::size_t i = 0; i < patch_embeddings->size(); ++i) {
    hidden_states = patch_embeddings->at<PoolFormerEmbeddingsImpl>(i).forward(hidden_states);
    for (const auto& layer : block->at<torch::nn::ModuleListImpl>(i)) {
      hidden_states = layer->as<PoolFormerLayer>()->forward(hidden_states);
    }
    if (all_hidden_states != nullptr) all_hidden_states->push_back(hidden_states);
  }
  return hidden_states;
}

PoolFormerModelImpl::PoolFormerModelImpl(PoolFormerConfig model_config)
    : PretrainedModel(std::move(model_config)) {
  encoder = register_module("encoder", PoolFormerEncoder(config));
  initialize_weights();
}

BaseModelOutputWithPooling PoolFormerModelImpl::forward(const torch::Tensor& pixel_values,
                                                        const ForwardOptions& options) {
  check_inputs(pixel_values, options, config.num_channels, config.least_image_size());
  BaseModelOutputWithPooling output;
  auto* hidden_states = wants_hidden_states(options) ? &output.hidden_states : nullptr;
  output.last_hidden_state = encoder->forward(pixel_values, hidden_states);
  return output;
}

PoolFormerForImageClassificationImpl::PoolFormerForImageClassificationImpl(
    PoolFormerConfig model_config)
    : PretrainedModel(std::move(model_config)) {
  const auto last = static_cast<std::size_t>(config.num_encoder_blocks) - 1;
  const auto size = config.hidden_sizes.back();
  if (size != config.hidden_sizes[last]) {
    throw ConfigError("config",
                      "/hidden_sizes",
                      "the last of /num_encoder_blocks " +
                          std::to_string(config.num_encoder_blocks) + " stages to come last",
                      std::to_string(config.hidden_sizes.size()) + " values");
  }
  poolformer = register_module("poolformer", PoolFormerModel(config));
  norm = register_module("norm", PoolFormerGroupNorm(size));
  if (config.num_labels() > 0) {
    classifier = register_module("classifier", nn::Linear(size, config.num_labels()));
  }
  initialize_weights();
}

ImageClassifierOutput PoolFormerForImageClassificationImpl::forward(
    const torch::Tensor& pixel_values, const ForwardOptions& options) {
  check_options(options);
  const auto inner = ForwardOptions().output_hidden_states(wants_hidden_states(options));
  auto features = poolformer->forward(pixel_values, inner);
  // [B, C, H, W] -> [B, C]
  const auto pooled = norm->forward(features.last_hidden_state).mean({-2, -1});
  ImageClassifierOutput output;
  output.logits = classifier.is_empty() ? pooled : classifier->forward(pooled);
  if (options.labels().defined()) {
    output.loss = image_classification_loss(config, output.logits, options.labels());
  }
  output.hidden_states = std::move(features.hidden_states);
  return output;
}

}  // namespace vizoo
