// Compiled with -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma; called only where the processor
// has them.
#if defined(__x86_64__)
#define VIZOO_CPU_TARGET avx512
#define VIZOO_VECTOR_BYTES 64

#include "vizoo/kernels/na2d_cpu_table.h"

namespace vizoo::kernels {

const Na2dCpuTables& na2d_cpu_tables_avx512() {
  static const Na2dCpuTables tables = avx512::make_tables();
  return tables;
}

}  // namespace vizoo::kernels

#endif
