#pragma once

// Steps of image models that ATen computes, as ops of their own: what depends on sizes or on the
// device is decided when a traced model runs, not when it is traced.

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace vizoo::ops {

/// Mean over a kernel_size x kernel_size window around each pixel, as far as it lies inside of the
/// image: y[b, c, i, j] = mean of x[b, c, i', j'] with |i - i'|, |j - j'| <= kernel_size / 2.
/// input: [B, C, H, W], floating point; returns the same shape. kernel_size: odd, at least 1.
/// Throws c10::Error for anything else.
///
/// torch.nn.AvgPool2d(kernel_size, stride=1, padding=kernel_size // 2, count_include_pad=False),
/// whose gradient on CUDA is wrong for channels-last tensors in LibTorch 2.11 (pytorch#188345):
/// there the input is made contiguous first.
at::Tensor average_pool2d(const at::Tensor& input, int64_t kernel_size);

/// Position embeddings of a vision transformer for images of another size than the table is for.
///
/// position_embeddings: [1, 1 + N, C], the class token's first, then a square map of N patches, row
/// by row; pixel_values: [B, channels, H, W], of which the size counts. Returns
/// [1, 1 + (H / patch_size) (W / patch_size), C]: a view of the table for N patches of a square
/// image, else the map resized bicubically (a = -0.75), the class token's as it is.
///
/// offset true: with the scale (H / patch_size + 0.1) / sqrt(N), as DINOv2's authors and
/// Transformers up to 4.44 (modeling_dinov2.py, interpolate_pos_encoding); false: by the sizes
/// alone, as later versions. antialias true, by the sizes only: with the filter widened where the
/// map shrinks, as DINOv2 with registers. in_float32 true: whatever the table's type, as DINOv2;
/// false: in that type, as OWLv2 (4.48 and up) and Perceiver (5.4 and up). Throws c10::Error for a
/// table that is no square and for images below one patch.
at::Tensor interpolate_position_embeddings(const at::Tensor& position_embeddings,
                                           const at::Tensor& pixel_values,
                                           int64_t patch_size,
                                           bool offset,
                                           bool antialias = false,
                                           bool in_float32 = true);

/// A learned bias for each distance between two tokens of a square grid, as an attention map.
///
/// attention_biases: [heads, R^2], entry |dy| R + |dx|, R = resolution. Returns
/// [heads, Q^2, R^2], Q = (R - 1) / stride + 1: the query in row y and column x stands at
/// (stride y, stride x). Source: LeViT (https://arxiv.org/abs/2104.01136), section 4.2.
/// Throws c10::Error unless there are R^2 biases a head and stride >= 1.
at::Tensor grid_distance_bias(const at::Tensor& attention_biases,
                              int64_t resolution,
                              int64_t stride);

/// The rows of a batch that belong together: [B Q, ...] -> [B, Q, ...], a view with B =
/// reference.size(0). Throws c10::Error unless B divides the number of rows.
at::Tensor unflatten_batch_like(const at::Tensor& input, const at::Tensor& reference);

/// The patches of images as a map: [B, (H / p) (W / p), C] -> [B, H / p, W / p, C], a view, for
/// pixel_values [B, channels, H, W] and p = patch_size, quotients rounded down. Throws c10::Error
/// for another number of patches.
at::Tensor unflatten_patches(const at::Tensor& patches,
                             const at::Tensor& pixel_values,
                             int64_t patch_size);

namespace composite {

at::Tensor average_pool2d(const at::Tensor& input, int64_t kernel_size);
at::Tensor interpolate_position_embeddings(const at::Tensor& position_embeddings,
                                           const at::Tensor& pixel_values,
                                           int64_t patch_size,
                                           bool offset,
                                           bool antialias,
                                           bool in_float32);
at::Tensor grid_distance_bias(const at::Tensor& attention_biases,
                              int64_t resolution,
                              int64_t stride);
at::Tensor unflatten_batch_like(const at::Tensor& input, const at::Tensor& reference);
at::Tensor unflatten_patches(const at::Tensor& patches,
                             const at::Tensor& pixel_values,
                             int64_t patch_size);

}  // namespace composite
}  // namespace vizoo::ops
