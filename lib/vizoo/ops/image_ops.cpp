#include "vizoo/ops/image_ops.h"

#include <ATen/ATen.h>

#include <cmath>

#include "vizoo/ops/find_op.h"

namespace vizoo::ops {

at::Tensor average_pool2d(const at::Tensor& input, int64_t kernel_size) {
  static const auto op = find_op<decltype(average_pool2d)>("vizoo::average_pool2d");
  return op.call(input, kernel_size);
}

at::Tensor interpolate_position_embeddings(const at::Tensor& position_embeddings,
                                           const at::Tensor& pixel_values,
                                           int64_t patch_size,
                                           bool offset,
                                           bool antialias,
                                           bool in_float32) {
  static const auto op =
      find_op<decltype(interpolate_position_embeddings)>("vizoo::interpolate_position_embeddings");
  return op.call(position_embeddings, pixel_values, patch_size, offset, antialias, in_float32);
}

at::Tensor grid_distance_bias(const at::Tensor& attention_biases,
                              int64_t resolution,
                              int64_t stride) {
  static const auto op = find_op<decltype(grid_distance_bias)>("vizoo::grid_distance_bias");
  return op.call(attention_biases, resolution, stride);
}

at::Tensor unflatten_batch_like(const at::Tensor& input, const at::Tensor& reference) {
  static const auto op = find_op<decltype(unflatten_batch_like)>("vizoo::unflatten_batch_like");
  return op.call(input, reference);
}

at::Tensor unflatten_patches(const at::Tensor& patches,
                             const at::Tensor& pixel_values,
                             int64_t patch_size) {
  static const auto op = find_op<decltype(unflatten_patches)>("vizoo::unflatten_patches");
  return op.call(patches, pixel_values, patch_size);
}

namespace composite {

at::Tensor average_pool2d(const at::Tensor& input, int64_t kernel_size) {
  TORCH_CHECK(input.dim() == 4 && input.is_floating_point(),
              "[average_pool2d] input: expected a floating-point tensor [B, C, H, W], got ",
              input.scalar_type(),
              " ",
              input.sym_sizes(),
              ".");
  TORCH_CHECK(kernel_size >= 1 && kernel_size % 2 == 1,
              "[average_pool2d] kernel_size: expected an odd integer of at least 1, got ",
              kernel_size,
              ".");
  return at::avg_pool2d(input.is_cuda() ? input.contiguous() : input,
                        {kernel_size, kernel_size},
                        /*stride=*/{1, 1},
                        /*padding=*/{kernel_size / 2, kernel_size / 2},
                        /*ceil_mode=*/false,
                        /*count_include_pad=*/false);
}

at::Tensor interpolate_position_embeddings(const at::Tensor& position_embeddings,
                                           const at::Tensor& pixel_values,
                                           int64_t patch_size,
                                           bool offset,
                                           bool antialias,
                                           bool in_float32) {
  constexpr const char* kOp = "[interpolate_position_embeddings] ";
  TORCH_CHECK(position_embeddings.dim() == 3 && position_embeddings.size(0) == 1 &&
                  position_embeddings.size(1) >= 2,
              kOp,
              "position_embeddings: expected a tensor [1, 1 + N, C], got ",
              position_embeddings.sizes(),
              ".");
  TORCH_CHECK(pixel_values.dim() == 4,
              kOp,
              "pixel_values: expected a tensor [B, C, H, W], got ",
              pixel_values.sym_sizes(),
              ".");
  TORCH_CHECK(
      patch_size >= 1, kOp, "patch_size: expected an integer of at least 1, got ", patch_size, ".");
  TORCH_CHECK(!(offset && antialias), kOp, "antialias: expected false with an offset, got true.");
  const auto image_height = pixel_values.sym_size(2).guard_int(__FILE__, __LINE__);
  const auto image_width = pixel_values.sym_size(3).guard_int(__FILE__, __LINE__);
  const int64_t height = image_height / patch_size;
  const int64_t width = image_width / patch_size;
  TORCH_CHECK(height >= 1 && width >= 1,
              kOp,
              "pixel_values: expected a height and width of at least ",
              patch_size,
              ", got ",
              pixel_values.sizes(),
              ".");
  const int64_t positions = position_embeddings.size(1) - 1;
  // A view, never the input itself: a tracer would take the two for one value.
  if (height * width == positions && image_height == image_width) {
    return at::alias(position_embeddings);
  }
  const double root = std::sqrt(static_cast<double>(positions));
  const auto side = static_cast<int64_t>(root);
  TORCH_CHECK(side * side == positions,
              kOp,
              "position_embeddings: expected a square map of patches, got ",
              positions,
              " of them.");
  // [1, N, C] -> [1, C, side, side]
  auto map =
      position_embeddings.narrow(1, 1, positions).unflatten(1, {side, side}).permute({0, 3, 1, 2});
  if (in_float32) map = map.to(at::kFloat);
  if (antialias) {
    map = at::_upsample_bicubic2d_aa(map, {height, width}, /*align_corners=*/false);
  } else if (offset) {
    constexpr double kOffset = 0.1;
    map = at::upsample_bicubic2d(map,
                                 {height, width},
                                 /*align_corners=*/false,
                                 (static_cast<double>(height) + kOffset) / root,
                                 (static_cast<double>(width) + kOffset) / root);
  } else {
    map = at::upsample_bicubic2d(map, {height, width}, /*align_corners=*/false);
  }
  // [1, C, h, w] -> [1, h * w, C]
  const auto patches = map.to(position_embeddings.scalar_type()).flatten(2).transpose(1, 2);
  return at::cat({position_embeddings.narrow(1, 0, 1), patches}, 1);
}

at::Tensor grid_distance_bias(const at::Tensor& attention_biases,
                              int64_t resolution,
                              int64_t stride) {
  constexpr const char* kOp = "[grid_distance_bias] ";
  TORCH_CHECK(resolution >= 1 && resolution <= INT16_MAX,
              kOp,
              "resolution: expected an integer from 1 to ",
              INT16_MAX,
              ", got ",
              resolution,
              ".");
  TORCH_CHECK(stride >= 1, kOp, "stride: expected an integer of at least 1, got ", stride, ".");
  TORCH_CHECK(attention_biases.dim() == 2 && attention_biases.size(1) == resolution * resolution,
              kOp,
              "attention_biases: expected a tensor [heads, ",
              resolution * resolution,
              "], got ",
              attention_biases.sizes(),
              ".");
  const auto options = attention_biases.options().dtype(at::kLong);
  const auto keys = at::arange(resolution, options);
  const auto queries = at::arange(0, resolution, stride, options);
  const auto distance = (queries.unsqueeze(1) - keys.unsqueeze(0)).abs();  // [Q, R]
  // [Q, 1, R, 1] and [1, Q, 1, R] -> [Q, Q, R, R] -> [Q^2, R^2]
  const auto index =
      (distance.unsqueeze(1).unsqueeze(3) * resolution + distance.unsqueeze(0).unsqueeze(2))
          .flatten(2, 3)
          .flatten(0, 1);
  return attention_biases.index({at::indexing::Slice(), index});
}

at::Tensor unflatten_batch_like(const at::Tensor& input, const at::Tensor& reference) {
  constexpr const char* kOp = "[unflatten_batch_like] ";
  TORCH_CHECK(reference.dim() >= 1 && reference.sym_size(0) >= 1,
              kOp,
              "reference: expected at least one row, got ",
              reference.sym_sizes(),
              ".");
  const auto batch = reference.sym_size(0);
  TORCH_CHECK(input.dim() >= 1 && input.sym_size(0) % batch == 0,
              kOp,
              "input: expected a multiple of ",
              batch,
              " rows, got ",
              input.sym_sizes(),
              ".");
  return input.unflatten_symint(0, {batch, input.sym_size(0) / batch});
}

at::Tensor unflatten_patches(const at::Tensor& patches,
                             const at::Tensor& pixel_values,
                             int64_t patch_size) {
  constexpr const char* kOp = "[unflatten_patches] ";
  TORCH_CHECK(pixel_values.dim() == 4,
              kOp,
              "pixel_values: expected a tensor [B, C, H, W], got ",
              pixel_values.sym_sizes(),
              ".");
  TORCH_CHECK(
      patch_size >= 1, kOp, "patch_size: expected an integer of at least 1, got ", patch_size, ".");
  const auto height = pixel_values.sym_size(2) / patch_size;
  const auto width = pixel_values.sym_size(3) / patch_size;
  TORCH_CHECK(patches.dim() == 3 && patches.sym_size(1) == height * width,
              kOp,
              "patches: expected a tensor [B, ",
              height * width,
              ", C], got ",
              patches.sym_sizes(),
              ".");
  return patches.unflatten_symint(1, {height, width});
}

}  // namespace composite
}  // namespace vizoo::ops
