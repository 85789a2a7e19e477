// The kernels for any processor.
#define VIZOO_CPU_TARGET portable
#define VIZOO_VECTOR_BYTES 16

#include "vizoo/kernels/na2d_cpu_table.h"

namespace vizoo::kernels {

const Na2dCpuTables& na2d_cpu_tables_portable() {
  static const Na2dCpuTables tables = portable::make_tables();
  return tables;
}

}  // namespace vizoo::kernels
