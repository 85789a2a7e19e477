// Every op schema is in this file, and every registration starts here: a static registrar in a file
// that nothing refers to would be dropped by the linker.
#include <torch/library.h>
#include <torch/version.h>

#include "vizoo/ops/fourier_positions.h"
#include "vizoo/ops/image_ops.h"
#include "vizoo/ops/ops.h"
#include "vizoo/ops/registration.h"
#include "vizoo/ops/window_padding.h"

namespace vizoo::ops {

void init() {}

std::string build_info() {
  std::string info = "vizoo " VIZOO_VERSION ", LibTorch " TORCH_VERSION ", ";
  return info + (probe_cuda().compiled ? "CUDA" : "CPU");
}

std::string version() { return VIZOO_VERSION; }

kernels::CudaProbe probe_cuda() { return kernels::probe_cuda(); }

}  // namespace vizoo::ops

TORCH_LIBRARY(vizoo, library) {
  library.def("build_info() -> str", [] { return vizoo::ops::build_info(); });

  library.def(
      "na2d(Tensor query, Tensor key, Tensor value, Tensor? rpb, int[2] kernel_size, "
      "int[2] dilation, float? scale=None) -> Tensor");
  library.def(
      "na2d_forward(Tensor query, Tensor key, Tensor value, Tensor? rpb, int[2] kernel_size, "
      "int[2] dilation, float? scale=None) -> (Tensor out, Tensor lse)");
  library.def(
      "na2d_backward(Tensor grad_out, Tensor query, Tensor key, Tensor value, Tensor? rpb, "
      "Tensor out, Tensor lse, int[2] kernel_size, int[2] dilation, float? scale=None) -> "
      "(Tensor grad_query, Tensor grad_key, Tensor grad_value, Tensor grad_rpb)");
  library.def(
      "na2d_qk(Tensor query, Tensor key, Tensor? rpb, int[2] kernel_size, int[2] dilation) -> "
      "Tensor");
  library.def(
      "na2d_qk_backward(Tensor grad_attn, Tensor query, Tensor key, Tensor? rpb, "
      "int[2] kernel_size, int[2] dilation) -> "
      "(Tensor grad_query, Tensor grad_key, Tensor grad_rpb)");
  library.def("na2d_av(Tensor attn, Tensor value, int[2] kernel_size, int[2] dilation) -> Tensor");
  library.def(
      "na2d_av_backward(Tensor grad_out, Tensor attn, Tensor value, int[2] kernel_size, "
      "int[2] dilation) -> (Tensor grad_attn, Tensor grad_value)");

  // The result is a view of the input where nothing has to change: (a) says so to the tracer.
  library.def("pad_to_at_least(Tensor(a) input, int[2] size) -> Tensor(a)",
              TORCH_FN(vizoo::ops::composite::pad_to_at_least));
  library.def("crop_like(Tensor(a) input, Tensor reference) -> Tensor(a)",
              TORCH_FN(vizoo::ops::composite::crop_like));

  library.def("average_pool2d(Tensor input, int kernel_size) -> Tensor",
              TORCH_FN(vizoo::ops::composite::average_pool2d));
  library.def(
      "interpolate_position_embeddings(Tensor(a) position_embeddings, Tensor pixel_values, "
      "int patch_size, bool offset, bool antialias=False, bool in_float32=True) -> Tensor(a)",
      TORCH_FN(vizoo::ops::composite::interpolate_position_embeddings));
  library.def("grid_distance_bias(Tensor attention_biases, int resolution, int stride) -> Tensor",
              TORCH_FN(vizoo::ops::composite::grid_distance_bias));
  library.def("unflatten_batch_like(Tensor(a) input, Tensor reference) -> Tensor(a)",
              TORCH_FN(vizoo::ops::composite::unflatten_batch_like));
  library.def(
      "unflatten_patches(Tensor(a) patches, Tensor pixel_values, int patch_size) -> Tensor(a)",
      TORCH_FN(vizoo::ops::composite::unflatten_patches));
  library.def(
      "fourier_features_of_grid(Tensor feature_map, int[] max_resolution, int num_bands, "
      "bool concat_pos, bool sine_only) -> Tensor",
      TORCH_FN(vizoo::ops::composite::fourier_features_of_grid));
}

TORCH_LIBRARY_IMPL(vizoo, CPU, library) { vizoo::ops::register_device_kernels(library); }
TORCH_LIBRARY_IMPL(vizoo, CUDA, library) { vizoo::ops::register_device_kernels(library); }
TORCH_LIBRARY_IMPL(vizoo, Meta, library) { vizoo::ops::register_shape_functions(library); }
TORCH_LIBRARY_IMPL(vizoo, Autograd, library) { vizoo::ops::register_gradients(library); }
TORCH_LIBRARY_IMPL(vizoo, AutocastCPU, library) { vizoo::ops::register_autocast(library); }
TORCH_LIBRARY_IMPL(vizoo, AutocastCUDA, library) { vizoo::ops::register_autocast(library); }
