#include <ATen/ATen.h>

#include "vizoo/ops/na2d_checks.h"
#include "vizoo/ops/window_padding.h"

namespace vizoo::ops::composite {

// What needs no change is returned as a view, never as the same tensor: a tracer takes one tensor
// for one value, so with pad_to_at_least's input for its result, a crop to the size of the input
// would become a crop to the size of the result.

at::Tensor pad_to_at_least(const at::Tensor& input, at::IntArrayRef size) {
  check::pad_to_at_least(input, size);
  const auto height = input.sym_size(1);
  const auto width = input.sym_size(2);
  if (height >= size[0] && width >= size[1]) return at::alias(input);
  const c10::SymInt bottom = (c10::SymInt(size[0]) - height).max(0);
  const c10::SymInt right = (c10::SymInt(size[1]) - width).max(0);
  // Pairs of (before, after), last dimension first: C, W, H.
  return at::constant_pad_nd_symint(input, {0, 0, 0, right, 0, bottom}, 0);
}

at::Tensor crop_like(const at::Tensor& input, const at::Tensor& reference) {
  check::crop_like(input, reference);
  const auto height = reference.sym_size(1);
  const auto width = reference.sym_size(2);
  if (height == input.sym_size(1) && width == input.sym_size(2)) return at::alias(input);
  return input.narrow_symint(1, 0, height).narrow_symint(2, 0, width);
}

}  // namespace vizoo::ops::composite
