#include "vizoo/nn/pretrained_model.h"

#include "vizoo/core/error.h"
#include "vizoo/nn/layers.h"

namespace vizoo {
namespace {

// Takes `name` out of the arguments; the rest must be empty in the end.
torch::Tensor take(NamedArguments& arguments, const std::string& name) {
  const auto found = arguments.find(name);
  if (found == arguments.end()) return {};
  auto tensor = found->second;
  arguments.erase(found);
  return tensor;
}

void expect_none_left(const PretrainedModelImpl& model,
                      const NamedArguments& arguments,
                      const std::string& known) {
  if (arguments.empty()) return;
  throw UsageError("model",
                   model.class_name() + ".forward",
                   "the arguments " + known,
                   quote(arguments.begin()->first));
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
  }
}

void PretrainedModelImpl::initialize_weights() {
  if (nn::NoInitGuard::active()) return;
  initialize_children_first(*this, *this);
}

NamedTensors VisionModelImpl::forward_named(const NamedArguments& arguments,
                                            const ForwardOptions& options) {
  auto rest = arguments;
  const auto pixel_values = take(rest, "pixel_values");
  expect_none_left(*this, rest, "pixel_values");
  return named_tensors(forward(pixel_values, options));
}

NamedTensors ImageClassifierImpl::forward_named(const NamedArguments& arguments,
                                                const ForwardOptions& options) {
  auto rest = arguments;
  const auto pixel_values = take(rest, "pixel_values");
  auto with_labels = options;
  if (auto labels = take(rest, "labels"); labels.defined()) with_labels.labels(labels);
  expect_none_left(*this, rest, "pixel_values and labels");
  return named_tensors(forward(pixel_values, with_labels));
}

NamedTensors BackboneImpl::forward_named(const NamedArguments& arguments,
                                         const ForwardOptions& options) {
  auto rest = arguments;
  const auto pixel_values = take(rest, "pixel_values");
  expect_none_left(*this, rest, "pixel_values");
  return named_tensors(forward(pixel_values, options));
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
