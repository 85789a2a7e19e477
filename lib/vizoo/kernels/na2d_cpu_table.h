#pragma once

// Fills the tables for the instruction set of the file that includes this.

#include "vizoo/kernels/na2d_cpu_backward.h"
#include "vizoo/kernels/na2d_cpu_forward.h"
#include "vizoo/kernels/na2d_cpu_tables.h"

namespace vizoo::kernels {
namespace VIZOO_CPU_TARGET {

template <class T>
constexpr Na2dCpuKernels<T> make_kernels() {
  return {run_forward<T, ForwardKind::fused>,
          run_forward<T, ForwardKind::qk>,
          run_forward<T, ForwardKind::av>,
          run_backward<T, BackwardKind::fused>,
          run_backward<T, BackwardKind::qk>,
          run_backward<T, BackwardKind::av>};
}

constexpr Na2dCpuTables make_tables() {
  return {make_kernels<float>(),
          make_kernels<double>(),
          make_kernels<Float16>(),
          make_kernels<BFloat16>()};
}

}  // namespace VIZOO_CPU_TARGET
}  // namespace vizoo::kernels
