#include <cuda_runtime.h>

#include "vizoo/kernels/cuda_probe.h"

namespace vizoo::kernels {
namespace {

constexpr int kProbeThreads = 64;

// out[i] = i * i: enough to tell a build for this architecture from one without it.
__global__ void square_indices(int* out) {
  out[threadIdx.x] = static_cast<int>(threadIdx.x * threadIdx.x);
}

std::string run_probe_kernel() {
  int* on_device = nullptr;
  auto error = cudaMalloc(&on_device, kProbeThreads * sizeof(int));
  if (error != cudaSuccess) return cudaGetErrorString(error);
  square_indices<<<1, kProbeThreads>>>(on_device);
  error = cudaGetLastError();
  int on_host[kProbeThreads] = {};
  if (error == cudaSuccess) {
    error = cudaMemcpy(on_host, on_device, sizeof(on_host), cudaMemcpyDeviceToHost);
  }
  cudaFree(on_device);
  if (error != cudaSuccess) return cudaGetErrorString(error);
  for (int i = 0; i < kProbeThreads; ++i) {
    if (on_host[i] != i * i) return "the probe kernel gave a wrong result";
  }
  return {};
}

}  // namespace

CudaProbe probe_cuda() {
  CudaProbe probe;
  probe.compiled = true;
  probe.toolkit_version = CUDART_VERSION;
  cudaDriverGetVersion(&probe.driver_version);
  int count = 0;
  const auto error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) {
    probe.problem = cudaGetErrorString(error);
    return probe;
  }
  int previous = 0;
  cudaGetDevice(&previous);
  for (int i = 0; i < count; ++i) {
    CudaDevice device;
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, i) == cudaSuccess && cudaSetDevice(i) == cudaSuccess) {
      device.name = properties.name;
      device.compute_capability_major = properties.major;
      device.compute_capability_minor = properties.minor;
      device.memory_bytes = properties.totalGlobalMem;
      device.problem = run_probe_kernel();
    } else {
      device.problem = cudaGetErrorString(cudaGetLastError());
    }
    probe.devices.push_back(device);
  }
  cudaSetDevice(previous);
  return probe;
}

}  // namespace vizoo::kernels
