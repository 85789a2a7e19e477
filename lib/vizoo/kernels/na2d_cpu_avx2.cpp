// Compiled with -mavx2 -mfma; called only where the processor has them.
#if defined(__x86_64__)
#define VIZOO_CPU_TARGET avx2
#define VIZOO_VECTOR_BYTES 32

#include "vizoo/kernels/na2d_cpu_table.h"

namespace vizoo::kernels {

const Na2dCpuTables& na2d_cpu_tables_avx2() {
  static const Na2dCpuTables tables = avx2::make_tables();
  return tables;
}

}  // namespace vizoo::kernels

#endif
