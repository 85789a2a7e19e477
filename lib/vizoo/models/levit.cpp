#include "vizoo/models/levit.h"

#include <ATen/TracerMode.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "vizoo/core/config_checks.h"
#include "vizoo/core/error.h"
#include "vizoo/nn/attention.h"
#include "vizoo/nn/loss.h"
#include "vizoo/ops/image_ops.h"

namespace vizoo {
namespace {

// The published down-sampling, which no config changes.
constexpr int64_t kDownAttentionRatio = 4;
constexpr int64_t kDownMlpRatio = 2;
constexpr int64_t kDownStride = 2;

constexpr std::size_t kMaxLevitStages = 3;
constexpr int64_t kMaxKernel = 1024;
constexpr int64_t kMaxRatio = 64;
constexpr int64_t kMaxMapElements = 1 << 28;  // of one attention map of one image

int64_t down_heads(const LevitConfig& config, std::size_t stage) {
  return config.hidden_sizes[stage] / config.key_dim[0];
}

// Size of an axis after one convolution of the patch embedding; 0 if no window fits.
int64_t convolved(const LevitConfig& config, int64_t size) {
  const int64_t room = size + 2 * config.padding - config.kernel_size;
  return room < 0 ? 0 : room / config.stride + 1;
}

int64_t embedded(const LevitConfig& config, int64_t size) {
  for (int i = 0; i < 4 && size > 0; ++i) size = convolved(config, size);
  return size;
}

torch::Tensor hardswish_temporary(torch::Tensor x) {
  return x.requires_grad() ? at::hardswish(x) : at::hardswish_(x);
}

// [B, N, heads * D] -> [B, heads, N, D], and the parts of D that `sizes` says.
std::vector<torch::Tensor> split_per_head(const torch::Tensor& input,
                                          int64_t heads,
                                          at::IntArrayRef sizes) {
  return nn::split_heads(input, heads).split_with_sizes(sizes, -1);
}

}  // namespace

void LevitConfig::resolve() {
  check_integer("image_size", image_size, 1, kMaxSize);
  check_integer("num_channels", num_channels, 1, kMaxSize);
  check_integer("kernel_size", kernel_size, 1, kMaxKernel);
  check_integer("stride", stride, 1, kMaxKernel);
  check_integer("padding", padding, 0, kernel_size);
  check_integer("patch_size", patch_size, 1, image_size);
  const auto stages = static_cast<int64_t>(depths.size());
  check_integer("depths", stages, 1, kMaxLevitStages);
  check_depths(depths);
  // A down-sampling leads to the channels of the next stage, whether it is built or not.
  check_one_per_stage("hidden_sizes", hidden_sizes.size(), std::clamp<int64_t>(stages + 1, 2, 3));
  check_one_per_stage("num_attention_heads", num_attention_heads.size(), stages);
  check_one_per_stage("key_dim", key_dim.size(), stages);
  check_one_per_stage("mlp_ratio", mlp_ratio.size(), stages);
  check_one_per_stage("attention_ratio", attention_ratio.size(), stages);
  for (const auto size : hidden_sizes) check_integer("hidden_sizes", size, 1, kMaxSize);
  check_integer("hidden_sizes/0", hidden_sizes[0], 8, kMaxSize);  // the first convolution's / 8
  for (const auto heads : num_attention_heads) {
    check_integer("num_attention_heads", heads, 1, kMaxSize);
  }
  for (const auto size : key_dim) check_integer("key_dim", size, 1, kMaxSize);
  for (const auto ratio : mlp_ratio) check_integer("mlp_ratio", ratio, -kMaxRatio, kMaxRatio);
  for (const auto ratio : attention_ratio) check_integer("attention_ratio", ratio, 1, kMaxRatio);
  check_rates(drop_path_rate, initializer_range);

  down_ops.clear();
  int64_t most_heads = *std::max_element(num_attention_heads.begin(), num_attention_heads.end());
  for (std::size_t stage = 0; has_down_sampling(stage); ++stage) {
    const auto heads = down_heads(*this, stage);
    check_integer("key_dim/0", key_dim[0], 1, hidden_sizes[stage]);  // at least one head
    down_ops.push_back(
        {"Subsample", key_dim[0], heads, kDownAttentionRatio, kDownMlpRatio, kDownStride});
    most_heads = std::max(most_heads, heads);
  }
  down_ops.push_back({""});  // as Transformers writes it: nothing follows the last stage
  const double tokens = std::pow(static_cast<double>(resolution()), 2.0);
  if (tokens * tokens * static_cast<double>(most_heads) > kMaxMapElements) {
    throw ConfigError("config",
                      "/image_size",
                      "attention maps of at most " + std::to_string(kMaxMapElements) + " elements",
                      std::to_string(most_heads) + " heads on " + std::to_string(resolution()) +
                          " x " + std::to_string(resolution()) + " tokens");
  }
}

LevitConvEmbeddingsImpl::LevitConvEmbeddingsImpl(const LevitConfig& config,
                                                 int64_t in_channels,
                                                 int64_t out_channels) {
  const auto options = nn::Conv2dOptions()
                           .kernel_size(config.kernel_size)
                           .stride(config.stride)
                           .padding(config.padding)
                           .bias(false);
  convolution = register_module("convolution", nn::Conv2d(in_channels, out_channels, options));
  batch_norm = register_module("batch_norm", nn::BatchNorm(out_channels));
}

torch::Tensor LevitConvEmbeddingsImpl::forward(const torch::Tensor& embeddings) {
  return batch_norm->forward(convolution->forward(embeddings));
}

LevitPatchEmbeddingsImpl::LevitPatchEmbeddingsImpl(const LevitConfig& config) {
  const auto size = config.hidden_sizes[0];
  const auto layer = [&](const char* name, int64_t in_channels, int64_t out_channels) {
    return register_module(name, LevitConvEmbeddings(config, in_channels, out_channels));
  };
  embedding_layer_1 = layer("embedding_layer_1", config.num_channels, size / 8);
  embedding_layer_2 = layer("embedding_layer_2", size / 8, size / 4);
  embedding_layer_3 = layer("embedding_layer_3", size / 4, size / 2);
  embedding_layer_4 = layer("embedding_layer_4", size / 2, size);
}

torch::Tensor LevitPatchEmbeddingsImpl::forward(const torch::Tensor& pixel_values) {
  // Channels-last for inference, so that the tokens at the end are a view.
  auto x = at::GradMode::is_enabled() ? pixel_values
                                      : pixel_values.contiguous(at::MemoryFormat::ChannelsLast);
  x = hardswish_temporary(embedding_layer_1->forward(x));
  x = hardswish_temporary(embedding_layer_2->forward(x));
  x = hardswish_temporary(embedding_layer_3->forward(x));
  x = embedding_layer_4->forward(x);
  return x.flatten(2).transpose(1, 2);  // [B, C, H, W] -> [B, H * W, C]
}

MLPLayerWithBNImpl::MLPLayerWithBNImpl(int64_t input_dim, int64_t output_dim) {
  linear = register_module("linear", nn::Linear(input_dim, output_dim, /*with_bias=*/false));
  batch_norm = register_module("batch_norm", nn::BatchNorm(output_dim));
}

torch::Tensor MLPLayerWithBNImpl::forward(const torch::Tensor& hidden_state) {
  const auto x = linear->forward(hidden_state);
  // [B, N, C] -> [B * N, C] and back
  return batch_norm->forward(x.flatten(0, 1)).reshape_as(x);
}

// A map, and the biases that it was made of: their memory is kept alive, so that other biases
// cannot lie at the same address.
struct LevitBiasedAttentionImpl::Cache {
  torch::Tensor biases;
  int64_t version;
  torch::Tensor map;

  bool is_of(const torch::Tensor& current) const {
    return biases.const_data_ptr() == current.const_data_ptr() &&
           biases.scalar_type() == current.scalar_type() && biases.device() == current.device() &&
           version == current._version();
  }
};

LevitBiasedAttentionImpl::LevitBiasedAttentionImpl(int64_t heads,
                                                   int64_t resolution,
                                                   int64_t stride)
    : resolution_(resolution), stride_(stride) {
  attention_biases =
      register_parameter("attention_biases", nn::empty_parameter({heads, resolution * resolution}));
  if (!nn::NoInitGuard::active()) initialize_own_parameters();
}

void LevitBiasedAttentionImpl::initialize_own_parameters() {
  const torch::NoGradGuard no_grad;
  attention_biases.zero_();
}

torch::Tensor LevitBiasedAttentionImpl::bias_map() const {
  const auto make = [&] { return ops::grid_distance_bias(attention_biases, resolution_, stride_); };
  const bool records = torch::GradMode::is_enabled() && attention_biases.requires_grad();
  const bool traced = at::tracer::impl::is_dispatch_enabled();
  if (is_training() || records || traced || attention_biases.is_inference()) return make();
  const auto known = std::atomic_load(&cache_);
  if (known && known->is_of(attention_biases)) return known->map;
  // A plain tensor whatever the mode of this call: the next one may record gradients around it.
  const c10::InferenceMode no_inference(false);
  const torch::NoGradGuard no_grad;
  auto fresh = std::make_shared<Cache>();
  fresh->biases = attention_biases.detach();
  fresh->version = attention_biases._version();
  fresh->map = make();
  std::atomic_store(&cache_, std::shared_ptr<const Cache>(fresh));
  return fresh->map;
}

torch::Tensor LevitBiasedAttentionImpl::attend(const torch::Tensor& query,
                                               const torch::Tensor& key,
                                               const torch::Tensor& value) const {
  const double scale = 1.0 / std::sqrt(static_cast<double>(query.size(-1)));
  const auto scores = at::matmul(query, key.transpose(-1, -2)) * scale + bias_map();
  return hardswish_temporary(nn::merge_heads(at::matmul(scores.softmax(-1), value)));
}

LevitAttentionImpl::LevitAttentionImpl(const LevitConfig& config,
                                       std::size_t stage,
                                       int64_t resolution)
    : LevitBiasedAttentionImpl(config.num_attention_heads[stage], resolution, /*stride=*/1),
      num_attention_heads(config.num_attention_heads[stage]),
      key_dim(config.key_dim[stage]),
      attention_ratio(config.attention_ratio[stage]) {
  const auto size = config.hidden_sizes[stage];
  const auto values = attention_ratio * key_dim * num_attention_heads;
  queries_keys_values = register_module(
      "queries_keys_values", MLPLayerWithBN(size, values + 2 * key_dim * num_attention_heads));
  projection = register_module("projection", MLPLayerWithBN(values, size));
}

torch::Tensor LevitAttentionImpl::forward(const torch::Tensor& hidden_state) {
  // Queries, keys and values of one head lie side by side.
  const auto parts = split_per_head(queries_keys_values->forward(hidden_state),
                                    num_attention_heads,
                                    {key_dim, key_dim, attention_ratio * key_dim});
  return projection->forward(attend(parts[0], parts[1], parts[2]));
}

LevitAttentionSubsampleImpl::LevitAttentionSubsampleImpl(const LevitConfig& config,
                                                         std::size_t stage,
                                                         int64_t resolution)
    : LevitBiasedAttentionImpl(down_heads(config, stage), resolution, kDownStride),
      num_attention_heads(down_heads(config, stage)),
      key_dim(config.key_dim[0]),
      attention_ratio(kDownAttentionRatio),
      stride(kDownStride),
      resolution_in(resolution) {
  const auto size = config.hidden_sizes[stage];
  const auto keys = key_dim * num_attention_heads;
  const auto values = attention_ratio * keys;
  keys_values = register_module("keys_values", MLPLayerWithBN(size, values + keys));
  queries = register_module("queries", MLPLayerWithBN(size, keys));
  projection =
      register_module("projection", MLPLayerWithBN(values, config.hidden_sizes[stage + 1]));
}

torch::Tensor LevitAttentionSubsampleImpl::forward(const torch::Tensor& hidden_state) {
  const auto parts = split_per_head(keys_values->forward(hidden_state),
                                    num_attention_heads,
                                    {key_dim, attention_ratio * key_dim});
  // [B, R * R, C] -> [B, R, R, C] -> [B, R', R', C] -> [B, R' * R', C]
  const auto every_second = hidden_state.unflatten(1, {resolution_in, resolution_in})
                                .slice(1, 0, std::nullopt, stride)
                                .slice(2, 0, std::nullopt, stride)
                                .flatten(1, 2);
  const auto query = nn::split_heads(queries->forward(every_second), num_attention_heads);
  return projection->forward(attend(query, parts[0], parts[1]));
}

LevitMLPLayerImpl::LevitMLPLayerImpl(int64_t input_dim, int64_t hidden_dim) {
  linear_up = register_module("linear_up", MLPLayerWithBN(input_dim, hidden_dim));
  linear_down = register_module("linear_down", MLPLayerWithBN(hidden_dim, input_dim));
}

torch::Tensor LevitMLPLayerImpl::forward(const torch::Tensor& hidden_state) {
  return linear_down->forward(hardswish_temporary(linear_up->forward(hidden_state)));
}

LevitResidualLayerImpl::LevitResidualLayerImpl(LevitAttention module, double rate)
    : attention(register_module("module", std::move(module))), drop_rate(rate) {}

LevitResidualLayerImpl::LevitResidualLayerImpl(LevitMLPLayer module, double rate)
    : mlp(register_module("module", std::move(module))), drop_rate(rate) {}

torch::Tensor LevitResidualLayerImpl::forward(const torch::Tensor& hidden_state) {
  const auto branch = [&] {
    return attention.is_empty() ? mlp->forward(hidden_state) : attention->forward(hidden_state);
  };
  if (!is_training() || drop_rate <= 0.0) return hidden_state + branch();
  // As upstream: the numbers are float32 whatever the dtype, and come before the branch's own.
  const auto kept = torch::rand({hidden_state.size(0), 1, 1},
                                hidden_state.options().dtype(torch::kFloat32).requires_grad(false))
                        .ge_(drop_rate)
                        .div(1.0 - drop_rate);
  return hidden_state + branch() * kept.to(hidden_state.scalar_type());
}

LevitStageImpl::LevitStageImpl(const LevitConfig& config, std::size_t stage, int64_t resolution)
    : resolution_out(resolution) {
  register_module("layers", layers);
  const auto add_mlp = [&](int64_t size, int64_t ratio) {
    if (ratio <= 0) return;
    layers->push_back(LevitResidualLayer(LevitMLPLayer(size, size * ratio), config.drop_path_rate));
  };
  for (int64_t i = 0; i < config.depths[stage]; ++i) {
    layers->push_back(
        LevitResidualLayer(LevitAttention(config, stage, resolution), config.drop_path_rate));
    add_mlp(config.hidden_sizes[stage], config.mlp_ratio[stage]);
  }
  if (LevitConfig::has_down_sampling(stage)) {
    layers->push_back(LevitAttentionSubsample(config, stage, resolution));
    resolution_out = (resolution - 1) / kDownStride + 1;
    add_mlp(config.hidden_sizes[stage + 1], kDownMlpRatio);
  }
}

torch::Tensor LevitStageImpl::forward(torch::Tensor hidden_state) {
  for (const auto& layer : *layers) {
    if (auto* residual = layer->as<LevitResidualLayer>()) {
      hidden_state = residual->forward(hidden_state);
    } else {
      hidden_state = layer->as<LevitAttentionSubsample>()->forward(hidden_state);
    }
  }
  return hidden_state;
}

LevitEncoderImpl::LevitEncoderImpl(const LevitConfig& config) {
  register_module("stages", stages);
  int64_t resolution = config.resolution();
  for (std::size_t i = 0; i < config.depths.size(); ++i) {
    LevitStage stage(config, i, resolution);
    resolution = stage->resolution_out;
    stages->push_back(stage);
  }
}

torch::Tensor LevitEncoderImpl::forward(torch::Tensor hidden_state,
                                        std::vector<torch::Tensor>* all_hidden_states) {
  for (const auto& stage : *stages) {
    if (all_hidden_states != nullptr) all_hidden_states->push_back(hidden_state);
    hidden_state = stage->as<LevitStage>()->forward(hidden_state);
  }
  if (all_hidden_states != nullptr) all_hidden_states->push_back(hidden_state);
  return hidden_state;
}

LevitClassificationLayerImpl::LevitClassificationLayerImpl(int64_t input_dim, int64_t output_dim) {
  batch_norm = register_module("batch_norm", nn::BatchNorm(input_dim));
  linear = register_module("linear", nn::Linear(input_dim, output_dim));
}

torch::Tensor LevitClassificationLayerImpl::forward(const torch::Tensor& hidden_state) {
  return linear->forward(batch_norm->forward(hidden_state));
}

bool is_levit_index(const std::string& key) {
  constexpr std::string_view kLeaf = ".attention_bias_idxs";
  return key.size() > kLeaf.size() &&
         key.compare(key.size() - kLeaf.size(), kLeaf.size(), kLeaf) == 0;
}

LevitModelImpl::LevitModelImpl(LevitConfig model_config)
    : PretrainedModel(std::move(model_config)) {
  patch_embeddings = register_module("patch_embeddings", LevitPatchEmbeddings(config));
  encoder = register_module("encoder", LevitEncoder(config));
  initialize_weights();
}

BaseModelOutputWithPooling LevitModelImpl::forward(const torch::Tensor& pixel_values,
                                                   const ForwardOptions& options) {
  check_inputs(pixel_values, options, config.num_channels, /*least_size=*/1);
  const auto height = embedded(config, pixel_values.size(2));
  const auto width = embedded(config, pixel_values.size(3));
  if (height * width != config.resolution() * config.resolution()) {
    throw ShapeError("model",
                     "pixel_values",
                     "images of " + std::to_string(config.image_size) + " x " +
                         std::to_string(config.image_size) + " pixels, that is " +
                         std::to_string(config.resolution()) + " x " +
                         std::to_string(config.resolution()) + " tokens",
                     std::to_string(pixel_values.size(2)) + " x " +
                         std::to_string(pixel_values.size(3)) + " pixels, that is " +
                         std::to_string(height) + " x " + std::to_string(width) + " tokens");
  }
  BaseModelOutputWithPooling output;
  auto* hidden_states = wants_hidden_states(options) ? &output.hidden_states : nullptr;
  output.last_hidden_state =
      encoder->forward(patch_embeddings->forward(pixel_values), hidden_states);
  output.pooler_output = output.last_hidden_state.mean(1);  // [B, N, C] -> [B, C]
  return output;
}

torch::Tensor LevitModelImpl::feature_map(const BaseModelOutputWithPooling& output,
                                          const torch::Tensor& /*pixel_values*/) const {
  const auto side =
      encoder->stages->ptr<LevitStageImpl>(encoder->stages->size() - 1)->resolution_out;
  // [B, R * R, C] -> [B, C, R * R] -> [B, C, R, R]
  return output.last_hidden_state.transpose(1, 2).unflatten(2, {side, side});
}

namespace {

// The head on the pooled features; undefined with zero labels.
LevitClassificationLayer make_head(const LevitConfig& config) {
  const auto last = std::min<std::size_t>(config.depths.size(), kMaxLevitStages - 1);
  if (config.hidden_sizes.back() != config.hidden_sizes[last]) {
    throw ConfigError("config",
                      "/hidden_sizes",
                      "the channels of the " + std::to_string(config.depths.size()) +
                          " stages and their down-samplings to come last",
                      std::to_string(config.hidden_sizes.size()) + " values");
  }
  if (config.num_labels() == 0) return nullptr;
  return LevitClassificationLayer(config.hidden_sizes.back(), config.num_labels());
}

}  // namespace

LevitForImageClassificationImpl::LevitForImageClassificationImpl(LevitConfig model_config)
    : PretrainedModel(std::move(model_config)) {
  levit = register_module("levit", LevitModel(config));
  classifier = make_head(config);
  if (!classifier.is_empty()) register_module("classifier", classifier);
  initialize_weights();
}

ImageClassifierOutput LevitForImageClassificationImpl::forward(const torch::Tensor& pixel_values,
                                                               const ForwardOptions& options) {
  check_options(options);
  const auto inner = ForwardOptions().output_hidden_states(wants_hidden_states(options));
  auto features = levit->forward(pixel_values, inner);
  ImageClassifierOutput output;
  output.logits =
      classifier.is_empty() ? features.pooler_output : classifier->forward(features.pooler_output);
  if (options.labels().defined()) {
    output.loss = image_classification_loss(config, output.logits, options.labels());
  }
  output.hidden_states = std::move(features.hidden_states);
  return output;
}

LevitForImageClassificationWithTeacherImpl::LevitForImageClassificationWithTeacherImpl(
    LevitConfig model_config)
    : PretrainedModel(std::move(model_config)) {
  levit = register_module("levit", LevitModel(config));
  classifier = make_head(config);
  classifier_distill = make_head(config);
  if (!classifier.is_empty()) {
    register_module("classifier", classifier);
    register_module("classifier_distill", classifier_distill);
  }
  initialize_weights();
}

ImageClassifierOutput LevitForImageClassificationWithTeacherImpl::forward(
    const torch::Tensor& pixel_values, const ForwardOptions& options) {
  check_options(options);
  const auto inner = ForwardOptions().output_hidden_states(wants_hidden_states(options));
  auto features = levit->forward(pixel_values, inner);
  const auto& pooled = features.pooler_output;
  ImageClassifierOutput output;
  output.cls_logits = classifier.is_empty() ? pooled : classifier->forward(pooled);
  output.distillation_logits =
      classifier_distill.is_empty() ? pooled : classifier_distill->forward(pooled);
  output.logits = (output.cls_logits + output.distillation_logits) / 2;
  output.hidden_states = std::move(features.hidden_states);
  return output;
}

}  // namespace vizoo
