#pragma once

// The CUDA kernels of neighborhood attention, run on the CPU by cuda_emulator.h: the same kernels,
// plans and grids as on a GPU.

#include "test/support/na2d_case.h"
#include "vizoo/kernels/na2d_plan.h"

namespace vizoo::test {

/// Sizes as the kernels take them.
kernels::Na2dShape kernel_shape(const Na2dSizes& sizes);

/// na2d_forward and na2d_backward. `reversed` as in emulate. Throws std::invalid_argument if the
/// kernel does not fit the case.
Na2dTensors run_emulated(const Na2dCase& problem, kernels::Na2dCudaKernel kernel, bool reversed);

/// Whether run_emulated can run the case.
bool emulated_fits(const Na2dCase& problem, kernels::Na2dCudaKernel kernel);

/// Results of na2d_qk, na2d_av and their gradients: scores, grad_query, grad_key, grad_rpb
/// (undefined without a bias), out, grad_attn, grad_value. Query, key, value and grad_out are those
/// of the case (scale is not used), attn and grad_scores are [B, heads, H, W, Kh * Kw], contiguous.
/// Results are [B, H, W, heads, D] or like attn.
std::vector<at::Tensor> run_emulated_unfused(const Na2dCase& problem,
                                             const at::Tensor& attn,
                                             const at::Tensor& grad_scores,
                                             bool reversed);

}  // namespace vizoo::test
