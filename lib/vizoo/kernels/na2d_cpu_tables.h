#pragma once

// The tables of kernels, one for each instruction set that is compiled.

#include "vizoo/kernels/na2d_cpu.h"

namespace vizoo::kernels {

struct Na2dCpuTables {
  Na2dCpuKernels<float> float32;
  Na2dCpuKernels<double> float64;
  Na2dCpuKernels<Float16> float16;
  Na2dCpuKernels<BFloat16> bfloat16;
};

const Na2dCpuTables& na2d_cpu_tables_portable();
const Na2dCpuTables& na2d_cpu_tables_avx2();
const Na2dCpuTables& na2d_cpu_tables_avx512();

}  // namespace vizoo::kernels
