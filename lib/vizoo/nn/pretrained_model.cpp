#include "vizoo/nn/pretrained_model.h"

#include <algorithm>
#include <sstream>

#include "vizoo/core/error.h"
#include "vizoo/nn/layers.h"

namespace vizoo {
namespace {

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

[[noreturn]] void refuse_argument(const PretrainedModelImpl& model, const std::string& name) {
  std::string known;
  for (const auto& argument : model.argument_names()) {
    known += (known.empty() ? "" : ", ") + argument;
  }
  throw UsageError("model", model.class_name() + ".forward", "the arguments " + known, quote(name));
}

// The tensors among the arguments as pixel_values and options.
template <class Model>
NamedTensors forward_pixels(Model& model, const NamedArguments& arguments, ForwardOptions options) {
  torch::Tensor pixel_values;
  for (const auto& [name, tensor] : arguments) {
    if (!contains(model.argument_names(), name)) refuse_argument(model, name);
    if (name == "pixel_values") pixel_values = tensor;
  }
  ForwardOptions::tensors(options, [&](const char* name, torch::Tensor& option) {
    const auto found = arguments.find(name);
    if (found != arguments.end()) option = found->second;
  });
  return named_tensors(model.forward(pixel_values, options));
}

void initialize_children_first(PretrainedModelImpl& model, torch::nn::Module& module) {
  for (auto& child : module.children()) {
    if (dynamic_cast<PretrainedModelImpl*>(child.get()) != nullptr) continue;
    initialize_children_first(model, *child);
  }
  model.initialize_module(module);
}

}  // namespace

void PretrainedModelImpl::initialize_module(torch::nn::Module& module) const {
  const torch::NoGradGuard no_grad;
  const auto initialize = [&](torch::Tensor& weight, torch::Tensor& bias) {
    weight.normal_(0.0, initializer_range());
    if (bias.defined()) bias.zero_();
  };
  if (auto* linear = dynamic_cast<nn::LinearImpl*>(&module)) {
    initialize(linear->weight, linear->bias);
  } else if (auto* conv = dynamic_cast<nn::Conv2dImpl*>(&module)) {
    initialize(conv->weight, conv->bias);
  } else if (auto* norm = dynamic_cast<nn::LayerNormImpl*>(&module)) {
    norm->weight.fill_(1.0);
    norm->bias.zero_();
  } else if (auto* batch_norm = dynamic_cast<nn::BatchNormImpl*>(&module)) {
    batch_norm->weight.fill_(1.0);
    batch_norm->bias.zero_();
  } else if (auto* own = dynamic_cast<nn::SelfInitializing*>(&module)) {
    own->initialize_own_parameters();
  }
}

void PretrainedModelImpl::initialize_weights() {
  if (nn::NoInitGuard::active()) return;
  initialize_children_first(*this, *this);
}

NamedTensors PretrainedModelImpl::call_named(const std::string& method,
                                             const NamedArguments& arguments,
                                             const ForwardOptions& options) {
  if (method == "forward") return forward_named(arguments, options);
  std::string known;
  for (const auto& name : method_names()) known += (known.empty() ? "" : ", ") + name;
  throw UsageError("model", class_name(), "one of the methods " + known, quote(method));
}

NamedTensors VisionModelImpl::forward_named(const NamedArguments& arguments,
                                            const ForwardOptions& options) {
  return forward_pixels(*this, arguments, options);
}

NamedTensors ImageClassifierImpl::forward_named(const NamedArguments& arguments,
                                                const ForwardOptions& options) {
  return forward_pixels(*this, arguments, options);
}

NamedTensors BackboneImpl::forward_named(const NamedArguments& arguments,
                                         const ForwardOptions& options) {
  return forward_pixels(*this, arguments, options);
}

void PretrainedModelImpl::check_options(const ForwardOptions& options) const {
  ForwardOptions::tensors(options, [&](const char* name, const torch::Tensor& tensor) {
    if (tensor.defined() && !contains(argument_names(), name)) refuse_argument(*this, name);
  });
}

void PretrainedModelImpl::check_inputs(const torch::Tensor& pixel_values,
                                       const ForwardOptions& options,
                                       int64_t num_channels,
                                       int64_t least_size) const {
  check_options(options);
  check_pixel_values(pixel_values, num_channels, least_size);
}

void check_pixel_values(const torch::Tensor& pixel_values,
                        int64_t num_channels,
                        int64_t least_size,
                        const char* name) {
  if (!pixel_values.defined()) {
    throw ShapeError("model", name, "a tensor [B, num_channels, H, W]", "none");
  }
  const auto got = describe_tensor(pixel_values);
  if (pixel_values.dim() != 4 || !pixel_values.is_floating_point()) {
    throw ShapeError("model", name, "a floating-point tensor [B, num_channels, H, W]", got);
  }
  if (pixel_values.size(1) != num_channels) {
    throw ShapeError(
        "model", name, std::to_string(num_channels) + " channels, as /num_channels says", got);
  }
  if (pixel_values.size(2) < least_size || pixel_values.size(3) < least_size) {
    throw ShapeError(
        "model", name, "a height and width of at least " + std::to_string(least_size), got);
  }
}

std::string describe_tensor(const torch::Tensor& tensor) {
  std::ostringstream text;
  text << tensor.scalar_type() << " " << tensor.sizes();
  return text.str();
}

void copy_state(const torch::nn::Module& from, torch::nn::Module& to) {
  const torch::NoGradGuard no_grad;
  auto parameters = to.named_parameters();
  for (const auto& source : from.named_parameters()) {
    auto& target = parameters[source.key()];
    // The copy may differ in dtype and device from a freshly built module.
    target.set_data(source.value().detach().clone());
    target.requires_grad_(source.value().requires_grad());
  }
  auto buffers = to.named_buffers();
  for (const auto& source : from.named_buffers()) {
    buffers[source.key()].set_data(source.value().detach().clone());
  }
  to.train(from.is_training());
}

}  // namespace vizoo
