#pragma once

// ConvNeXT: "A ConvNet for the 2020s", https://arxiv.org/abs/2201.03545.
// Names and numbers follow transformers/models/convnext/modeling_convnext.py, 4.37.2.

#include <cstdint>
#include <vector>

#include "vizoo/core/backbone_config.h"
#include "vizoo/nn/layers.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {

/// config.json of model_type "convnext" (configuration_convnext.py, 4.37.2).
struct ConvNextConfig : PretrainedConfig, BackboneConfig {
  static constexpr const char* kModelType = "convnext";

  int64_t num_channels = 3;
  int64_t patch_size = 4;                                ///< kernel and stride of the stem
  int64_t num_stages = 4;                                ///< stages that are built
  std::vector<int64_t> hidden_sizes{96, 192, 384, 768};  ///< channels of each stage
  std::vector<int64_t> depths{3, 3, 9, 3};               ///< layers of each stage
  Activation hidden_act = Activation::gelu;
  double initializer_range = 0.02;
  double layer_norm_eps = 1e-12;         ///< of the last norm only; all others use 1e-6
  double layer_scale_init_value = 1e-6;  ///< no layer scale if 0 or less
  double drop_path_rate = 0.0;           ///< of the last layer; grows linearly from 0
  int64_t image_size = 224;              ///< not used by the model

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    PretrainedConfig::fields(self, visit);
    visit("num_channels", self.num_channels);
    visit("patch_size", self.patch_size);
    visit("num_stages", self.num_stages);
    visit("hidden_sizes", self.hidden_sizes);
    visit("depths", self.depths);
    visit("hidden_act", self.hidden_act);
    visit("initializer_range", self.initializer_range);
    visit("layer_norm_eps", self.layer_norm_eps);
    visit("layer_scale_init_value", self.layer_scale_init_value);
    visit("drop_path_rate", self.drop_path_rate);
    visit("image_size", self.image_size);
    BackboneConfig::fields(self, visit);
  }

  /// Checks the values against each other and derives `stage_names`, `out_features` and
  /// `out_indices`. Models call it; calling it again changes nothing. Throws ConfigError.
  void resolve();
};

/// LayerNorm over the channels of [B, C, H, W] (`channels_first`) or [B, H, W, C], eps 1e-6.
class ConvNextLayerNormImpl : public torch::nn::Module {
 public:
  enum class DataFormat { channels_last, channels_first };
  explicit ConvNextLayerNormImpl(int64_t size, DataFormat format = DataFormat::channels_last);
  torch::Tensor forward(const torch::Tensor& input) const;

  DataFormat data_format;
  torch::Tensor weight;
  torch::Tensor bias;
};
TORCH_MODULE(ConvNextLayerNorm);

/// Stem: non-overlapping patches, then a norm. [B, num_channels, H, W] -> [B, C0, H/p, W/p].
class ConvNextEmbeddingsImpl : public torch::nn::Module {
 public:
  explicit ConvNextEmbeddingsImpl(const ConvNextConfig& config);
  torch::Tensor forward(const torch::Tensor& pixel_values) const;

  int64_t num_channels;
  int64_t patch_size;
  nn::Conv2d patch_embeddings{nullptr};
  ConvNextLayerNorm layernorm{nullptr};
};
TORCH_MODULE(ConvNextEmbeddings);

/// One block: x + drop_path(layer_scale * MLP(norm(depthwise 7x7 (x)))). [B, C, H, W] in and out.
class ConvNextLayerImpl : public torch::nn::Module {
 public:
  ConvNextLayerImpl(const ConvNextConfig& config, int64_t size, double drop_path_rate);
  torch::Tensor forward(const torch::Tensor& hidden_states) const;

  torch::Tensor layer_scale_parameter;  ///< [C]; undefined without layer scale
  nn::Conv2d dwconv{nullptr};
  ConvNextLayerNorm layernorm{nullptr};
  nn::Linear pwconv1{nullptr};
  nn::Linear pwconv2{nullptr};
  Activation act;
  double drop_path_rate;
};
TORCH_MODULE(ConvNextLayer);

/// Optional down-sampling by 2 (norm, then 2x2 convolution), then the layers.
class ConvNextStageImpl : public torch::nn::Module {
 public:
  ConvNextStageImpl(const ConvNextConfig& config,
                    int64_t in_channels,
                    int64_t out_channels,
                    int64_t stride,
                    const std::vector<double>& drop_path_rates);
  torch::Tensor forward(torch::Tensor hidden_states) const;

  torch::nn::ModuleList downsampling_layer{nullptr};  ///< 0: norm, 1: convolution; or absent
  torch::nn::ModuleList layers;
};
TORCH_MODULE(ConvNextStage);

class ConvNextEncoderImpl : public torch::nn::Module {
 public:
  explicit ConvNextEncoderImpl(const ConvNextConfig& config);
  /// Returns the output of the last stage; appends stem output and every stage's to
  /// `all_hidden_states` unless it is null.
  torch::Tensor forward(torch::Tensor hidden_states,
                        std::vector<torch::Tensor>* all_hidden_states) const;

  torch::nn::ModuleList stages;
};
TORCH_MODULE(ConvNextEncoder);

/// The bare model. last_hidden_state: [B, C, H', W'] without final norm; pooler_output: [B, C], the
/// norm of its mean over H' and W'; hidden_states: stem and each stage, [B, C_i, H_i, W_i].
class ConvNextModelImpl
    : public PretrainedModel<ConvNextModelImpl, ConvNextConfig, VisionModelImpl> {
 public:
  static constexpr const char* kClassName = "ConvNextModel";
  static constexpr const char* kBaseModelPrefix = "convnext";
  explicit ConvNextModelImpl(ConvNextConfig model_config = {});

  /// pixel_values: [B, num_channels, H, W] with H and W of at least patch_size * 2^(stages - 1).
  /// Throws ShapeError for anything else.
  BaseModelOutputWithPooling forward(const torch::Tensor& pixel_values,
                                     const ForwardOptions& options = {}) override;

  ConvNextEmbeddings embeddings{nullptr};
  ConvNextEncoder encoder{nullptr};
  nn::LayerNorm layernorm{nullptr};
};
TORCH_MODULE(ConvNextModel);

/// The model with a linear head on the pooled features: logits [B, num_labels].
class ConvNextForImageClassificationImpl
    : public PretrainedModel<ConvNextForImageClassificationImpl,
                             ConvNextConfig,
                             ImageClassifierImpl> {
 public:
  static constexpr const char* kClassName = "ConvNextForImageClassification";
  static constexpr const char* kBaseModelPrefix = "convnext";
  explicit ConvNextForImageClassificationImpl(ConvNextConfig model_config = {});

  /// As ConvNextModel; `options.labels()` adds the loss (nn/loss.h).
  ImageClassifierOutput forward(const torch::Tensor& pixel_values,
                                const ForwardOptions& options = {}) override;

  ConvNextModel convnext{nullptr};
  nn::Linear classifier{nullptr};  ///< absent with zero labels: logits are the pooled features
};
TORCH_MODULE(ConvNextForImageClassification);

/// Feature maps of the stages in `out_features`, each after a norm of its own; hidden_states are
/// the same stages without it, all of them.
class ConvNextBackboneImpl
    : public PretrainedModel<ConvNextBackboneImpl, ConvNextConfig, BackboneImpl> {
 public:
  static constexpr const char* kClassName = "ConvNextBackbone";
  static constexpr const char* kBaseModelPrefix = "convnext";
  explicit ConvNextBackboneImpl(ConvNextConfig model_config = {});

  /// As ConvNextModel.
  BackboneOutput forward(const torch::Tensor& pixel_values,
                         const ForwardOptions& options = {}) override;
  std::vector<int64_t> channels() const override;

  ConvNextEmbeddings embeddings{nullptr};
  ConvNextEncoder encoder{nullptr};
  torch::nn::ModuleDict hidden_states_norms;
};
TORCH_MODULE(ConvNextBackbone);

}  // namespace vizoo
