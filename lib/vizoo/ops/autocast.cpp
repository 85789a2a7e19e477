#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/library.h>

#include "vizoo/ops/neighborhood_attention.h"
#include "vizoo/ops/registration.h"

namespace vizoo::ops {
namespace autocast {
namespace {

using OptionalTensor = std::optional<at::Tensor>;

// Casts to the type that autocast is set to on the device of `query`, with autocast's cache; while
// it lives, autocast is off.
class Caster {
 public:
  explicit Caster(const at::Tensor& query)
      : device_(query.device().type()), type_(at::autocast::get_autocast_dtype(device_)) {}

  at::Tensor operator()(const at::Tensor& tensor) const {
    return at::autocast::cached_cast(type_, tensor, device_);
  }

  OptionalTensor operator()(const OptionalTensor& tensor) const {
    return tensor.has_value() ? OptionalTensor((*this)(*tensor)) : std::nullopt;
  }

 private:
  c10::impl::ExcludeDispatchKeyGuard no_autocast_{c10::autocast_dispatch_keyset};
  at::DeviceType device_;
  at::ScalarType type_;
};

at::Tensor na2d(const at::Tensor& query,
                const at::Tensor& key,
                const at::Tensor& value,
                const OptionalTensor& rpb,
                at::IntArrayRef kernel_size,
                at::IntArrayRef dilation,
                std::optional<double> scale) {
  const Caster cast(query);
  return ops::na2d(cast(query), cast(key), cast(value), cast(rpb), kernel_size, dilation, scale);
}

std::tuple<at::Tensor, at::Tensor> na2d_forward(const at::Tensor& query,
                                                const at::Tensor& key,
                                                const at::Tensor& value,
                                                const OptionalTensor& rpb,
                                                at::IntArrayRef kernel_size,
                                                at::IntArrayRef dilation,
                                                std::optional<double> scale) {
  const Caster cast(query);
  return ops::na2d_forward(
      cast(query), cast(key), cast(value), cast(rpb), kernel_size, dilation, scale);
}

at::Tensor na2d_qk(const at::Tensor& query,
                   const at::Tensor& key,
                   const OptionalTensor& rpb,
                   at::IntArrayRef kernel_size,
                   at::IntArrayRef dilation) {
  const Caster cast(query);
  return ops::na2d_qk(cast(query), cast(key), cast(rpb), kernel_size, dilation);
}

at::Tensor na2d_av(const at::Tensor& attn,
                   const at::Tensor& value,
                   at::IntArrayRef kernel_size,
                   at::IntArrayRef dilation) {
  const Caster cast(value);
  return ops::na2d_av(cast(attn), cast(value), kernel_size, dilation);
}

void register_all(torch::Library& library) {
  library.impl("na2d", TORCH_FN(na2d));
  library.impl("na2d_forward", TORCH_FN(na2d_forward));
  library.impl("na2d_qk", TORCH_FN(na2d_qk));
  library.impl("na2d_av", TORCH_FN(na2d_av));
}

}  // namespace
}  // namespace autocast

void register_autocast(torch::Library& library) { autocast::register_all(library); }

}  // namespace vizoo::ops
