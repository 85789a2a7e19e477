// Every op schema and every registration is in this one file: a static registrar in a file that
// nothing refers to would be dropped by the linker.
#include <torch/library.h>
#include <torch/version.h>

#include "vizoo/ops/ops.h"

namespace vizoo::ops {

void init() {}

std::string build_info() {
  std::string info = "vizoo " VIZOO_VERSION ", LibTorch " TORCH_VERSION ", ";
  return info + (probe_cuda().compiled ? "CUDA" : "CPU");
}

kernels::CudaProbe probe_cuda() { return kernels::probe_cuda(); }

}  // namespace vizoo::ops

TORCH_LIBRARY(vizoo, library) {
  library.def("build_info() -> str", [] { return vizoo::ops::build_info(); });
}
