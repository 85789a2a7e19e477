#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <torch/csrc/distributed/c10d/Store.hpp>

#include "vizoo/training/process_group.h"

namespace vizoo {

/// Why a group has come to an end.
struct GroupFailure {
  std::string message;  ///< of a ProcessGroupError
  std::vector<int> culprits;
};

/// Finds out, together with the monitors of the other processes, who is to blame when an operation
/// fails. It runs on a thread of its own with a connection of its own to the store, so that it
/// answers while its process computes, and so that nobody waits for a store that hangs.
///
/// As soon as one process reports a failure, each says in the store how many operations it has
/// come to, and whether it failed itself. Rank 0 waits three seconds for all of them, decides, and
/// waits until they have read what it decided.
class FailureMonitor {
 public:
  struct Options {
    int rank = 0;
    int size = 1;
    bool store_is_hosted = false;  ///< not by rank 0 but by the launcher
    std::string store_place;       ///< host:port for messages
  };

  /// Starts. `store` is used by the monitor's thread alone.
  FailureMonitor(c10::intrusive_ptr<c10d::Store> store, Options options);
  /// Leaves the thread behind if the store does not answer it.
  ~FailureMonitor();
  FailureMonitor(const FailureMonitor&) = delete;
  FailureMonitor& operator=(const FailureMonitor&) = delete;

  /// An operation begins; returns what must be called, from any thread, when it has ended.
  std::function<void()> begin_operation();

  /// Waits until `done` is true or the group has failed; false when the time is over. `done` is
  /// looked at whenever an operation ends.
  bool wait(const std::function<bool()>& done, std::chrono::milliseconds limit);

  std::optional<GroupFailure> failure() const;

  /// Reports what this process saw (`own`: that it failed itself) and waits for the decision.
  GroupFailure report(const std::string& reason, bool own);

  /// Says that this process leaves; rank 0, which hosts the store, waits for the others, at most
  /// ten seconds. False if the group has failed or operations are under way.
  bool leave();

 private:
  struct Shared;
  class Worker;

  Options options_;
  std::shared_ptr<Shared> shared_;
  std::thread thread_;
};

}  // namespace vizoo
