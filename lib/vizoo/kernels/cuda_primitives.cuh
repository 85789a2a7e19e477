#pragma once

// All that the kernels of neighborhood attention ask of the hardware. Kernels call nothing else, so
// that a test can put ordinary C++ in its place and run the very same kernels on a CPU: such a
// program defines VIZOO_CUDA_EMULATION and these functions before it includes a kernel
// (test/support/cuda_emulator.h). Baseline: sm_80. Source of the instructions and of which lane
// holds which element: NVIDIA, "Parallel Thread Execution ISA", sections mma, ldmatrix, cp.async.
#if !defined(VIZOO_CUDA_EMULATION)

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

#define VIZOO_DEVICE __device__ __forceinline__
#define VIZOO_GLOBAL __global__
#define VIZOO_UNROLL _Pragma("unroll")
#define VIZOO_LAUNCH_BOUNDS(...) __launch_bounds__(__VA_ARGS__)

namespace vizoo::kernels::cuda {

VIZOO_DEVICE int thread_index() { return static_cast<int>(threadIdx.x); }
VIZOO_DEVICE int64_t block_index() { return blockIdx.x; }
VIZOO_DEVICE int block_size() { return static_cast<int>(blockDim.x); }
VIZOO_DEVICE int64_t grid_size() { return gridDim.x; }

/// The block's dynamic shared memory, aligned to 16 bytes.
VIZOO_DEVICE unsigned char* shared_memory() {
  extern __shared__ __align__(16) unsigned char shared[];
  return shared;
}

VIZOO_DEVICE void sync_threads() { __syncthreads(); }
VIZOO_DEVICE void sync_warp() { __syncwarp(); }

/// The value of lane (own ^ offset); all lanes of `mask` must call it together.
template <class V>
VIZOO_DEVICE V shuffle_xor(unsigned mask, V value, int offset) {
  return __shfl_xor_sync(mask, value, offset);
}

// ---- Numbers: element types are widened to float (double for double) for all arithmetic. --------
VIZOO_DEVICE float widen(float value) { return value; }
VIZOO_DEVICE double widen(double value) { return value; }
VIZOO_DEVICE float widen(__half value) { return __half2float(value); }
VIZOO_DEVICE float widen(__nv_bfloat16 value) { return __bfloat162float(value); }

template <class T, class V>
VIZOO_DEVICE T narrow(V value) {
  if constexpr (std::is_same_v<T, __half>) {
    return __float2half_rn(value);
  } else if constexpr (std::is_same_v<T, __nv_bfloat16>) {
    return __float2bfloat16_rn(value);
  } else {
    return value;
  }
}

VIZOO_DEVICE float exponential(float value) { return expf(value); }
VIZOO_DEVICE double exponential(double value) { return exp(value); }
VIZOO_DEVICE float logarithm(float value) { return logf(value); }
VIZOO_DEVICE double logarithm(double value) { return log(value); }
VIZOO_DEVICE float larger(float a, float b) { return fmaxf(a, b); }
VIZOO_DEVICE double larger(double a, double b) { return fmax(a, b); }

/// 2 ^ value with the special function unit: relative error 2^-22.
VIZOO_DEVICE float fast_exp2(float value) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(value));
  return result;
}

/// Two elements in a register, the first in its lower half.
template <class T>
VIZOO_DEVICE uint32_t pack(float first, float second) {
  uint32_t result;
  if constexpr (std::is_same_v<T, __half>) {
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(second), "f"(first));
  } else {
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(second), "f"(first));
  }
  return result;
}

template <class T>
VIZOO_DEVICE void unpack(uint32_t pair, float& first, float& second) {
  if constexpr (std::is_same_v<T, __half>) {
    first = __half2float(__ushort_as_half(static_cast<unsigned short>(pair & 0xffffu)));
    second = __half2float(__ushort_as_half(static_cast<unsigned short>(pair >> 16)));
  } else {  // the upper half of the float that it stands for
    first = __uint_as_float(pair << 16);
    second = __uint_as_float(pair & 0xffff0000u);
  }
}

// ---- Copies from global to shared memory that do not pass through registers.
// ---------------------
/// 16 bytes, both addresses aligned to 16.
VIZOO_DEVICE void copy_async(void* shared, const void* global) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(global) : "memory");
}
/// Ends a group of this thread's copies.
VIZOO_DEVICE void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Returns when all but this thread's `kOpen` latest groups have arrived.
template <int kOpen>
VIZOO_DEVICE void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kOpen) : "memory");
}

// ---- Tensor cores
// ---------------------------------------------------------------------------------
/// Four 8 x 8 matrices of 16-bit elements from shared memory. Lane 8 i + r gives the address of row
/// r of matrix i; every lane receives two neighbouring elements of each: row lane / 4, columns 2
/// (lane % 4) and the next.
VIZOO_DEVICE void load_matrices(uint32_t (&matrix)[4], const void* row) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(matrix[0]), "=r"(matrix[1]), "=r"(matrix[2]), "=r"(matrix[3])
               : "r"(address)
               : "memory");
}
/// As load_matrices, but a lane receives rows 2 (lane % 4) and the next, of column lane / 4.
VIZOO_DEVICE void load_matrices_transposed(uint32_t (&matrix)[4], const void* row) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(matrix[0]), "=r"(matrix[1]), "=r"(matrix[2]), "=r"(matrix[3])
               : "r"(address)
               : "memory");
}

/// c [16, 8] += a [16, 16] . b [16, 8], spread over the lanes of a warp. With g = lane / 4 and
/// t = lane % 4: c holds (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1); a holds pairs from
/// column 2t of rows g and g + 8, then from column 2t + 8 of the same; b0 holds rows 2t and 2t + 1
/// of column g, b1 rows 2t + 8 and 2t + 9.
template <class T>
VIZOO_DEVICE void multiply_add(float* c, const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  if constexpr (std::is_same_v<T, __half>) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
}

}  // namespace vizoo::kernels::cuda

#endif
