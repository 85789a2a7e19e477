// The choice of CUDA kernels as dispatcher ops, for measurements from Python
// (scripts/gpu_check.sh). A library of its own, so that what users load has no such switch.
#include <torch/library.h>

#include "vizoo/ops/na2d_cuda.h"

namespace {

void set_kernel(const std::string& name) { vizoo::ops::cuda::set_na2d_cuda_kernel(name); }

std::string kernel_of(const at::Tensor& query,
                      const at::Tensor& key,
                      const at::Tensor& value,
                      at::IntArrayRef kernel_size,
                      at::IntArrayRef dilation) {
  return vizoo::ops::cuda::na2d_cuda_kernel(query, key, value, kernel_size, dilation);
}

}  // namespace

TORCH_LIBRARY(vizoo_kernel_choice, library) {
  library.def("set_kernel(str name) -> ()", TORCH_FN(set_kernel));
  library.def(
      "kernel_of(Tensor query, Tensor key, Tensor value, int[2] kernel_size, int[2] dilation) -> "
      "str",
      TORCH_FN(kernel_of));
}
