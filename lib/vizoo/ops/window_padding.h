#pragma once

// What the ops pad_to_at_least and crop_like do, as plain ATen calls: autograd sees these, a tracer
// sees one op. They are described in neighborhood_attention.h.

#include <ATen/core/Tensor.h>

namespace vizoo::ops::composite {

at::Tensor pad_to_at_least(const at::Tensor& input, at::IntArrayRef size);
at::Tensor crop_like(const at::Tensor& input, const at::Tensor& reference);

}  // namespace vizoo::ops::composite
