#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "vizoo/core/error.h"
#include "vizoo/nn/torch.h"
#include "vizoo/training/process_environment.h"

namespace vizoo {

/// Processes could not meet, or one of them died, hangs, failed or left while others wait for it.
class ProcessGroupError : public Error {
 public:
  ProcessGroupError(const std::string& message, std::vector<int> culprits)
      : Error(message), culprits_(std::move(culprits)) {}

  /// Ranks that are the cause, ascending; empty if none could be told.
  const std::vector<int>& culprits() const { return culprits_; }

 private:
  std::vector<int> culprits_;
};

/// How the tensors of all processes become one.
enum class Reduction { sum, max, min };

/// What carries tensors between processes.
enum class ProcessBackend {
  automatic,  ///< nccl for a CUDA device, else gloo
  gloo,       ///< TCP, through the CPU
  nccl        ///< between GPUs, one process for each
};

struct ProcessGroupOptions {
  /// How long processes wait for each other, when they meet and in each operation; at least 1 s.
  TORCH_ARG(std::chrono::milliseconds, timeout) = std::chrono::minutes(10);
  TORCH_ARG(ProcessBackend, backend) = ProcessBackend::automatic;
  /// Where this process computes. Tensors elsewhere are accepted too and copied there and back.
  TORCH_ARG(torch::Device, device) = torch::kCPU;
};

/// An all-reduce under way. Destroying it does not wait.
class PendingReduction {
 public:
  PendingReduction() = default;
  /// Returns when the tensor holds the result; at once if there is nothing under way. Throws
  /// ProcessGroupError as the operations of ProcessGroup do.
  void wait();

 private:
  friend class ProcessGroup;
  struct State;
  std::shared_ptr<State> state_;
};

/// Processes that work on one thing: LibTorch's c10d engine under a small face.
///
/// Every process must call the same operations in the same order, with tensors of equal shape and
/// dtype (float16, bfloat16, float32, float64, int8, uint8, int32, int64; broadcast and gathering
/// take any). Operations have no gradient. Call them from one thread at a time. All processes get
/// equal bits, and the same inputs give the same bits again. With one process they return at once.
///
/// If a process dies, hangs or leaves, the operations of all others throw ProcessGroupError: for a
/// process that is gone within some five seconds after they wait for it, for one that hangs after
/// `timeout` and five seconds more. It names the culprits: processes tell each other through the
/// store that rank 0 (or torchrun) hosts what they wait for, on a thread of their own; the culprits
/// are who said to have failed, else who says nothing, else who has come to the fewest operations.
/// If the store does not answer, it is rank 0. After that the group is of no more use; destroying
/// it does not wait for anybody, and what c10d still waits for is left behind until the process
/// ends.
class ProcessGroup {
 public:
  /// A group of this process alone.
  static std::shared_ptr<ProcessGroup> single();

  /// Meets the other processes; returns when all are there. For a world size of 1: `single()`.
  /// Unless TORCH_CPP_LOG_LEVEL is set, LibTorch then logs errors only, no warnings: those of c10d
  /// are long and say no more than the exceptions do.
  ///
  /// Throws UsageError if this build or machine lacks the backend, and for options out of range;
  /// ProcessGroupError, which names the ranks that are missing, when the time is over, and where
  /// the port is in use, two processes have one rank, or they disagree about the world size.
  static std::shared_ptr<ProcessGroup> join(const ProcessEnvironment& environment,
                                            const ProcessGroupOptions& options = {});

  ~ProcessGroup();
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  int rank() const;
  int size() const;
  torch::Device device() const;

  /// Replaces the tensor's values by those of all processes reduced; bool is refused.
  void all_reduce(torch::Tensor tensor, Reduction reduction = Reduction::sum);

  /// The same of one number, in float64.
  double all_reduce(double value, Reduction reduction = Reduction::sum);

  /// As `all_reduce` with sum, but returns at once: the tensor must not be touched before `wait`.
  /// It must be contiguous and on `device()`. These have connections of their own, so that other
  /// operations may come between in any order; among each other their order must be the same.
  PendingReduction all_reduce_async(torch::Tensor tensor);

  /// Replaces the tensor's values by those of the process `root`.
  void broadcast(torch::Tensor tensor, int root = 0);

  /// The tensors of all processes, which have the same shape: [...] -> [size, ...].
  torch::Tensor all_gather(const torch::Tensor& tensor);

  /// The rows of all processes, in the order of ranks: [n, ...] -> [sum of n, ...]; n may differ
  /// and be 0. Throws ShapeError, in all processes, if dtypes or the other axes differ.
  torch::Tensor all_gather_rows(const torch::Tensor& tensor);

  /// Returns when all processes are here.
  void barrier();

  /// Tells the others that this process gives up, and why (one line): their operations throw
  /// ProcessGroupError with that reason. For the handler of an error that only this process saw.
  /// Returns within some five seconds.
  void report_failure(const std::string& reason) noexcept;

 private:
  struct Impl;
  explicit ProcessGroup(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// What this build can use: {"Gloo"}, {"Gloo", "NCCL"}, or nothing if it was built without.
std::vector<std::string> process_backends();

}  // namespace vizoo
