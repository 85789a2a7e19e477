#pragma once

// DINOv2: "DINOv2: Learning Robust Visual Features without Supervision",
// https://arxiv.org/abs/2304.07193.
// Names and numbers follow transformers/models/dinov2/modeling_dinov2.py, 4.37.2.

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "vizoo/core/backbone_config.h"
#include "vizoo/nn/layers.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {

/// config.json of model_type "dinov2" (configuration_dinov2.py, 4.37.2).
struct Dinov2Config : PretrainedConfig, BackboneConfig {
  static constexpr const char* kModelType = "dinov2";

  int64_t hidden_size = 768;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;  ///< divides hidden_size
  double mlp_ratio = 4;              ///< hidden channels of the MLP: int(mlp_ratio * hidden_size)
  Activation hidden_act = Activation::gelu;  ///< not used by the gated MLP, which has SiLU
  double hidden_dropout_prob = 0.0;
  double attention_probs_dropout_prob = 0.0;
  double initializer_range = 0.02;
  double layer_norm_eps = 1e-6;
  /// Image that the table of positions is for: height and width, or [height, width].
  std::variant<int64_t, std::vector<int64_t>> image_size = int64_t{224};
  int64_t patch_size = 16;
  int64_t num_channels = 3;
  bool qkv_bias = true;
  double layerscale_value = 1.0;      ///< initial value
  double drop_path_rate = 0.0;        ///< without effect, as in 4.37.2
  bool use_swiglu_ffn = false;        ///< gated MLP
  bool apply_layernorm = true;        ///< whether the backbone's feature maps are normed
  bool reshape_hidden_states = true;  ///< whether they are [B, C, H', W'], else [B, 1 + N, C]

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    PretrainedConfig::fields(self, visit);
    visit("hidden_size", self.hidden_size);
    visit("num_hidden_layers", self.num_hidden_layers);
    visit("num_attention_heads", self.num_attention_heads);
    visit("mlp_ratio", self.mlp_ratio);
    visit("hidden_act", self.hidden_act);
    visit("hidden_dropout_prob", self.hidden_dropout_prob);
    visit("attention_probs_dropout_prob", self.attention_probs_dropout_prob);
    visit("initializer_range", self.initializer_range);
    visit("layer_norm_eps", self.layer_norm_eps);
    visit("image_size", self.image_size);
    visit("patch_size", self.patch_size);
    visit("num_channels", self.num_channels);
    visit("qkv_bias", self.qkv_bias);
    visit("layerscale_value", self.layerscale_value);
    visit("drop_path_rate", self.drop_path_rate);
    visit("use_swiglu_ffn", self.use_swiglu_ffn);
    BackboneConfig::fields(self, visit);
    visit("apply_layernorm", self.apply_layernorm);
    visit("reshape_hidden_states", self.reshape_hidden_states);
  }

  /// Checks the values against each other and derives `stage_names`, `out_features` and
  /// `out_indices`. Throws ConfigError.
  void resolve();

  /// Patches of an image of image_size: entries of the position table without the class token's.
  int64_t num_patches() const;

  /// Hidden channels of the MLP; of one half of the gated one.
  int64_t mlp_width() const;
};

/// How positions are interpolated for images of another size than the table is for.
enum class Dinov2PosInterp {
  Offset01,  ///< by a scale with 0.1 added, as DINOv2's authors and Transformers 4.37.2
  Size,      ///< by the sizes alone, as Transformers since September 2024
};

template <>
struct EnumNames<Dinov2PosInterp> {
  static constexpr std::pair<Dinov2PosInterp, const char*> table[] = {
      {Dinov2PosInterp::Offset01, "offset01"},
      {Dinov2PosInterp::Size, "size"},
  };
};

/// Constructor arguments of the DINOv2 classes beside the config.
struct Dinov2Arguments {
  TORCH_ARG(Dinov2PosInterp, position_interpolation) = Dinov2PosInterp::Offset01;

 public:
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("position_interpolation", self.position_interpolation());
  }
};

/// Patches as a convolution: [B, num_channels, H, W] -> [B, hidden_size, H / p, W / p], rounded
/// down.
class Dinov2PatchEmbeddingsImpl : public torch::nn::Module {
 public:
  explicit Dinov2PatchEmbeddingsImpl(const Dinov2Config& config);
  torch::Tensor forward(const torch::Tensor& pixel_values) const;

  nn::Conv2d projection{nullptr};
};
TORCH_MODULE(Dinov2PatchEmbeddings);

/// Class token, patch and position embeddings.
class Dinov2EmbeddingsImpl : public torch::nn::Module {
 public:
  Dinov2EmbeddingsImpl(const Dinov2Config& config, const Dinov2Arguments& arguments);
  /// [B, num_channels, H, W] -> [B, 1 + N, hidden_size]. `bool_masked_pos`: [B, N] or undefined.
  /// `map`, unless null, becomes the patches before all that, [B, hidden_size, H / p, W / p].
  torch::Tensor forward(const torch::Tensor& pixel_values,
                        const torch::Tensor& bool_masked_pos,
                        torch::Tensor* map) const;

  int64_t patch_size;
  Dinov2PosInterp position_interpolation;
  double dropout;
  torch::Tensor cls_token;            ///< [1, 1, C]
  torch::Tensor mask_token;           ///< [1, C]
  torch::Tensor position_embeddings;  ///< [1, 1 + N, C]
  Dinov2PatchEmbeddings patch_embeddings{nullptr};
};
TORCH_MODULE(Dinov2Embeddings);

/// Attention of every token to every token. [B, N, C] in and out.
class Dinov2SelfAttentionImpl : public torch::nn::Module {
 public:
  explicit Dinov2SelfAttentionImpl(const Dinov2Config& config);
  /// `head_mask`: [B or 1, heads, N or 1, N or 1] or undefined. `probabilities`, unless null,
  /// becomes [B, heads, N, N].
  torch::Tensor forward(const torch::Tensor& hidden_states,
                        const torch::Tensor& head_mask,
                        torch::Tensor* probabilities) const;

  int64_t num_attention_heads;
  double dropout;
  nn::Linear query{nullptr};
  nn::Linear key{nullptr};
  nn::Linear value{nullptr};
};
TORCH_MODULE(Dinov2SelfAttention);

/// Linear layer, then dropout.
class Dinov2SelfOutputImpl : public torch::nn::Module {
 public:
  explicit Dinov2SelfOutputImpl(const Dinov2Config& config);
  torch::Tensor forward(const torch::Tensor& hidden_states) const;

  double dropout;
  nn::Linear dense{nullptr};
};
TORCH_MODULE(Dinov2SelfOutput);

/// Attention and its output projection; arguments as Dinov2SelfAttention.
class Dinov2AttentionImpl : public torch::nn::Module {
 public:
  explicit Dinov2AttentionImpl(const Dinov2Config& config);
  torch::Tensor forward(const torch::Tensor& hidden_states,
                        const torch::Tensor& head_mask,
                        torch::Tensor* probabilities) const;

  Dinov2SelfAttention attention{nullptr};
  Dinov2SelfOutput output{nullptr};
};
TORCH_MODULE(Dinov2Attention);

/// A learned factor for each channel.
class Dinov2LayerScaleImpl : public torch::nn::Module {
 public:
  explicit Dinov2LayerScaleImpl(const Dinov2Config& config);
  /// shortcut + lambda1 * branch.
  torch::Tensor forward(const torch::Tensor& shortcut, const torch::Tensor& branch) const;

  torch::Tensor lambda1;  ///< [C]
};
TORCH_MODULE(Dinov2LayerScale);

/// Two linear layers with an activation between them. [B, N, C] in and out.
class Dinov2MLPImpl : public torch::nn::Module {
 public:
  explicit Dinov2MLPImpl(const Dinov2Config& config);
  torch::Tensor forward(const torch::Tensor& hidden_state) const;

  nn::Linear fc1{nullptr};
  nn::Linear fc2{nullptr};
  Activation activation;
};
TORCH_MODULE(Dinov2MLP);

/// Gated MLP: weights_out(silu(first half) * second half), the halves by weights_in.
class Dinov2SwiGLUFFNImpl : public torch::nn::Module {
 public:
  explicit Dinov2SwiGLUFFNImpl(const Dinov2Config& config);
  torch::Tensor forward(const torch::Tensor& hidden_state) const;

  nn::Linear weights_in{nullptr};
  nn::Linear weights_out{nullptr};
};
TORCH_MODULE(Dinov2SwiGLUFFN);

/// One layer: x + scale * attention(norm(x)), then the same with an MLP; arguments as
/// Dinov2SelfAttention.
class Dinov2LayerImpl : public torch::nn::Module {
 public:
  explicit Dinov2LayerImpl(const Dinov2Config& config);
  torch::Tensor forward(const torch::Tensor& hidden_states,
                        const torch::Tensor& head_mask,
                        torch::Tensor* probabilities) const;

  nn::LayerNorm norm1{nullptr};
  Dinov2Attention attention{nullptr};
  Dinov2LayerScale layer_scale1{nullptr};
  nn::LayerNorm norm2{nullptr};
  Dinov2MLP mlp{nullptr};  ///< one of the two, registered as `mlp`
  Dinov2SwiGLUFFN gated_mlp{nullptr};
  Dinov2LayerScale layer_scale2{nullptr};
};
TORCH_MODULE(Dinov2Layer);

class Dinov2EncoderImpl : public torch::nn::Module {
 public:
  explicit Dinov2EncoderImpl(const Dinov2Config& config);
  /// Returns the output of the last layer; appends the input and every layer's output to
  /// `all_hidden_states`, and the attention maps to `all_attentions`, unless they are null.
  /// `head_mask`: [heads], [layers, heads] or undefined.
  torch::Tensor forward(torch::Tensor hidden_states,
                        const torch::Tensor& head_mask,
                        std::vector<torch::Tensor>* all_hidden_states,
                        std::vector<torch::Tensor>* all_attentions) const;

  int64_t num_attention_heads;
  torch::nn::ModuleList layer;
};
TORCH_MODULE(Dinov2Encoder);

/// Initialises as DINOv2 does: linear layers, convolution, class token and positions from a normal
/// distribution cut off at 2 on both sides, biases 0, norms 1 and 0.
void initialize_dinov2_module(torch::nn::Module& module, double initializer_range);

/// The bare model, n = (H / patch_size) (W / patch_size) patches. last_hidden_state: [B, 1 + n, C]
/// after the final norm, the class token first; pooler_output: [B, C], the class token;
/// hidden_states: embeddings and each layer, [B, 1 + n, C], without norm; attentions: each layer,
/// [B, heads, 1 + n, 1 + n].
class Dinov2ModelImpl : public PretrainedModel<Dinov2ModelImpl, Dinov2Config, VisionModelImpl> {
 public:
  static constexpr const char* kClassName = "Dinov2Model";
  static constexpr const char* kBaseModelPrefix = "dinov2";
  using Arguments = Dinov2Arguments;
  explicit Dinov2ModelImpl(Dinov2Config model_config = {}, const Arguments& model_arguments = {});

  std::vector<std::string> argument_names() const override {
    return {"pixel_values", "bool_masked_pos", "head_mask"};
  }
  void initialize_module(torch::nn::Module& module) const override;

  /// pixel_values: [B, num_channels, H, W] with H and W of at least patch_size; what exceeds a
  /// multiple of it is not seen. Throws ShapeError for anything else.
  BaseModelOutputWithPooling forward(const torch::Tensor& pixel_values,
                                     const ForwardOptions& options = {}) override;
  torch::Tensor feature_map(const BaseModelOutputWithPooling& output,
                            const torch::Tensor& pixel_values) const override;

  Arguments arguments;
  Dinov2Embeddings embeddings{nullptr};
  Dinov2Encoder encoder{nullptr};
  nn::LayerNorm layernorm{nullptr};
};
TORCH_MODULE(Dinov2Model);

/// The model with a linear head on the class token beside the mean of the patches: logits
/// [B, num_labels].
class Dinov2ForImageClassificationImpl
    : public PretrainedModel<Dinov2ForImageClassificationImpl, Dinov2Config, ImageClassifierImpl> {
 public:
  static constexpr const char* kClassName = "Dinov2ForImageClassification";
  static constexpr const char* kBaseModelPrefix = "dinov2";
  using Arguments = Dinov2Arguments;
  explicit Dinov2ForImageClassificationImpl(Dinov2Config model_config = {},
                                            const Arguments& model_arguments = {});

  std::vector<std::string> argument_names() const override {
    return {"pixel_values", "head_mask", "labels"};
  }
  void initialize_module(torch::nn::Module& module) const override;

  /// As Dinov2Model; `options.labels()` adds the loss (nn/loss.h).
  ImageClassifierOutput forward(const torch::Tensor& pixel_values,
                                const ForwardOptions& options = {}) override;

  Arguments arguments;
  Dinov2Model dinov2{nullptr};
  nn::Linear classifier{nullptr};  ///< absent with zero labels: logits are the features
};
TORCH_MODULE(Dinov2ForImageClassification);

/// Feature maps of the layers in `out_features`, each after the final norm (`apply_layernorm`):
/// [B, C, H / p, W / p], or [B, 1 + n, C] without `reshape_hidden_states`. hidden_states and
/// attentions as Dinov2Model.
class Dinov2BackboneImpl : public PretrainedModel<Dinov2BackboneImpl, Dinov2Config, BackboneImpl> {
 public:
  static constexpr const char* kClassName = "Dinov2Backbone";
  static constexpr const char* kBaseModelPrefix = "dinov2";
  using Arguments = Dinov2Arguments;
  explicit Dinov2BackboneImpl(Dinov2Config model_config = {},
                              const Arguments& model_arguments = {});

  void initialize_module(torch::nn::Module& module) const override;

  /// As Dinov2Model.
  BackboneOutput forward(const torch::Tensor& pixel_values,
                         const ForwardOptions& options = {}) override;
  std::vector<int64_t> channels() const override;

  Arguments arguments;
  Dinov2Embeddings embeddings{nullptr};
  Dinov2Encoder encoder{nullptr};
  nn::LayerNorm layernorm{nullptr};
};
TORCH_MODULE(Dinov2Backbone);

}  // namespace vizoo
