#include "vizoo/training/signals.h"

#include <csignal>

#include "test/support/catch.h"
#include "vizoo/core/error.h"

using namespace vizoo;

namespace {

int caught_before = 0;
void catch_before(int signal) { caught_before = signal; }

}  // namespace

TEST_CASE("stop signals are noted, and the earlier handlers come back") {
  std::signal(SIGUSR1, catch_before);
  const auto of_catch = std::signal(SIGTERM, catch_before);  // the test program has its own
  {
    StopSignals signals;
    CHECK(signals.received() == 0);
    std::raise(SIGTERM);
    CHECK(signals.received() == SIGTERM);
    std::raise(SIGUSR1);
    CHECK(signals.received() == SIGUSR1);
    CHECK(caught_before == 0);
    signals.clear();
    CHECK(signals.received() == 0);
    CHECK_THROWS_AS(StopSignals(), UsageError);
    std::raise(SIGTERM);  // the refused one has not switched it off
    CHECK(signals.received() == SIGTERM);
  }
  std::raise(SIGUSR1);
  CHECK(caught_before == SIGUSR1);
  std::raise(SIGTERM);
  CHECK(caught_before == SIGTERM);
  std::signal(SIGUSR1, SIG_DFL);
  std::signal(SIGTERM, of_catch);
  CHECK(StopSignals().received() == 0);  // of an earlier one nothing is left
}

TEST_CASE("a signal that cannot be handled is refused, and nothing stays changed") {
  CHECK_THROWS_AS(StopSignals({SIGUSR1, SIGKILL}), UsageError);
  struct sigaction action = {};
  REQUIRE(::sigaction(SIGUSR1, nullptr, &action) == 0);
  CHECK(action.sa_handler == SIG_DFL);
  const StopSignals signals({SIGUSR1});
  CHECK(signals.received() == 0);
}
