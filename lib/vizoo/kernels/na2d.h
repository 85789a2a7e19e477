#pragma once

// Plain descriptions of a two-dimensional neighborhood attention problem, shared by the CPU and
// the CUDA kernels. Nothing here knows torch.

#include <cstdint>

namespace vizoo::kernels {

/// Sizes of one problem. Axis 0 is the height, axis 1 the width.
struct Na2dShape {
  int64_t batch = 0;
  int64_t heads = 0;
  int height = 0;
  int width = 0;
  int head_dim = 0;
  int kernel_size[2] = {0, 0};  ///< odd, at least 3
  int dilation[2] = {0, 0};     ///< at least 1; kernel_size * dilation <= size on each axis
  double scale = 1.0;           ///< of query . key; the bias is added unscaled
};

/// Where a tensor [B, H, W, heads, D] lies: strides in elements, unit stride over D. Unfused
/// tensors [B, heads, H, W, D] are described by the same four strides.
template <class T>
struct Na2dTensor {
  T* data = nullptr;
  int64_t batch_stride = 0;
  int64_t row_stride = 0;
  int64_t column_stride = 0;
  int64_t head_stride = 0;
};

}  // namespace vizoo::kernels
