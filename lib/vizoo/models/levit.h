#pragma once

// LeViT: "LeViT: a Vision Transformer in ConvNet's Clothing for Faster Inference",
// https://arxiv.org/abs/2104.01136.
// Names and numbers follow transformers/models/levit/modeling_levit.py, 4.37.2.

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "vizoo/nn/initialization.h"
#include "vizoo/nn/layers.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {

/// config.json of model_type "levit" (configuration_levit.py, 4.37.2). The defaults are those of
/// levit-128.
struct LevitConfig : PretrainedConfig {
  static constexpr const char* kModelType = "levit";

  int64_t image_size = 224;  ///< height and width of every input
  int64_t num_channels = 3;
  int64_t kernel_size = 3;  ///< of the four convolutions of the patch embedding
  int64_t stride = 2;       ///< of each of them
  int64_t padding = 1;      ///< of each of them
  int64_t patch_size = 16;  ///< image_size / patch_size tokens on each axis come out of them
  std::vector<int64_t> hidden_sizes{128, 256, 384};  ///< channels of each stage
  std::vector<int64_t> num_attention_heads{4, 8, 12};
  std::vector<int64_t> depths{4, 4, 4};           ///< pairs of attention and MLP of each stage
  std::vector<int64_t> key_dim{16, 16, 16};       ///< channels of a query or key of one head
  double drop_path_rate = 0.0;                    ///< the same for every layer
  std::vector<int64_t> mlp_ratio{2, 2, 2};        ///< no MLP if 0 or less
  std::vector<int64_t> attention_ratio{2, 2, 2};  ///< channels of a value / those of a key
  double initializer_range = 0.02;

  /// What stands between two stages, in Transformers' form: ["Subsample", key_dim, heads,
  /// attention_ratio, mlp_ratio, stride] twice, and [""]. Derived; what a file says is not used.
  std::vector<std::vector<std::variant<std::string, int64_t>>> down_ops;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    PretrainedConfig::fields(self, visit);
    visit("image_size", self.image_size);
    visit("num_channels", self.num_channels);
    visit("kernel_size", self.kernel_size);
    visit("stride", self.stride);
    visit("padding", self.padding);
    visit("hidden_sizes", self.hidden_sizes);
    visit("num_attention_heads", self.num_attention_heads);
    visit("depths", self.depths);
    visit("key_dim", self.key_dim);
    visit("drop_path_rate", self.drop_path_rate);
    visit("patch_size", self.patch_size);
    visit("attention_ratio", self.attention_ratio);
    visit("mlp_ratio", self.mlp_ratio);
    visit("initializer_range", self.initializer_range);
    visit("down_ops", self.down_ops);
  }

  /// Checks the values against each other and derives `down_ops`. Throws ConfigError.
  void resolve();

  /// Tokens on each axis of the first stage: image_size / patch_size.
  int64_t resolution() const { return image_size / patch_size; }

  /// A stage after which every second token of each axis is left: the first two.
  static bool has_down_sampling(std::size_t stage) { return stage < 2; }
};

/// Convolution without bias, then batch norm. [B, C, H, W] -> [B, C', H', W'].
class LevitConvEmbeddingsImpl : public torch::nn::Module {
 public:
  LevitConvEmbeddingsImpl(const LevitConfig& config, int64_t in_channels, int64_t out_channels);
  torch::Tensor forward(const torch::Tensor& embeddings);

  nn::Conv2d convolution{nullptr};
  nn::BatchNorm batch_norm{nullptr};
};
TORCH_MODULE(LevitConvEmbeddings);

/// Four convolutions with hard-swish between them: [B, num_channels, H, W] -> [B, N, C0].
class LevitPatchEmbeddingsImpl : public torch::nn::Module {
 public:
  explicit LevitPatchEmbeddingsImpl(const LevitConfig& config);
  torch::Tensor forward(const torch::Tensor& pixel_values);

  LevitConvEmbeddings embedding_layer_1{nullptr};
  LevitConvEmbeddings embedding_layer_2{nullptr};
  LevitConvEmbeddings embedding_layer_3{nullptr};
  LevitConvEmbeddings embedding_layer_4{nullptr};
};
TORCH_MODULE(LevitPatchEmbeddings);

/// Linear layer without bias, then batch norm over all tokens. [B, N, in] -> [B, N, out].
class MLPLayerWithBNImpl : public torch::nn::Module {
 public:
  MLPLayerWithBNImpl(int64_t input_dim, int64_t output_dim);
  torch::Tensor forward(const torch::Tensor& hidden_state);

  nn::Linear linear{nullptr};
  nn::BatchNorm batch_norm{nullptr};
};
TORCH_MODULE(MLPLayerWithBN);

/// Attention with a learned bias for each head and each distance of query and key along the two
/// axes. Base of the two attention modules.
class LevitBiasedAttentionImpl : public torch::nn::Module, public nn::SelfInitializing {
 public:
  LevitBiasedAttentionImpl(int64_t heads, int64_t resolution, int64_t stride);
  /// The biases start at zero.
  void initialize_own_parameters() override;

  torch::Tensor attention_biases;  ///< [heads, resolution^2]

 protected:
  /// hard_swish(softmax(query key^T / sqrt(D) + bias) value), heads side by side. query: [B, heads,
  /// queries, D]; key: [B, heads, keys, D]; value: [B, heads, keys, E]; returns
  /// [B, queries, heads * E].
  torch::Tensor attend(const torch::Tensor& query,
                       const torch::Tensor& key,
                       const torch::Tensor& value) const;

 private:
  // [heads, queries, keys]. In evaluation mode without gradients the map of the last call is kept
  // and used again as long as the biases are the same; safe for several threads.
  torch::Tensor bias_map() const;

  struct Cache;

  int64_t resolution_;
  int64_t stride_;
  mutable std::shared_ptr<const Cache> cache_;
};

/// Attention of every token to every token. [B, N, C] in and out.
class LevitAttentionImpl : public LevitBiasedAttentionImpl {
 public:
  LevitAttentionImpl(const LevitConfig& config, std::size_t stage, int64_t resolution);
  torch::Tensor forward(const torch::Tensor& hidden_state);

  int64_t num_attention_heads;
  int64_t key_dim;
  int64_t attention_ratio;
  MLPLayerWithBN queries_keys_values{nullptr};
  MLPLayerWithBN projection{nullptr};
};
TORCH_MODULE(LevitAttention);

/// Attention of every second token of each axis to every token: [B, N, C] -> [B, N', C'].
class LevitAttentionSubsampleImpl : public LevitBiasedAttentionImpl {
 public:
  LevitAttentionSubsampleImpl(const LevitConfig& config, std::size_t stage, int64_t resolution);
  torch::Tensor forward(const torch::Tensor& hidden_state);

  int64_t num_attention_heads;
  int64_t key_dim;
  int64_t attention_ratio;
  int64_t stride;
  int64_t resolution_in;
  MLPLayerWithBN keys_values{nullptr};
  MLPLayerWithBN queries{nullptr};
  MLPLayerWithBN projection{nullptr};
};
TORCH_MODULE(LevitAttentionSubsample);

/// Two linear layers with hard-swish between them. [B, N, C] in and out.
class LevitMLPLayerImpl : public torch::nn::Module {
 public:
  LevitMLPLayerImpl(int64_t input_dim, int64_t hidden_dim);
  torch::Tensor forward(const torch::Tensor& hidden_state);

  MLPLayerWithBN linear_up{nullptr};
  MLPLayerWithBN linear_down{nullptr};
};
TORCH_MODULE(LevitMLPLayer);

/// x + drop_path(module(x)), the module an attention or an MLP. [B, N, C] in and out.
class LevitResidualLayerImpl : public torch::nn::Module {
 public:
  LevitResidualLayerImpl(LevitAttention attention, double drop_rate);
  LevitResidualLayerImpl(LevitMLPLayer mlp, double drop_rate);
  torch::Tensor forward(const torch::Tensor& hidden_state);

  LevitAttention attention{nullptr};  ///< one of the two, registered as `module`
  LevitMLPLayer mlp{nullptr};
  double drop_rate;
};
TORCH_MODULE(LevitResidualLayer);

/// Pairs of attention and MLP, then the down-sampling if there is one.
class LevitStageImpl : public torch::nn::Module {
 public:
  LevitStageImpl(const LevitConfig& config, std::size_t stage, int64_t resolution);
  torch::Tensor forward(torch::Tensor hidden_state);

  torch::nn::ModuleList layers;
  int64_t resolution_out;  ///< tokens on each axis of the output
};
TORCH_MODULE(LevitStage);

class LevitEncoderImpl : public torch::nn::Module {
 public:
  explicit LevitEncoderImpl(const LevitConfig& config);
  /// Returns the output of the last stage; appends every stage's input and the output to
  /// `all_hidden_states` unless it is null.
  torch::Tensor forward(torch::Tensor hidden_state, std::vector<torch::Tensor>* all_hidden_states);

  torch::nn::ModuleList stages;
};
TORCH_MODULE(LevitEncoder);

/// Batch norm, then a linear layer. [B, C] -> [B, num_labels].
class LevitClassificationLayerImpl : public torch::nn::Module {
 public:
  LevitClassificationLayerImpl(int64_t input_dim, int64_t output_dim);
  torch::Tensor forward(const torch::Tensor& hidden_state);

  nn::BatchNorm batch_norm{nullptr};
  nn::Linear linear{nullptr};
};
TORCH_MODULE(LevitClassificationLayer);

/// Whether a key is that of the index that LeViT's attention once saved beside its biases.
bool is_levit_index(const std::string& key);

/// The bare model. last_hidden_state: [B, N, C] without final norm; pooler_output: [B, C], its mean
/// over the tokens; hidden_states: the input of each stage and the last output, [B, N_i, C_i].
class LevitModelImpl : public PretrainedModel<LevitModelImpl, LevitConfig, VisionModelImpl> {
 public:
  static constexpr const char* kClassName = "LevitModel";
  static constexpr const char* kBaseModelPrefix = "levit";
  explicit LevitModelImpl(LevitConfig model_config = {});
  bool is_ignored_key(const std::string& key) const override { return is_levit_index(key); }

  /// pixel_values: [B, num_channels, H, W] that the patch embedding turns into
  /// (image_size / patch_size)^2 tokens. Throws ShapeError for anything else.
  BaseModelOutputWithPooling forward(const torch::Tensor& pixel_values,
                                     const ForwardOptions& options = {}) override;
  torch::Tensor feature_map(const BaseModelOutputWithPooling& output,
                            const torch::Tensor& pixel_values) const override;

  LevitPatchEmbeddings patch_embeddings{nullptr};
  LevitEncoder encoder{nullptr};
};
TORCH_MODULE(LevitModel);

/// The model with a batch norm and a linear head on the pooled features: logits [B, num_labels].
class LevitForImageClassificationImpl
    : public PretrainedModel<LevitForImageClassificationImpl, LevitConfig, ImageClassifierImpl> {
 public:
  static constexpr const char* kClassName = "LevitForImageClassification";
  static constexpr const char* kBaseModelPrefix = "levit";
  explicit LevitForImageClassificationImpl(LevitConfig model_config = {});
  bool is_ignored_key(const std::string& key) const override { return is_levit_index(key); }

  /// As LevitModel; `options.labels()` adds the loss (nn/loss.h).
  ImageClassifierOutput forward(const torch::Tensor& pixel_values,
                                const ForwardOptions& options = {}) override;

  LevitModel levit{nullptr};
  LevitClassificationLayer classifier{nullptr};  ///< absent with zero labels
};
TORCH_MODULE(LevitForImageClassification);

/// The model with two heads, one of which was trained to agree with a teacher: cls_logits and
/// distillation_logits, and logits, their mean, all [B, num_labels]. All published checkpoints are
/// of this class. It takes no labels.
class LevitForImageClassificationWithTeacherImpl
    : public PretrainedModel<LevitForImageClassificationWithTeacherImpl,
                             LevitConfig,
                             ImageClassifierImpl> {
 public:
  static constexpr const char* kClassName = "LevitForImageClassificationWithTeacher";
  static constexpr const char* kBaseModelPrefix = "levit";
  explicit LevitForImageClassificationWithTeacherImpl(LevitConfig model_config = {});
  bool is_ignored_key(const std::string& key) const override { return is_levit_index(key); }

  std::vector<std::string> argument_names() const override { return {"pixel_values"}; }

  /// As LevitModel.
  ImageClassifierOutput forward(const torch::Tensor& pixel_values,
                                const ForwardOptions& options = {}) override;

  LevitModel levit{nullptr};
  LevitClassificationLayer classifier{nullptr};  ///< absent with zero labels
  LevitClassificationLayer classifier_distill{nullptr};
};
TORCH_MODULE(LevitForImageClassificationWithTeacher);

}  // namespace vizoo
