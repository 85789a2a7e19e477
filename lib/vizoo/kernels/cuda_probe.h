#pragma once

#include <string>
#include <vector>

namespace vizoo::kernels {

/// What `vizoo doctor` reports about one GPU.
struct CudaDevice {
  std::string name;
  int compute_capability_major = 0;
  int compute_capability_minor = 0;
  std::size_t memory_bytes = 0;
  /// Empty if a kernel of this build ran on the device and gave the right answer, else the reason:
  /// "no kernel image is available" when the build lacks the device's architecture.
  std::string problem;
};

/// The CUDA side of this build.
struct CudaProbe {
  bool compiled = false;    ///< false in a CPU build; the rest is then empty
  int toolkit_version = 0;  ///< as CUDART_VERSION: 13000 for 13.0
  int driver_version = 0;   ///< newest CUDA that the driver supports, 0 without a driver
  std::string problem;      ///< why no device could be listed, if so
  std::vector<CudaDevice> devices;
};

/// Lists the GPUs and runs a small kernel on each. Never throws; leaves the current device as it
/// was.
CudaProbe probe_cuda();

}  // namespace vizoo::kernels
