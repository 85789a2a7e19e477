#pragma once

#include <csignal>
#include <vector>

namespace vizoo {

/// Notes signals that ask a run to stop, as long as it lives, so that the run can save at the end
/// of its step: SIGTERM (kill, SLURM, Kubernetes) and SIGUSR1 (SLURM's --signal) do not end the
/// process then. The handlers that were there before come back at the end of the scope.
class StopSignals {
 public:
  /// Throws UsageError if there is another one, or for a signal that cannot be handled.
  explicit StopSignals(const std::vector<int>& signals = {SIGTERM, SIGUSR1});
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// The last signal that arrived, or 0. Cheap: ask at every step, and in evaluation loops too.
  int received() const;

  /// Forgets what has arrived.
  void clear();

 private:
  void restore();

  struct Previous {
    int signal;
    struct sigaction action;
  };
  std::vector<Previous> previous_;
};

}  // namespace vizoo
