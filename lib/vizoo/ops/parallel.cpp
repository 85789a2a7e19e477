#include "vizoo/ops/parallel.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>

namespace vizoo::ops {

void parallel_for(int64_t count,
                  int64_t grain,
                  c10::function_ref<void(int64_t first, int64_t last)> body) {
  if (count <= 0) return;
  if (count <= grain || at::get_num_threads() == 1 || at::in_parallel_region()) {
    body(0, count);
    return;
  }
  // The loop over the elements of a tensor that nobody reads or writes: their addresses count.
  auto elements = at::empty({count}, at::kByte);
  const auto* const begin = static_cast<const char*>(elements.const_data_ptr());
  auto iterator = at::TensorIterator::nullary_op(elements);
  iterator.for_each(
      [&](char** data, const int64_t* /*strides*/, int64_t columns, int64_t rows) {
        const int64_t first = data[0] - begin;
        body(first, first + columns * rows);
      },
      grain);
}

}  // namespace vizoo::ops
