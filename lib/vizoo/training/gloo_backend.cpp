// The only file that sees Gloo's headers. Those of Debian are older than the Gloo inside LibTorch;
// nothing of them is used but pointers, which LibTorch makes and takes.
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <cstdlib>

#include "vizoo/training/c10d_backends.h"

namespace vizoo {

c10::intrusive_ptr<c10d::Backend> make_gloo_backend(const c10::intrusive_ptr<c10d::Store>& store,
                                                    int rank,
                                                    int size,
                                                    std::chrono::milliseconds timeout,
                                                    const std::string& own_address) {
  auto options = c10d::ProcessGroupGloo::Options::create(timeout);
  options->threads = 1;  // operations of one channel follow each other
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
  options->devices.push_back(interface != nullptr && *interface != '\0'
                                 ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
                                 : c10d::ProcessGroupGloo::createDeviceForHostname(own_address));
  return c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, options);
}

}  // namespace vizoo
