#pragma once

// The makers of c10d's backends, one file each, since each needs headers of its own.

#include <chrono>
#include <string>

#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace vizoo {

/// Connects all processes over TCP; `own_address`: of this machine, for the others.
c10::intrusive_ptr<c10d::Backend> make_gloo_backend(const c10::intrusive_ptr<c10d::Store>& store,
                                                    int rank,
                                                    int size,
                                                    std::chrono::milliseconds timeout,
                                                    const std::string& own_address);

/// Whether this build has NCCL.
bool has_nccl_backend();

/// Throws UsageError if this build has none.
c10::intrusive_ptr<c10d::Backend> make_nccl_backend(const c10::intrusive_ptr<c10d::Store>& store,
                                                    int rank,
                                                    int size,
                                                    std::chrono::milliseconds timeout);

}  // namespace vizoo
