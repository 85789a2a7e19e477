#include "vizoo/training/non_finite.h"

#include <ATen/record_function.h>

#include <map>
#include <memory>
#include <utility>

namespace vizoo {
namespace {

std::string module_of(const std::string& parameter) {
  const auto dot = parameter.rfind('.');
  return dot == std::string::npos ? std::string() : parameter.substr(0, dot);
}

// "NaN", "infinity", or empty if all numbers are finite.
std::string non_finite_value(const torch::Tensor& tensor) {
  if (!tensor.defined() || !tensor.is_floating_point() || tensor.is_meta() || tensor.numel() == 0 ||
      !tensor.has_storage()) {
    return "";
  }
  if (tensor.isnan().any().item<bool>()) return "NaN";
  return tensor.isinf().any().item<bool>() ? "infinity" : "";
}

// What the callbacks below see while a search is on; they are plain functions.
struct Search {
  std::map<const c10::TensorImpl*, std::string> parameters;
  std::string module;
  std::optional<NonFinite> nan;
  std::optional<NonFinite> infinity;
};
thread_local Search* current_search = nullptr;

template <class Visit>
void for_each_tensor(const c10::IValue& value, Visit visit) {
  if (value.isTensor()) {
    visit(value.toTensor());
  } else if (value.isTensorList()) {
    for (const torch::Tensor& tensor : value.toTensorVector()) visit(tensor);
  } else if (value.isTuple()) {
    for (const auto& element : value.toTupleRef().elements()) for_each_tensor(element, visit);
  }
}

std::unique_ptr<at::ObserverContext> before(const at::RecordFunction& function) {
  for (const auto& input : function.inputs()) {
    for_each_tensor(input, [&](const torch::Tensor& tensor) {
      const auto found = current_search->parameters.find(tensor.unsafeGetTensorImpl());
      if (found != current_search->parameters.end()) current_search->module = found->second;
    });
  }
  return nullptr;
}

void after(const at::RecordFunction& function, at::ObserverContext*) {
  auto& search = *current_search;
  if (search.nan) return;
  const std::string name = function.name();
  // Memory that nobody has written to yet may hold anything.
  if (name.find("empty") != std::string::npos || name.find("resize") != std::string::npos) return;
  const at::RecordFunctionGuard unobserved(false);
  const torch::NoGradGuard no_grad;
  for (const auto& output : function.outputs()) {
    for_each_tensor(output, [&](const torch::Tensor& tensor) {
      const auto value = non_finite_value(tensor);
      if (value.empty()) return;
      auto& found = value == "NaN" ? search.nan : search.infinity;
      if (!found) found = NonFinite{search.module, "", name, value};
    });
  }
}

// A parameter or buffer that is not finite, in the order of registration.
std::optional<NonFinite> non_finite_state(const torch::nn::Module& model) {
  const torch::NoGradGuard no_grad;
  const auto look = [](const auto& tensors) -> std::optional<NonFinite> {
    for (const auto& entry : tensors) {
      const auto value = non_finite_value(entry.value());
      if (!value.empty()) return NonFinite{module_of(entry.key()), entry.key(), "", value};
    }
    return std::nullopt;
  };
  auto found = look(model.named_parameters());
  return found ? found : look(model.named_buffers());
}

}  // namespace

std::string NonFinite::describe() const {
  if (!parameter.empty()) return "parameter " + parameter + " holds " + value;
  return operation + (module.empty() ? " before the first module" : " in module " + module) +
         " gives " + value;
}

std::optional<NonFinite> find_non_finite(const torch::nn::Module& model,
                                         const std::function<void()>& forward) {
  if (auto found = non_finite_state(model)) return found;
  Search search;
  for (const auto& parameter : model.named_parameters()) {
    search.parameters[parameter.value().unsafeGetTensorImpl()] = module_of(parameter.key());
  }
  // Restores what was searched before and takes the callback away, whatever `forward` throws.
  struct Scope {
    explicit Scope(Search& search)
        : previous(std::exchange(current_search, &search)),
          handle(at::addThreadLocalCallback(at::RecordFunctionCallback(before, after)
                                                .needsInputs(true)
                                                .needsOutputs(true)
                                                .scopes({at::RecordScope::FUNCTION}))) {}
    ~Scope() {
      at::removeCallback(handle);
      current_search = previous;
    }
    Search* previous;
    at::CallbackHandle handle;
  };
  {
    const Scope scope(search);
    const at::RecordFunctionGuard observed(true);
    forward();
  }
  return search.nan ? search.nan : search.infinity;
}

}  // namespace vizoo
