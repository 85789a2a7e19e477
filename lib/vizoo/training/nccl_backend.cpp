// Compiled with the definition VIZOO_NCCL where LibTorch is a CUDA build and nccl.h was found.
#include "vizoo/training/c10d_backends.h"

#ifdef VIZOO_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#else
#include "vizoo/core/error.h"
#endif

namespace vizoo {

#ifdef VIZOO_NCCL

bool has_nccl_backend() { return true; }

c10::intrusive_ptr<c10d::Backend> make_nccl_backend(const c10::intrusive_ptr<c10d::Store>& store,
                                                    int rank,
                                                    int size,
                                                    std::chrono::milliseconds timeout) {
  auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = timeout;
  return c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, size, options);
}

#else

bool has_nccl_backend() { return false; }

c10::intrusive_ptr<c10d::Backend> make_nccl_backend(
    const c10::intrusive_ptr<c10d::Store>& /*store*/,
    int /*rank*/,
    int /*size*/,
    std::chrono::milliseconds /*timeout*/) {
  throw UsageError("process group",
                   "backend",
                   "gloo, which this build of vizoo has",
                   "nccl",
                   "Build with -DVIZOO_CUDA=ON where nccl.h is");
}

#endif

}  // namespace vizoo
