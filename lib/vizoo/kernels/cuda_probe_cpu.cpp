// Takes the place of cuda_probe.cu in a build without CUDA.
#include "vizoo/kernels/cuda_probe.h"

namespace vizoo::kernels {

CudaProbe probe_cuda() { return {}; }

}  // namespace vizoo::kernels
