#pragma once

// Launches the CUDA kernels of neighborhood attention. Nothing here allocates, waits or prints.
// Parameters say what is read and written (na2d_parameters.h); their pointers are device memory.

#include <cuda_runtime_api.h>

#include "vizoo/kernels/na2d_plan.h"

namespace vizoo::kernels {

/// out and, unless null, lse. `kernel` must fit (kernel_fits, with the alignment of query, key,
/// value and out), else nothing is launched and cudaErrorNotSupported is returned.
cudaError_t na2d_cuda_forward(const Na2dForwardParameters<void>& parameters,
                              Na2dElement element,
                              Na2dCudaKernel kernel,
                              cudaStream_t stream);

/// Gradients of query, key, value and, with a bias and unless null, of the bias: `grad_rpb`
/// [heads, 2 Kh - 1, 2 Kw - 1]. `workspace`: backward_workspace_bytes, aligned to 16 bytes; delta,
/// partials and slices of the parameters are set here. Errors as above.
cudaError_t na2d_cuda_backward(const Na2dBackwardParameters<void>& parameters,
                               void* grad_rpb,
                               void* workspace,
                               Na2dElement element,
                               Na2dCudaKernel kernel,
                               cudaStream_t stream);

/// attn_out[query, slot] = left[query] . right[key] + rpb.
cudaError_t na2d_cuda_scores(const Na2dUnfusedParameters<void>& parameters,
                             Na2dElement element,
                             cudaStream_t stream);

/// out[query] = sum over its keys of attn_in[query, slot] * right[key].
cudaError_t na2d_cuda_gather(const Na2dUnfusedParameters<void>& parameters,
                             Na2dElement element,
                             cudaStream_t stream);

/// out[key] = sum over the queries that see it of attn_in[query, slot] * left[query].
cudaError_t na2d_cuda_scatter(const Na2dUnfusedParameters<void>& parameters,
                              Na2dElement element,
                              cudaStream_t stream);

/// grad_rpb = sums of attn_in over all pairs that share a bias. `workspace`: as for
/// na2d_cuda_backward with the general kernel.
cudaError_t na2d_cuda_bias_gradient(const Na2dUnfusedParameters<void>& parameters,
                                    void* grad_rpb,
                                    void* workspace,
                                    Na2dElement element,
                                    cudaStream_t stream);

}  // namespace vizoo::kernels
