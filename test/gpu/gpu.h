#pragma once

// What the tests that need a GPU share.

#include <ATen/ATen.h>
#include <ATen/Context.h>

#include "test/support/catch.h"
#include "test/support/na2d_case.h"
#include "vizoo/ops/na2d_cuda.h"

/// Ends the test case where there is no GPU.
#define VIZOO_NEED_GPU()                                                        \
  do {                                                                          \
    if (!at::globalContext().hasCUDA()) VIZOO_SKIP("no CUDA device was found"); \
  } while (false)

namespace vizoo::test {

inline const at::Device kGpu{at::kCUDA, 0};

/// The same kernel for all ops of a scope.
class KernelChoice {
 public:
  explicit KernelChoice(const char* name) { ops::cuda::set_na2d_cuda_kernel(name); }
  ~KernelChoice() { ops::cuda::set_na2d_cuda_kernel("default"); }
  KernelChoice(const KernelChoice&) = delete;
  KernelChoice& operator=(const KernelChoice&) = delete;
};

/// A copy on the GPU with the same strides, and in storage of the same size and offset.
at::Tensor to_gpu(const at::Tensor& tensor);
Na2dCase to_gpu(const Na2dCase& problem);
Na2dTensors to_cpu(const Na2dTensors& tensors);

/// Which kernel the ops take for a problem that is on the GPU.
std::string kernel_of(const Na2dCase& problem);

/// The rule of na2d_case.h for a problem that is on the GPU and too large for the oracle: expected
/// is the plain composition in float64, and the composition in the problem's own type sets the
/// bound.
/// "" or what is wrong.
std::string differences_on_gpu(const Na2dCase& problem, const Na2dTensors& ours);

/// One tensor by the same rule, all on one device. "" or a line that begins with `name`.
std::string difference_on_gpu(const char* name,
                              const at::Tensor& ours,
                              const at::Tensor& expected,
                              const at::Tensor& plain);

}  // namespace vizoo::test
