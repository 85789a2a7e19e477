#include "vizoo/kernels/na2d_cpu.h"

#include <algorithm>

#include "vizoo/kernels/na2d_cpu_plan.h"
#include "vizoo/kernels/na2d_cpu_tables.h"

namespace vizoo::kernels {
namespace {

// Enough tasks for any number of threads and for sums of moderate length.
constexpr int64_t kBackwardTasks = 256;

// The widest registers of any instruction set, and what alignment of each part of a workspace adds.
constexpr std::size_t kAlignment = 64;
constexpr std::size_t kParts = 48;

// Queries that are worked on together (na2d_cpu_task.h).
constexpr std::size_t kBatch = 8;

std::size_t padded_token(const Na2dShape& shape, std::size_t element_size) {
  const std::size_t bytes = static_cast<std::size_t>(shape.head_dim) * element_size;
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

std::size_t window(const Na2dShape& shape, std::size_t element_size) {
  constexpr std::size_t kBlock = 8;
  const auto columns = static_cast<std::size_t>(shape.kernel_size[1]);
  const std::size_t row = (columns + kBlock - 1) / kBlock * kBlock;
  return static_cast<std::size_t>(shape.kernel_size[0]) * row * element_size + kAlignment;
}

const Na2dCpuTables& tables(CpuCapability capability) {
#if defined(__x86_64__)
  if (capability == CpuCapability::avx512) return na2d_cpu_tables_avx512();
  if (capability == CpuCapability::avx2) return na2d_cpu_tables_avx2();
#else
  (void)capability;
#endif
  return na2d_cpu_tables_portable();
}

}  // namespace

CpuCapability cpu_capability() {
#if defined(__x86_64__)
  static const CpuCapability capability = [] {
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (avx2 && avx512) return CpuCapability::avx512;
    return avx2 ? CpuCapability::avx2 : CpuCapability::portable;
  }();
  return capability;
#else
  return CpuCapability::portable;
#endif
}

template <>
const Na2dCpuKernels<float>& na2d_cpu_kernels<float>(CpuCapability capability) {
  return tables(capability).float32;
}
template <>
const Na2dCpuKernels<double>& na2d_cpu_kernels<double>(CpuCapability capability) {
  return tables(capability).float64;
}
template <>
const Na2dCpuKernels<Float16>& na2d_cpu_kernels<Float16>(CpuCapability capability) {
  return tables(capability).float16;
}
template <>
const Na2dCpuKernels<BFloat16>& na2d_cpu_kernels<BFloat16>(CpuCapability capability) {
  return tables(capability).bfloat16;
}

int64_t forward_tasks(const Na2dShape& shape) {
  return shape.batch * shape.heads * shape.dilation[0] * forward_row_blocks(shape);
}

int64_t backward_tasks(const Na2dShape& shape) {
  const int64_t items_of_head = shape.batch * shape.dilation[0] * backward_row_blocks(shape);
  const int64_t wanted = (kBackwardTasks + shape.heads - 1) / shape.heads;
  return shape.heads * std::min(items_of_head, wanted);
}

std::size_t forward_workspace(const Na2dShape& shape, std::size_t element_size) {
  const std::size_t token = padded_token(shape, element_size);
  const std::size_t rows = static_cast<std::size_t>(forward_key_rows(shape));
  const std::size_t copied = rows * static_cast<std::size_t>(shape.width) * token;
  return (kBatch + 2) * token + kBatch * window(shape, element_size) + 2 * copied +
         kParts * kAlignment;
}

std::size_t backward_workspace(const Na2dShape& shape, std::size_t element_size) {
  const std::size_t token = padded_token(shape, element_size);
  const std::size_t width = static_cast<std::size_t>(shape.width);
  const std::size_t read = static_cast<std::size_t>(backward_key_rows(shape)) * width * token;
  const std::size_t owned = static_cast<std::size_t>(backward_rows(shape)) * width * token;
  const std::size_t bias_rows = 2 * static_cast<std::size_t>(shape.kernel_size[0]) - 1;
  const std::size_t bias_columns = 2 * static_cast<std::size_t>(shape.kernel_size[1]) + 7;
  return (2 * kBatch + 2) * token + 2 * kBatch * window(shape, element_size) +
         bias_rows * bias_columns * element_size + 2 * read + 2 * owned + kParts * kAlignment;
}

}  // namespace vizoo::kernels
