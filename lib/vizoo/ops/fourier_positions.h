#pragma once

// Fourier position encodings, of grids as an op of their own: how many points a grid has is decided
// when a traced model runs, not when it is traced.

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace vizoo::ops {

/// Sines and cosines of pi f x for each coordinate x in [-1, 1] and frequency f, num_bands of them
/// spaced linearly from 1 to half of the dimension's max_resolution. Channels: the coordinates, if
/// concat_pos; all sines, those of the first dimension first; all cosines, unless sine_only.
///
/// positions: float32 on the CPU, [N, dimensions]; max_resolution: one for each dimension. Returns
/// float32 on the CPU, [N, channels], in upstream's order of operations: arguments reach 5e4, where
/// another order gives another result. Throws c10::Error for a shape that does not fit.
/// Source: modeling_perceiver.py, generate_fourier_features, Transformers 4.37.2.
at::Tensor fourier_features(const at::Tensor& positions,
                            at::IntArrayRef max_resolution,
                            int64_t num_bands,
                            bool concat_pos,
                            bool sine_only);

/// fourier_features of every point of a grid, row by row; coordinates are linspace(-1, 1, size).
/// feature_map: [B, sizes..., C], of which the sizes count, one for each of max_resolution. Returns
/// [N, channels] in the dtype and on the device of feature_map, N the product of the sizes. Throws
/// c10::Error for a shape that does not fit.
at::Tensor fourier_features_of_grid(const at::Tensor& feature_map,
                                    at::IntArrayRef max_resolution,
                                    int64_t num_bands,
                                    bool concat_pos,
                                    bool sine_only);

namespace composite {

at::Tensor fourier_features_of_grid(const at::Tensor& feature_map,
                                    at::IntArrayRef max_resolution,
                                    int64_t num_bands,
                                    bool concat_pos,
                                    bool sine_only);

}  // namespace composite
}  // namespace vizoo::ops
