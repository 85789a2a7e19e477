#include "vizoo/ops/na2d_cuda.h"

#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>

#include <array>
#include <atomic>

#include "vizoo/ops/na2d_composition.h"
#include "vizoo/ops/na2d_cuda_arguments.h"

namespace vizoo::ops::cuda {
namespace {

constexpr int kDefault = -1;
constexpr std::array<const char*, 3> kKernelNames{"general", "dense_group", "gathered_tile"};
std::atomic<int> requested_kernel{kDefault};

bool is_aligned(const at::Tensor& tensor) {
  for (int64_t axis = 0; axis < 4; ++axis) {
    if (tensor.stride(axis) % 8 != 0) return false;
  }
  return reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 16 == 0;
}

int architecture_of(const at::Tensor& tensor) {
  int major = 0;
  int minor = 0;
  const int device = tensor.get_device();
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
  return 10 * major + minor;
}

// The kernel for the problem; none if only the composition can run it.
std::optional<Na2dCudaKernel> kernel_for(const Na2dShape& shape,
                                         std::initializer_list<at::Tensor> inputs) {
  const at::Tensor& query = *inputs.begin();
  const auto element = element_of(query);
  const int requested = requested_kernel.load();
  auto kernel = requested == kDefault
                    ? kernels::choose_na2d_kernel(shape, element, architecture_of(query))
                    : static_cast<Na2dCudaKernel>(requested);
  if (kernel != Na2dCudaKernel::general) {
    bool aligned = true;
    for (const auto& tensor : inputs) aligned = aligned && is_aligned(tensor);
    if (kernels::kernel_fits(kernel, shape, element, aligned)) return kernel;
    kernel = Na2dCudaKernel::general;
  }
  if (kernels::kernel_fits(kernel, shape, element, false)) return kernel;
  return std::nullopt;
}

// out, and lse unless that is null. False if no kernel fits.
bool run_forward(const char* op,
                 const at::Tensor& query,
                 const at::Tensor& key,
                 const at::Tensor& value,
                 const OptionalTensor& rpb,
                 const Na2dShape& shape,
                 const at::Tensor& out,
                 void* lse) {
  const auto kernel = kernel_for(shape, {query, key, value});
  if (!kernel) return false;
  if (query.numel() == 0) return true;
  const auto bias = contiguous(rpb);
  kernels::Na2dForwardParameters<void> parameters;
  parameters.shape = shape;
  parameters.query = input(query, kFused);
  parameters.key = input(key, kFused);
  parameters.value = input(value, kFused);
  parameters.rpb = data_or_null(bias);
  parameters.out = output(out, kFused);
  parameters.lse = lse;
  check_launch(
      op, kernels::na2d_cuda_forward(parameters, element_of(query), *kernel, stream_of(query)));
  return true;
}

}  // namespace

at::Tensor na2d(const at::Tensor& query,
                const at::Tensor& key,
                const at::Tensor& value,
                const OptionalTensor& rpb,
                at::IntArrayRef kernel_size,
                at::IntArrayRef dilation,
                double scale) {
  const c10::cuda::CUDAGuard guard(query.device());
  const auto shape = make_shape(query, kFused, kernel_size, dilation, scale);
  auto out = empty_like_contiguous(query);
  if (run_forward("na2d", query, key, value, rpb, shape, out, nullptr)) return out;
  return std::get<0>(
      composition::na2d_forward(query, key, value, rpb, kernel_size, dilation, scale));
}

std::tuple<at::Tensor, at::Tensor> na2d_forward(const at::Tensor& query,
                                                const at::Tensor& key,
                                                const at::Tensor& value,
                                                const OptionalTensor& rpb,
                                                at::IntArrayRef kernel_size,
                                                at::IntArrayRef dilation,
                                                double scale) {
  const c10::cuda::CUDAGuard guard(query.device());
  const auto shape = make_shape(query, kFused, kernel_size, dilation, scale);
  const auto type = query.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  auto out = empty_like_contiguous(query);
  auto lse = at::empty(query.sizes().slice(0, 4), query.options().dtype(type));
  if (run_forward("na2d_forward", query, key, value, rpb, shape, out, lse.mutable_data_ptr())) {
    return {out, lse};
  }
  return composition::na2d_forward(query, key, value, rpb, kernel_size, dilation, scale);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> na2d_backward(
    const at::Tensor& grad_out_any,
    const at::Tensor& query,
    const at::Tensor& key,
    const at::Tensor& value,
    const OptionalTensor& rpb,
    const at::Tensor& out_any,
    const at::Tensor& lse_any,
    at::IntArrayRef kernel_size,
    at::IntArrayRef dilation,
    double scale) {
  const c10::cuda::CUDAGuard guard(query.device());
  const auto shape = make_shape(query, kFused, kernel_size, dilation, scale);
  const auto grad_out = contiguous_channels(grad_out_any);
  const auto out = contiguous_channels(out_any);
  const auto lse = lse_any.contiguous();
  const auto kernel = kernel_for(shape, {query, key, value, grad_out, out});
  if (!kernel) {
    return composition::na2d_backward(
        grad_out, query, key, value, rpb, lse, kernel_size, dilation, scale);
  }
  auto grad_query = empty_like_contiguous(query);
  auto grad_key = empty_like_contiguous(key);
  auto grad_value = empty_like_contiguous(value);
  auto grad_rpb =
      has(rpb) ? at::empty(rpb->sizes(), rpb->options()) : at::empty({0}, query.options());
  if (query.numel() == 0) return {grad_query, grad_key, grad_value, grad_rpb.zero_()};

  const auto element = element_of(query);
  const auto bias = contiguous(rpb);
  const auto workspace = empty_workspace(
      kernels::backward_workspace_bytes(*kernel, shape, element, bias.has_value()), query);
  kernels::Na2dBackwardParameters<void> parameters;
  parameters.shape = shape;
  parameters.grad_out = input(grad_out, kFused);
  parameters.query = input(query, kFused);
  parameters.key = input(key, kFused);
  parameters.value = input(value, kFused);
  parameters.out = input(out, kFused);
  parameters.rpb = data_or_null(bias);
  parameters.lse = lse.const_data_ptr();
  parameters.grad_query = output(grad_query, kFused);
  parameters.grad_key = output(grad_key, kFused);
  parameters.grad_value = output(grad_value, kFused);
  check_launch("na2d_backward",
               kernels::na2d_cuda_backward(parameters,
                                           has(rpb) ? grad_rpb.mutable_data_ptr() : nullptr,
                                           workspace.mutable_data_ptr(),
                                           element,
                                           *kernel,
                                           stream_of(query)));
  return {grad_query, grad_key, grad_value, grad_rpb};
}

void set_na2d_cuda_kernel(const std::string& name) {
  int kernel = kDefault;
  for (size_t i = 0; i < kKernelNames.size(); ++i) {
    if (name == kKernelNames[i]) kernel = static_cast<int>(i);
  }
  TORCH_CHECK(kernel != kDefault || name == "default",
              "[set_na2d_cuda_kernel] name: expected general, dense_group, gathered_tile or "
              "default, got \"",
              name,
              "\".");
  requested_kernel.store(kernel);
}

std::string na2d_cuda_kernel(const at::Tensor& query,
                             const at::Tensor& key,
                             const at::Tensor& value,
                             at::IntArrayRef kernel_size,
                             at::IntArrayRef dilation) {
  const auto shape = make_shape(query, kFused, kernel_size, dilation);
  const auto kernel = kernel_for(shape, {query, key, value});
  return kernel ? kKernelNames[static_cast<size_t>(*kernel)] : "composition";
}

}  // namespace vizoo::ops::cuda
