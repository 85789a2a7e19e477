#pragma once

// Neighborhood attention on CUDA tensors, on the current stream. Arguments are checked already
// (na2d_checks.h).

#include <string>

#include "vizoo/ops/na2d_signatures.h"

namespace vizoo::ops::cuda {

signature::Na2d na2d;
signature::Na2dForward na2d_forward;
signature::Na2dBackward na2d_backward;
signature::Na2dQk na2d_qk;
signature::Na2dQkBackward na2d_qk_backward;
signature::Na2dAv na2d_av;
signature::Na2dAvBackward na2d_av_backward;

/// Which kernels na2d_forward and na2d_backward take from now on, in all threads, where they can
/// run the problem: "general", "dense_group", "gathered_tile", or "default" for what is chosen by
/// shape and device. For measurements and tests. Throws c10::Error for another name.
void set_na2d_cuda_kernel(const std::string& name);

/// Which of them runs such a problem now; "composition" where none can.
std::string na2d_cuda_kernel(const at::Tensor& query,
                             const at::Tensor& key,
                             const at::Tensor& value,
                             at::IntArrayRef kernel_size,
                             at::IntArrayRef dilation);

}  // namespace vizoo::ops::cuda
