#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "vizoo/ops/neighborhood_attention.h"
#include "vizoo/ops/registration.h"

namespace vizoo::ops {
namespace gradients {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using OptionalTensor = std::optional<at::Tensor>;

at::Tensor tensor_or_undefined(const OptionalTensor& tensor) {
  return tensor.has_value() ? *tensor : at::Tensor();
}

OptionalTensor optional_tensor(const at::Tensor& tensor) {
  return tensor.defined() ? OptionalTensor(tensor) : std::nullopt;
}

void save_window(AutogradContext* context, at::IntArrayRef kernel_size, at::IntArrayRef dilation) {
  context->saved_data["kernel_size"] = kernel_size;
  context->saved_data["dilation"] = dilation;
}

// Forward-mode tangents count as well: Function refuses them, the short cut would drop them unseen.
bool needs_gradient(std::initializer_list<at::Tensor> tensors) {
  for (const auto& tensor : tensors) {
    if (!tensor.defined()) continue;
    if (at::GradMode::is_enabled() && tensor.requires_grad()) return true;
    if (tensor._fw_grad(/*level=*/0).defined()) return true;
  }
  return false;
}

struct Na2dFunction : torch::autograd::Function<Na2dFunction> {
  static variable_list forward(AutogradContext* context,
                               const at::Tensor& query,
                               const at::Tensor& key,
                               const at::Tensor& value,
                               const OptionalTensor& rpb,
                               at::IntArrayRef kernel_size,
                               at::IntArrayRef dilation,
                               std::optional<double> scale) {
    at::AutoDispatchBelowADInplaceOrView guard;
    auto [out, lse] = ops::na2d_forward(query, key, value, rpb, kernel_size, dilation, scale);
    context->save_for_backward({query, key, value, tensor_or_undefined(rpb), out, lse});
    save_window(context, kernel_size, dilation);
    context->saved_data["scale"] = scale;
    context->mark_non_differentiable({lse});
    return {out, lse};
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    auto [grad_query, grad_key, grad_value, grad_rpb] =
        ops::na2d_backward(grads[0],
                           saved[0],
                           saved[1],
                           saved[2],
                           optional_tensor(saved[3]),
                           saved[4],
                           saved[5],
                           context->saved_data["kernel_size"].toIntVector(),
                           context->saved_data["dilation"].toIntVector(),
                           context->saved_data["scale"].toOptional<double>());
    if (!saved[3].defined()) grad_rpb = at::Tensor();
    return {grad_query, grad_key, grad_value, grad_rpb, {}, {}, {}};
  }
};

at::Tensor na2d(const at::Tensor& query,
                const at::Tensor& key,
                const at::Tensor& value,
                const OptionalTensor& rpb,
                at::IntArrayRef kernel_size,
                at::IntArrayRef dilation,
                std::optional<double> scale) {
  if (!needs_gradient({query, key, value, tensor_or_undefined(rpb)})) {
    at::AutoDispatchBelowADInplaceOrView guard;
    return ops::na2d(query, key, value, rpb, kernel_size, dilation, scale);  // without lse
  }
  return Na2dFunction::apply(query, key, value, rpb, kernel_size, dilation, scale)[0];
}

std::tuple<at::Tensor, at::Tensor> na2d_forward(const at::Tensor& query,
                                                const at::Tensor& key,
                                                const at::Tensor& value,
                                                const OptionalTensor& rpb,
                                                at::IntArrayRef kernel_size,
                                                at::IntArrayRef dilation,
                                                std::optional<double> scale) {
  auto results = Na2dFunction::apply(query, key, value, rpb, kernel_size, dilation, scale);
  return {results[0], results[1]};
}

struct Na2dQkFunction : torch::autograd::Function<Na2dQkFunction> {
  static at::Tensor forward(AutogradContext* context,
                            const at::Tensor& query,
                            const at::Tensor& key,
                            const OptionalTensor& rpb,
                            at::IntArrayRef kernel_size,
                            at::IntArrayRef dilation) {
    at::AutoDispatchBelowADInplaceOrView guard;
    context->save_for_backward({query, key, tensor_or_undefined(rpb)});
    save_window(context, kernel_size, dilation);
    return ops::na2d_qk(query, key, rpb, kernel_size, dilation);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    auto [grad_query, grad_key, grad_rpb] =
        ops::na2d_qk_backward(grads[0],
                              saved[0],
                              saved[1],
                              optional_tensor(saved[2]),
                              context->saved_data["kernel_size"].toIntVector(),
                              context->saved_data["dilation"].toIntVector());
    if (!saved[2].defined()) grad_rpb = at::Tensor();
    return {grad_query, grad_key, grad_rpb, {}, {}};
  }
};

at::Tensor na2d_qk(const at::Tensor& query,
                   const at::Tensor& key,
                   const OptionalTensor& rpb,
                   at::IntArrayRef kernel_size,
                   at::IntArrayRef dilation) {
  return Na2dQkFunction::apply(query, key, rpb, kernel_size, dilation);
}

struct Na2dAvFunction : torch::autograd::Function<Na2dAvFunction> {
  static at::Tensor forward(AutogradContext* context,
                            const at::Tensor& attn,
                            const at::Tensor& value,
                            at::IntArrayRef kernel_size,
                            at::IntArrayRef dilation) {
    at::AutoDispatchBelowADInplaceOrView guard;
    context->save_for_backward({attn, value});
    save_window(context, kernel_size, dilation);
    return ops::na2d_av(attn, value, kernel_size, dilation);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    auto [grad_attn, grad_value] =
        ops::na2d_av_backward(grads[0],
                              saved[0],
                              saved[1],
                              context->saved_data["kernel_size"].toIntVector(),
                              context->saved_data["dilation"].toIntVector());
    return {grad_attn, grad_value, {}, {}};
  }
};

at::Tensor na2d_av(const at::Tensor& attn,
                   const at::Tensor& value,
                   at::IntArrayRef kernel_size,
                   at::IntArrayRef dilation) {
  return Na2dAvFunction::apply(attn, value, kernel_size, dilation);
}

void register_all(torch::Library& library) {
  library.impl("na2d", TORCH_FN(na2d));
  library.impl("na2d_forward", TORCH_FN(na2d_forward));
  library.impl("na2d_qk", TORCH_FN(na2d_qk));
  library.impl("na2d_av", TORCH_FN(na2d_av));
  // Without these a second derivative would silently be zero.
  for (const char* name : {"na2d_backward", "na2d_qk_backward", "na2d_av_backward"}) {
    library.impl(name, torch::autograd::autogradNotImplementedFallback());
  }
}

}  // namespace
}  // namespace gradients

void register_gradients(torch::Library& library) { gradients::register_all(library); }

}  // namespace vizoo::ops
