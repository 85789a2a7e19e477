#pragma once

// PoolFormer: "MetaFormer is Actually What You Need for Vision", https://arxiv.org/abs/2111.11418.
// Names and numbers follow transformers/models/poolformer/modeling_poolformer.py, 4.37.2.

#include <cstdint>
#include <vector>

#include "vizoo/nn/layers.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {

/// config.json of model_type "poolformer" (configuration_poolformer.py, 4.37.2).
struct PoolFormerConfig : PretrainedConfig {
  static constexpr const char* kModelType = "poolformer";

  int64_t num_channels = 3;
  int64_t patch_size = 16;  ///< not used by the model
  int64_t stride = 16;      ///< not used by the model
  int64_t pool_size = 3;    ///< window of the average pooling, odd
  double mlp_ratio = 4.0;   ///< hidden channels of the MLP: int(mlp_ratio * channels)
  std::vector<int64_t> depths{2, 2, 6, 2};               ///< layers of each stage
  std::vector<int64_t> hidden_sizes{64, 128, 320, 512};  ///< channels of each stage
  std::vector<int64_t> patch_sizes{7, 3, 3, 3};          ///< kernels of the patch embeddings
  std::vector<int64_t> strides{4, 2, 2, 2};              ///< their strides
  std::vector<int64_t> padding{2, 1, 1, 1};              ///< their padding
  int64_t num_encoder_blocks = 4;                        ///< stages that are built
  double drop_path_rate = 0.0;  ///< of the last layer; grows linearly from 0
  Activation hidden_act = Activation::gelu;
  bool use_layer_scale = true;
  double layer_scale_init_value = 1e-5;
  double initializer_range = 0.02;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    PretrainedConfig::fields(self, visit);
    visit("num_channels", self.num_channels);
    visit("patch_size", self.patch_size);
    visit("stride", self.stride);
    visit("padding", self.padding);
    visit("pool_size", self.pool_size);
    visit("hidden_sizes", self.hidden_sizes);
    visit("mlp_ratio", self.mlp_ratio);
    visit("depths", self.depths);
    visit("patch_sizes", self.patch_sizes);
    visit("strides", self.strides);
    visit("num_encoder_blocks", self.num_encoder_blocks);
    visit("drop_path_rate", self.drop_path_rate);
    visit("hidden_act", self.hidden_act);
    visit("use_layer_scale", self.use_layer_scale);
    visit("layer_scale_init_value", self.layer_scale_init_value);
    visit("initializer_range", self.initializer_range);
  }

  /// Checks the values against each other. Throws ConfigError.
  void resolve() const;

  /// The least height and width of an image: every patch embedding needs one full window.
  int64_t least_image_size() const;
};

/// Patches as a convolution: [B, C, H, W] -> [B, hidden_size, H', W'].
class PoolFormerEmbeddingsImpl : public torch::nn::Module {
 public:
  PoolFormerEmbeddingsImpl(const PoolFormerConfig& config, std::size_t stage);
  torch::Tensor forward(const torch::Tensor& pixel_values) const;

  nn::Conv2d projection{nullptr};
};
TORCH_MODULE(PoolFormerEmbeddings);

/// Group norm with one group: statistics over C, H and W of a sample, an affine map per channel,
/// eps 1e-5. [B, C, H, W] in and out.
class PoolFormerGroupNormImpl : public torch::nn::Module {
 public:
  explicit PoolFormerGroupNormImpl(int64_t num_channels);
  torch::Tensor forward(const torch::Tensor& input) const;

  torch::Tensor weight;
  torch::Tensor bias;
};
TORCH_MODULE(PoolFormerGroupNorm);

/// The token mixer: mean over a window around each pixel (as far as it lies inside of the image)
/// minus the pixel. [B, C, H, W] in and out. No parameters.
class PoolFormerPoolingImpl : public torch::nn::Module {
 public:
  explicit PoolFormerPoolingImpl(int64_t size) : pool_size(size) {}
  torch::Tensor forward(const torch::Tensor& hidden_states) const;

  int64_t pool_size;
};
TORCH_MODULE(PoolFormerPooling);

/// MLP of two 1x1 convolutions, stochastic depth after each. [B, C, H, W] in and out.
class PoolFormerOutputImpl : public torch::nn::Module {
 public:
  PoolFormerOutputImpl(const PoolFormerConfig& config, int64_t hidden_size, double drop_path_rate);
  torch::Tensor forward(const torch::Tensor& hidden_states) const;

  nn::Conv2d conv1{nullptr};
  nn::Conv2d conv2{nullptr};
  Activation act_fn;
  double drop_path_rate;
};
TORCH_MODULE(PoolFormerOutput);

/// One layer: x + drop_path(scale_1 * pooling(norm(x))), then the same with the MLP.
class PoolFormerLayerImpl : public torch::nn::Module {
 public:
  PoolFormerLayerImpl(const PoolFormerConfig& config, int64_t hidden_size, double drop_path_rate);
  torch::Tensor forward(const torch::Tensor& hidden_states) const;

  PoolFormerPooling pooling{nullptr};
  PoolFormerOutput output{nullptr};
  PoolFormerGroupNorm before_norm{nullptr};
  PoolFormerGroupNorm after_norm{nullptr};
  torch::Tensor layer_scale_1;  ///< [C]; undefined without layer scale
  torch::Tensor layer_scale_2;
  double drop_path_rate;

 private:
  torch::Tensor add(const torch::Tensor& shortcut,
                    const torch::Tensor& branch,
                    const torch::Tensor& layer_scale) const;
};
TORCH_MODULE(PoolFormerLayer);

/// Patch embedding and layers, stage by stage.
class PoolFormerEncoderImpl : public torch::nn::Module {
 public:
  explicit PoolFormerEncoderImpl(const PoolFormerConfig& config);
  /// Returns the output of the last stage; appends every stage's to `all_hidden_states` unless it
  /// is null.
  torch::Tensor forward(torch::Tensor hidden_states,
                        std::vector<torch::Tensor>* all_hidden_states) const;

  torch::nn::ModuleList patch_embeddings;
  torch::nn::ModuleList block;  ///< a ModuleList of layers for each stage
};
TORCH_MODULE(PoolFormerEncoder);

/// The bare model. last_hidden_state: [B, C, H', W'] without final norm; no pooler_output;
/// hidden_states: each stage, [B, C_i, H_i, W_i].
class PoolFormerModelImpl
    : public PretrainedModel<PoolFormerModelImpl, PoolFormerConfig, VisionModelImpl> {
 public:
  static constexpr const char* kClassName = "PoolFormerModel";
  static constexpr const char* kBaseModelPrefix = "poolformer";
  explicit PoolFormerModelImpl(PoolFormerConfig model_config = {});

  /// pixel_values: [B, num_channels, H, W] with H and W of at least `config.least_image_size()`.
  /// Throws ShapeError for anything else.
  BaseModelOutputWithPooling forward(const torch::Tensor& pixel_values,
                                     const ForwardOptions& options = {}) override;

  PoolFormerEncoder encoder{nullptr};
};
TORCH_MODULE(PoolFormerModel);

/// The model with a linear head on the mean of its normed features: logits [B, num_labels].
class PoolFormerForImageClassificationImpl
    : public PretrainedModel<PoolFormerForImageClassificationImpl,
                             PoolFormerConfig,
                             ImageClassifierImpl> {
 public:
  static constexpr const char* kClassName = "PoolFormerForImageClassification";
  static constexpr const char* kBaseModelPrefix = "poolformer";
  explicit PoolFormerForImageClassificationImpl(PoolFormerConfig model_config = {});

  /// As PoolFormerModel; `options.labels()` adds the loss (nn/loss.h).
  ImageClassifierOutput forward(const torch::Tensor& pixel_values,
                                const ForwardOptions& options = {}) override;

  PoolFormerModel poolformer{nullptr};
  PoolFormerGroupNorm norm{nullptr};
  nn::Linear classifier{nullptr};  ///< absent with zero labels: logits are the pooled features
};
TORCH_MODULE(PoolFormerForImageClassification);

}  // namespace vizoo
