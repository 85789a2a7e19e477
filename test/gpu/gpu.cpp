#include "test/gpu/gpu.h"

#include <algorithm>
#include <cmath>
#include <sstream>

namespace vizoo::test {
namespace {

double largest_magnitude(const at::Tensor& tensor) {
  return tensor.numel() == 0 ? 0.0 : tensor.abs().max().item<double>();
}

/// Every tensor of `tensors`, by name.
std::vector<std::pair<const char*, at::Tensor Na2dTensors::*>> members() {
  return {{"out", &Na2dTensors::out},
          {"lse", &Na2dTensors::lse},
          {"grad_query", &Na2dTensors::grad_query},
          {"grad_key", &Na2dTensors::grad_key},
          {"grad_value", &Na2dTensors::grad_value},
          {"grad_rpb", &Na2dTensors::grad_rpb}};
}

}  // namespace

at::Tensor to_gpu(const at::Tensor& tensor) {
  const auto bytes = static_cast<int64_t>(tensor.storage().nbytes());
  const auto elements = bytes / static_cast<int64_t>(tensor.element_size());
  const auto storage = tensor.as_strided({elements}, {1}, 0).to(kGpu);
  return storage.as_strided(tensor.sizes(), tensor.strides(), tensor.storage_offset());
}

Na2dCase to_gpu(const Na2dCase& problem) {
  Na2dCase copy = problem;
  for (at::Tensor* tensor : {&copy.query, &copy.key, &copy.value, &copy.grad_out}) {
    *tensor = to_gpu(*tensor);
  }
  if (copy.rpb) copy.rpb = to_gpu(*copy.rpb);
  return copy;
}

Na2dTensors to_cpu(const Na2dTensors& tensors) {
  Na2dTensors copy;
  for (const auto& [name, member] : members()) {
    if ((tensors.*member).defined()) copy.*member = (tensors.*member).cpu();
  }
  return copy;
}

std::string kernel_of(const Na2dCase& problem) {
  return ops::cuda::na2d_cuda_kernel(
      problem.query, problem.key, problem.value, problem.sizes.kernel_size, problem.sizes.dilation);
}

std::string difference_on_gpu(const char* name,
                              const at::Tensor& ours,
                              const at::Tensor& expected,
                              const at::Tensor& plain) {
  const double largest = largest_magnitude(expected);
  const double unit = std::clamp(largest, 0.01, 1.0);
  const double error = largest_magnitude(ours.to(at::kDouble) - expected);
  const double plain_error = largest_magnitude(plain.to(at::kDouble) - expected);
  double allowed = (ours.scalar_type() == at::kDouble ? 1e-9 : 1e-5) * unit;
  if (ours.scalar_type() != at::kDouble && std::isfinite(plain_error)) allowed += 2 * plain_error;
  if (error <= allowed) return "";  // false for NaN
  std::ostringstream line;
  line << "\n  " << name << ": error " << error << ", allowed " << allowed << ", largest value "
       << largest;
  return line.str();
}

std::string differences_on_gpu(const Na2dCase& problem, const Na2dTensors& ours) {
  Na2dCase wide = problem;
  wide.dtype = at::kDouble;
  for (at::Tensor* tensor : {&wide.query, &wide.key, &wide.value, &wide.grad_out}) {
    *tensor = tensor->to(at::kDouble);
  }
  if (wide.rpb) wide.rpb = wide.rpb->to(at::kDouble);
  const auto expected = run_composition(wide);
  const auto plain = run_composition(problem);
  std::string lines;
  for (const auto& [name, member] : members()) {
    if (!problem.rpb && member == &Na2dTensors::grad_rpb) continue;
    lines += difference_on_gpu(name, ours.*member, expected.*member, plain.*member);
  }
  return lines.empty() ? "" : problem.description + lines + "\n";
}

}  // namespace vizoo::test
