#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "vizoo/core/config.h"
#include "vizoo/nn/initialization.h"
#include "vizoo/nn/model_output.h"
#include "vizoo/nn/torch.h"

namespace vizoo {

/// Options of a forward call: flags, which take the config's default unless they are set and decide
/// only which fields of the output are filled, and tensors, which some models take. A model throws
/// UsageError for a tensor that it does not take.
struct ForwardOptions {
  TORCH_ARG(std::optional<bool>, output_hidden_states) = std::nullopt;
  TORCH_ARG(std::optional<bool>, output_attentions) = std::nullopt;
  /// Labels of a head with a loss; the head documents shape and dtype.
  TORCH_ARG(torch::Tensor, labels) = torch::Tensor();
  /// Patches that are replaced by the mask token, bool, [B, patches] (Dinov2Model).
  TORCH_ARG(torch::Tensor, bool_masked_pos) = torch::Tensor();
  /// Factors of the attention probabilities, floating point, [heads] or [layers, heads] (DINOv2).
  TORCH_ARG(torch::Tensor, head_mask) = torch::Tensor();

 public:
  /// Calls visit(name, tensor) for each tensor above.
  template <class Self, class Visitor>
  static void tensors(Self& self, Visitor&& visit) {
    visit("labels", self.labels());
    visit("bool_masked_pos", self.bool_masked_pos());
    visit("head_mask", self.head_mask());
  }
};

/// Forward arguments by the keyword names of Transformers (`pixel_values`, `labels`, ...).
using NamedArguments = std::map<std::string, torch::Tensor>;

/// Base of every model that has a config and a checkpoint format. Parameters and buffers are
/// registered under Transformers' names, so `named_parameters()` keys are state-dict keys.
class PretrainedModelImpl : public torch::nn::Module {
 public:
  /// Class name as in `architectures`, e.g. "ConvNextModel".
  virtual std::string class_name() const = 0;

  /// Name of the base model inside a model with a head, e.g. "convnext".
  virtual std::string base_model_prefix() const = 0;

  /// The part of the config that all models share.
  virtual PretrainedConfig& base_config() = 0;
  const PretrainedConfig& base_config() const {
    return const_cast<PretrainedModelImpl*>(this)->base_config();
  }

  /// Standard deviation of freshly initialised weights.
  virtual double initializer_range() const = 0;

  /// Initialises the parameters that `module` itself holds, as `_init_weights` does upstream.
  /// The default: weights of linear and convolution layers from N(0, initializer_range), biases 0;
  /// norms 1 and 0; what is nn::SelfInitializing as it says.
  virtual void initialize_module(torch::nn::Module& module) const;

  /// Whether a checkpoint's key is left out without a warning: a buffer that upstream once saved
  /// and this model derives, or what belongs to a larger model of which this is one part. `key` is
  /// empty for what belongs to a head around this model.
  virtual bool is_ignored_key(const std::string& /*key*/) const { return false; }

  /// Names of the tensors that forward takes, as Transformers' keyword arguments.
  virtual std::vector<std::string> argument_names() const = 0;

  /// Calls forward with arguments by name and returns the outputs by name. Throws UsageError for an
  /// argument that the model does not take, ShapeError for one that is missing.
  virtual NamedTensors forward_named(const NamedArguments& arguments,
                                     const ForwardOptions& options) = 0;

  /// Names of the methods that `call_named` knows, "forward" first.
  virtual std::vector<std::string> method_names() const { return {"forward"}; }

  /// As forward_named, for any of `method_names()`. Throws UsageError for another name.
  virtual NamedTensors call_named(const std::string& method,
                                  const NamedArguments& arguments,
                                  const ForwardOptions& options);

 protected:
  /// Upstream's `post_init`: initialises every submodule, children first, except whole models
  /// inside this one, which have done it in their own constructor. Does nothing under NoInitGuard.
  void initialize_weights();

  /// Throws UsageError for a tensor among the options that is not in `argument_names()`.
  void check_options(const ForwardOptions& options) const;

  /// What every forward of pixels alone begins with: check_options and check_pixel_values.
  void check_inputs(const torch::Tensor& pixel_values,
                    const ForwardOptions& options,
                    int64_t num_channels,
                    int64_t least_size) const;

  /// Whether a flag was asked for by the call, else by the config.
  bool wants_hidden_states(const ForwardOptions& options) const {
    return options.output_hidden_states().value_or(base_config().output_hidden_states);
  }
  bool wants_attentions(const ForwardOptions& options) const {
    return options.output_attentions().value_or(base_config().output_attentions);
  }
};

/// A model from pixels to features.
class VisionModelImpl : public PretrainedModelImpl {
 public:
  /// pixel_values: [B, num_channels, H, W], floating point.
  virtual BaseModelOutputWithPooling forward(const torch::Tensor& pixel_values,
                                             const ForwardOptions& options = {}) = 0;

  /// `output.last_hidden_state` of a forward of `pixel_values` as a map of features, one for each
  /// patch and none for tokens that stand for no place: [B, C, H', W'].
  virtual torch::Tensor feature_map(const BaseModelOutputWithPooling& output,
                                    const torch::Tensor& /*pixel_values*/) const {
    return output.last_hidden_state;
  }

  std::vector<std::string> argument_names() const override { return {"pixel_values"}; }
  NamedTensors forward_named(const NamedArguments& arguments,
                             const ForwardOptions& options) override;
};

/// A model from pixels to class logits.
class ImageClassifierImpl : public PretrainedModelImpl {
 public:
  /// pixel_values: [B, num_channels, H, W], floating point; `options.labels()` as
  /// `image_classification_loss` takes them.
  virtual ImageClassifierOutput forward(const torch::Tensor& pixel_values,
                                        const ForwardOptions& options = {}) = 0;
  std::vector<std::string> argument_names() const override { return {"pixel_values", "labels"}; }
  NamedTensors forward_named(const NamedArguments& arguments,
                             const ForwardOptions& options) override;
};

/// A model from pixels to feature maps at several scales.
class BackboneImpl : public PretrainedModelImpl {
 public:
  /// pixel_values: [B, num_channels, H, W], floating point.
  virtual BackboneOutput forward(const torch::Tensor& pixel_values,
                                 const ForwardOptions& options = {}) = 0;
  std::vector<std::string> argument_names() const override { return {"pixel_values"}; }
  NamedTensors forward_named(const NamedArguments& arguments,
                             const ForwardOptions& options) override;

  /// Channels of each returned feature map.
  virtual std::vector<int64_t> channels() const = 0;
};

/// Throws ShapeError, which calls the tensor `name`, unless it is a floating-point one [B,
/// num_channels, H, W] with H and W of at least `least_size`.
void check_pixel_values(const torch::Tensor& pixel_values,
                        int64_t num_channels,
                        int64_t least_size,
                        const char* name = "pixel_values");

/// dtype and sizes for a message: "Float [2, 3, 4]".
std::string describe_tensor(const torch::Tensor& tensor);

/// What `AutoModel*` return: shared ownership of a model by its task.
using VisionModel = std::shared_ptr<VisionModelImpl>;
using ImageClassifier = std::shared_ptr<ImageClassifierImpl>;
using Backbone = std::shared_ptr<BackboneImpl>;

/// Copies parameters, buffers and the training flag. Both modules must have the same structure.
void copy_state(const torch::nn::Module& from, torch::nn::Module& to);

/// Whether a model class has constructor arguments beside its config: `using Arguments`, a struct
/// with `fields` as a config has, and a member `arguments` of that type.
template <class Model, class = void>
struct takes_arguments : std::false_type {};
template <class Model>
struct takes_arguments<Model, std::void_t<typename Model::Arguments>> : std::true_type {};

/// Implements what depends on the concrete class: `Derived` needs a constructor from `ConfigType`
/// (and `Arguments`, if it has them), and `static constexpr const char* kClassName,
/// *kBaseModelPrefix`.
template <class Derived, class ConfigType, class Interface>
class PretrainedModel : public Interface {
 public:
  using Config = ConfigType;

  explicit PretrainedModel(ConfigType model_config) : config(std::move(model_config)) {
    config.resolve();
  }

  ConfigType config;

  std::string class_name() const override { return Derived::kClassName; }
  std::string base_model_prefix() const override { return Derived::kBaseModelPrefix; }
  using PretrainedModelImpl::base_config;
  PretrainedConfig& base_config() override { return config; }
  double initializer_range() const override { return config.initializer_range; }

  /// A deep copy, on `device` if one is given.
  std::shared_ptr<torch::nn::Module> clone(
      const std::optional<torch::Device>& device = std::nullopt) const override {
    const nn::NoInitGuard no_init;
    std::shared_ptr<Derived> copy;
    if constexpr (takes_arguments<Derived>::value) {
      copy = std::make_shared<Derived>(config, static_cast<const Derived&>(*this).arguments);
    } else {
      copy = std::make_shared<Derived>(config);
    }
    copy_state(*this, *copy);
    if (device) copy->to(*device);
    return copy;
  }
};

}  // namespace vizoo
