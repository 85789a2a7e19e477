#pragma once

// What ProcessGroup stands on: c10d behind a face without c10d's headers. There are two
// implementations: process_connection.cpp, and process_connection_absent.cpp for builds without.

#include <memory>
#include <string>
#include <vector>

#include "vizoo/training/process_group.h"

namespace vizoo {

class ProcessConnection {
 public:
  /// Operations of one channel match each other by their order; channels are independent.
  enum class Channel { foreground, gradients };

  /// An operation under way.
  class Operation {
   public:
    virtual ~Operation() = default;
  };
  using OperationPointer = std::shared_ptr<Operation>;

  /// As ProcessGroup::join, for two processes and more.
  static std::shared_ptr<ProcessConnection> join(const ProcessEnvironment& environment,
                                                 const ProcessGroupOptions& options);
  virtual ~ProcessConnection() = default;

  /// Where tensors must be: on the CPU for Gloo.
  virtual torch::Device device() const = 0;

  // All tensors contiguous and on device().
  virtual OperationPointer all_reduce(Channel channel,
                                      torch::Tensor tensor,
                                      Reduction reduction) = 0;
  virtual OperationPointer broadcast(torch::Tensor tensor, int root) = 0;
  virtual OperationPointer all_gather(std::vector<torch::Tensor> outputs, torch::Tensor input) = 0;

  /// Throws ProcessGroupError.
  virtual void wait(Operation& operation) = 0;

  /// As ProcessGroup::report_failure.
  virtual void report_failure(const std::string& reason) noexcept = 0;
};

}  // namespace vizoo
