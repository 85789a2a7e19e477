#pragma once

#include <c10/util/FunctionRef.h>

#include <cstdint>

namespace vizoo::ops {

/// Calls body(first, last) for equal parts of [0, count), at most ceil(count / grain) of them, on
/// LibTorch's own threads: one part for each of `at::get_num_threads()`, a single one, in place,
/// when called from one of them. Rethrows what `body` throws.
///
/// `at::parallel_for` is the same function, but it is inline, and without OpenMP's compiler flag it
/// silently becomes a plain loop. With the flag a second OpenMP runtime would come in, since every
/// LibTorch brings one of its own, with threads of its own that know nothing of
/// `at::set_num_threads`. This one is compiled in LibTorch.
void parallel_for(int64_t count,
                  int64_t grain,
                  c10::function_ref<void(int64_t first, int64_t last)> body);

}  // namespace vizoo::ops
