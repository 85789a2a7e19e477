#include "vizoo/training/signals.h"

#include <atomic>
#include <cerrno>
#include <string>
#include <system_error>

#include "vizoo/core/error.h"

namespace vizoo {
namespace {

std::atomic<int> received_signal{0};
std::atomic<bool> is_listening{false};
static_assert(std::atomic<int>::is_always_lock_free, "a handler may touch nothing else");

extern "C" void note_signal(int signal) { received_signal.store(signal); }

}  // namespace

StopSignals::StopSignals(const std::vector<int>& signals) {
  if (is_listening.exchange(true)) {
    throw UsageError("training", "stop signals", "one listener at a time", "a second one");
  }
  received_signal = 0;
  struct sigaction action = {};
  action.sa_handler = note_signal;
  // Reads and writes go on after the handler: a step must not fail because somebody asked to stop.
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : signals) {
    struct sigaction before = {};
    if (::sigaction(signal, &action, &before) != 0) {
      const int error = errno;
      restore();
      throw UsageError("training",
                       "signal " + std::to_string(signal),
                       "one that can be handled",
                       quote(std::generic_category().message(error)));
    }
    previous_.push_back({signal, before});
  }
}

StopSignals::~StopSignals() { restore(); }

int StopSignals::received() const { return received_signal.load(); }

void StopSignals::clear() { received_signal = 0; }

void StopSignals::restore() {
  for (auto previous = previous_.rbegin(); previous != previous_.rend(); ++previous) {
    ::sigaction(previous->signal, &previous->action, nullptr);
  }
  previous_.clear();
  is_listening = false;
}

}  // namespace vizoo
