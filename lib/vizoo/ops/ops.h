#pragma once

#include <string>

#include "vizoo/kernels/cuda_probe.h"

namespace vizoo::ops {

/// Keeps the linker from dropping libvizoo_ops.so in a program that only runs exported models and
/// refers to nothing else in it. Does nothing.
void init();

/// Version of vizoo, of the LibTorch it was compiled against, and whether CUDA kernels are in it:
/// "vizoo 0.1.0, LibTorch 2.11.0, CPU". Also the dispatcher op `vizoo::build_info() -> str`.
std::string build_info();

/// Version of vizoo: "0.1.0".
std::string version();

/// What the CUDA side of this build sees.
kernels::CudaProbe probe_cuda();

}  // namespace vizoo::ops
