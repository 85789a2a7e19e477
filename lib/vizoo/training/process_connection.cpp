#include "vizoo/training/process_connection.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <c10/util/Logging.h>

#include "vizoo/training/c10d_backends.h"
#include "vizoo/training/failure_monitor.h"
#include "vizoo/training/process_meeting.h"

namespace vizoo {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

// What c10d logs about a process that is gone are stack traces; our error says what happened.
void quieten_log() {
#ifndef C10_USE_GLOG
  if (std::getenv("TORCH_CPP_LOG_LEVEL") != nullptr) return;
  FLAGS_caffe2_log_level = std::max(FLAGS_caffe2_log_level, static_cast<int>(c10::GLOG_ERROR));
#endif
}

// Keeps what must not be destroyed: c10d would wait for operations that nobody will answer.
void abandon(Meeting meeting) {
  static std::mutex mutex;
  static auto& abandoned = *new std::vector<Meeting>();
  const std::lock_guard<std::mutex> lock(mutex);
  abandoned.push_back(std::move(meeting));
}

c10d::ReduceOp::RedOpType c10d_operation(Reduction reduction) {
  switch (reduction) {
    case Reduction::sum:
      return c10d::ReduceOp::SUM;
    case Reduction::max:
      return c10d::ReduceOp::MAX;
    case Reduction::min:
      return c10d::ReduceOp::MIN;
  }
  return c10d::ReduceOp::SUM;
}

class C10dOperation : public ProcessConnection::Operation {
 public:
  explicit C10dOperation(c10::intrusive_ptr<c10d::Work> under_way) : work(std::move(under_way)) {}

  c10::intrusive_ptr<c10d::Work> work;
  // Gloo says when it has ended, and why; NCCL is asked.
  std::shared_ptr<std::atomic<bool>> ended = std::make_shared<std::atomic<bool>>(false);
};

class C10dConnection : public ProcessConnection {
 public:
  C10dConnection(Meeting meeting,
                 const ProcessEnvironment& environment,
                 Milliseconds timeout,
                 torch::Device device,
                 bool uses_nccl)
      : meeting_(std::move(meeting)),
        timeout_(timeout),
        device_(device),
        uses_nccl_(uses_nccl),
        exceptions_(std::uncaught_exceptions()),
        monitor_(meeting_.monitor_store,
                 {environment.rank,
                  environment.world_size,
                  environment.store_is_hosted,
                  meeting_.place}) {}

  ~C10dConnection() override {
    if (std::uncaught_exceptions() > exceptions_) report_failure("it left because of an error");
    if (monitor_.leave()) return;
    abandon(std::move(meeting_));
  }

  torch::Device device() const override { return device_; }

  OperationPointer all_reduce(Channel channel, torch::Tensor tensor, Reduction reduction) override {
    c10d::AllreduceOptions options;
    options.reduceOp = c10d_operation(reduction);
    const auto& backend = channel == Channel::foreground ? meeting_.foreground : meeting_.gradients;
    std::vector<torch::Tensor> tensors = {std::move(tensor)};
    return start([&] { return backend->allreduce(tensors, options); });
  }

  OperationPointer broadcast(torch::Tensor tensor, int root) override {
    c10d::BroadcastOptions options;
    options.rootRank = root;
    std::vector<torch::Tensor> tensors = {std::move(tensor)};
    return start([&] { return meeting_.foreground->broadcast(tensors, options); });
  }

  OperationPointer all_gather(std::vector<torch::Tensor> outputs, torch::Tensor input) override {
    std::vector<std::vector<torch::Tensor>> output_lists = {std::move(outputs)};
    std::vector<torch::Tensor> inputs = {std::move(input)};
    return start([&] { return meeting_.foreground->allgather(output_lists, inputs); });
  }

  void wait(Operation& waited) override {
    auto& operation = static_cast<C10dOperation&>(waited);
    const auto has_ended = [&] { return operation.ended->load(); };
    const auto deadline = Clock::now() + timeout_;
    while (!has_ended() && !monitor_.failure() && Clock::now() < deadline) {
      if (uses_nccl_) {
        if (operation.work->isCompleted()) operation.ended->store(true);
        std::this_thread::yield();
      } else {
        monitor_.wait(
            has_ended,
            std::chrono::duration_cast<Milliseconds>(deadline - Clock::now()) + Milliseconds(1));
      }
    }
    if (!has_ended()) fail("no end of an operation within " + seconds_text(timeout_));
    try {
      operation.work->wait();
    } catch (const std::exception& error) {
      fail(first_line(error.what()));
    }
  }

  void report_failure(const std::string& reason) noexcept override {
    try {
      monitor_.report(reason, /*own=*/true);
    } catch (const std::exception&) {
      // The others will find out by themselves.
    }
  }

 private:
  // Throws what the processes agree on as the reason; `seen`: by this one.
  [[noreturn]] void fail(const std::string& seen) {
    auto failure = monitor_.failure();
    if (!failure) failure = monitor_.report(seen, /*own=*/false);
    throw ProcessGroupError(failure->message, failure->culprits);
  }

  template <class Begin>
  OperationPointer start(Begin begin) {
    // c10d records the operations of all groups of a process together, without a lock of its own.
    static std::mutex recording;
    if (const auto failure = monitor_.failure()) fail("");
    auto end = monitor_.begin_operation();
    std::shared_ptr<C10dOperation> operation;
    try {
      std::unique_lock<std::mutex> lock(recording, std::defer_lock);
      if (!uses_nccl_) lock.lock();  // NCCL may wait for the others here
      operation = std::make_shared<C10dOperation>(begin());
    } catch (const std::exception& error) {
      end();
      fail(first_line(error.what()));
    }
    if (uses_nccl_) {
      end();
    } else {
      operation->work->getFuture()->addCallback(
          [ended = operation->ended, end](c10::ivalue::Future&) {
            ended->store(true);
            end();
          });
    }
    return operation;
  }

  Meeting meeting_;
  Milliseconds timeout_;
  torch::Device device_;
  bool uses_nccl_;
  int exceptions_;  // in flight when the group was made
  FailureMonitor monitor_;
};

}  // namespace

std::shared_ptr<ProcessConnection> ProcessConnection::join(const ProcessEnvironment& environment,
                                                           const ProcessGroupOptions& options) {
  const bool uses_nccl =
      options.backend() == ProcessBackend::nccl ||
      (options.backend() == ProcessBackend::automatic && options.device().is_cuda());
  if (uses_nccl && (!has_nccl_backend() || !options.device().is_cuda())) {
    throw UsageError("process group",
                     "backend",
                     has_nccl_backend() ? "gloo for tensors on the CPU"
                                        : "gloo, since this build of vizoo has no NCCL",
                     "nccl for " + options.device().str());
  }
  quieten_log();
  auto meeting = meet(environment, options.timeout(), uses_nccl);
  return std::make_shared<C10dConnection>(std::move(meeting),
                                          environment,
                                          options.timeout(),
                                          uses_nccl ? options.device() : torch::Device(torch::kCPU),
                                          uses_nccl);
}

std::vector<std::string> process_backends() {
  if (has_nccl_backend()) return {"Gloo", "NCCL"};
  return {"Gloo"};
}

}  // namespace vizoo
