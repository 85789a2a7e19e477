#include "vizoo/training/process_meeting.h"

#include <algorithm>
#include <exception>
#include <future>
#include <memory>
#include <thread>
#include <utility>

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "vizoo/training/c10d_backends.h"
#include "vizoo/training/process_group.h"
#include "vizoo/training/sockets.h"

namespace vizoo {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;
using StorePointer = c10::intrusive_ptr<c10d::Store>;
using BackendPointer = c10::intrusive_ptr<c10d::Backend>;

constexpr std::chrono::seconds kStoreAnswers(5);

std::string store_place(const ProcessEnvironment& environment) {
  return printable(environment.master_address) + ":" + std::to_string(environment.master_port);
}

// One process's way to the others. It runs on a thread of its own, see meet().
class Joiner {
 public:
  Joiner(ProcessEnvironment environment, Milliseconds timeout, bool uses_nccl)
      : environment_(std::move(environment)), timeout_(timeout), uses_nccl_(uses_nccl) {
    if (hosts_store()) {
      listener_ = environment_.listen_descriptor
                      ? Socket(*environment_.listen_descriptor)
                      : listen_at(environment_.master_address, environment_.master_port);
      environment_.master_port = listening_port(listener_.descriptor(), "VIZOO_LISTEN_FD");
    }
    if (!environment_.store_is_hosted && is_loopback(environment_.master_address)) {
      environment_.master_address = "127.0.0.1";  // what listen_at listens at
    }
  }

  Meeting join() {
    // c10d asks for the name of each address that it connects to. A name server that does not
    // answer must not keep processes of one machine waiting.
    if (is_loopback(environment_.master_address)) forget_name_servers();
    Meeting meeting;
    if (hosts_store()) {
      auto options = store_options();
      options.isServer = true;
      options.masterListenFd = listener_.release();
      meeting.server = c10::make_intrusive<c10d::TCPStore>(environment_.master_address, options);
    } else if (!wait_until_reachable(
                   environment_.master_address, environment_.master_port, deadline_)) {
      throw ProcessGroupError(
          Error("process group",
                store_place(environment_),
                environment_.store_is_hosted ? "the launcher's store there"
                                             : "rank 0 to listen there",
                "nobody within " + seconds_text(timeout_))
              .what(),
          environment_.store_is_hosted ? std::vector<int>{} : std::vector<int>{0});
    }
    meeting.store = connect();
    call_the_roll(*meeting.store);
    if (uses_nccl_) {
      meeting.foreground = make_nccl(meeting.store, "foreground");
      meeting.gradients = make_nccl(meeting.store, "gradients");
    } else {
      const auto own = local_address_towards(environment_.master_address, environment_.master_port);
      meeting.foreground = make_gloo(meeting.store, "foreground", own);
      meeting.gradients = make_gloo(meeting.store, "gradients", own);
    }
    meeting.monitor_store = connect();
    meeting.place = store_place(environment_);
    return meeting;
  }

  const ProcessEnvironment& environment() const { return environment_; }

 private:
  bool hosts_store() const { return environment_.rank == 0 && !environment_.store_is_hosted; }

  c10d::TCPStoreOptions store_options() const {
    c10d::TCPStoreOptions options;
    options.port = static_cast<uint16_t>(environment_.master_port);
    options.waitWorkers = false;
    options.timeout = timeout_;
    return options;
  }

  // The launcher's store may be older than this run: another job, or an earlier start of this one.
  StorePointer connect() const {
    return c10::make_intrusive<c10d::PrefixStore>(
        "vizoo/" + environment_.job + "/" + std::to_string(environment_.restart_count),
        c10::make_intrusive<c10d::TCPStore>(environment_.master_address, store_options()));
  }

  // Returns when all processes have said that they are there.
  void call_the_roll(c10d::Store& store) const {
    const auto own = "present/" + std::to_string(environment_.rank);
    if (store.add(own, 1) > 1) {
      throw ProcessGroupError(Error("process group",
                                    "rank " + std::to_string(environment_.rank),
                                    "one process with this rank at " + store_place(environment_),
                                    "another one",
                                    "Another job may meet there: choose another port")
                                  .what(),
                              {environment_.rank});
    }
    const auto size = std::to_string(environment_.world_size);
    const auto first = store.compareSet("world_size", "", size);
    if (first != size) {
      throw ProcessGroupError(Error("process group",
                                    "world size of rank " + std::to_string(environment_.rank),
                                    quote(first) + ", as another process says",
                                    size)
                                  .what(),
                              {environment_.rank});
    }
    store.add("present", 1);
    auto pause = Milliseconds(2);
    while (store.add("present", 0) < environment_.world_size) {
      if (Clock::now() >= deadline_) report_missing(store);
      std::this_thread::sleep_for(pause);
      pause = std::min(2 * pause, Milliseconds(100));
    }
  }

  [[noreturn]] void report_missing(c10d::Store& store) const {
    std::vector<int> missing;
    std::string names;
    for (int rank = 0; rank < environment_.world_size; ++rank) {
      if (store.check({"present/" + std::to_string(rank)})) continue;
      if (missing.size() < 16) names += (missing.empty() ? "" : ", ") + std::to_string(rank);
      if (missing.size() == 16) names += ", ...";
      missing.push_back(rank);
    }
    throw ProcessGroupError(
        Error("process group",
              "start of the processes",
              "all " + std::to_string(environment_.world_size) + " at " +
                  store_place(environment_) + " within " + seconds_text(timeout_),
              std::to_string(environment_.world_size - static_cast<int>(missing.size())) +
                  ", without " + (missing.size() == 1 ? "rank " : "ranks ") + names,
              "Who started this process (" + launcher_name(environment_.launcher) +
                  ") must start all")
            .what(),
        missing);
  }

  BackendPointer make_gloo(const StorePointer& store,
                           const std::string& name,
                           const std::string& own_address) const {
    // c10d's own limit is only the last resort: ours comes first and names who is to blame.
    return make_gloo_backend(c10::make_intrusive<c10d::PrefixStore>(name, store),
                             environment_.rank,
                             environment_.world_size,
                             timeout_ + kStoreAnswers,
                             own_address);
  }

  BackendPointer make_nccl(const StorePointer& store, const std::string& name) const {
    return make_nccl_backend(c10::make_intrusive<c10d::PrefixStore>(name, store),
                             environment_.rank,
                             environment_.world_size,
                             timeout_ + kStoreAnswers);
  }

  ProcessEnvironment environment_;
  Milliseconds timeout_;
  bool uses_nccl_;
  Socket listener_;
  Clock::time_point deadline_ = Clock::now() + timeout_;
};

}  // namespace

std::string first_line(const char* text) {
  const std::string line = text;
  return line.substr(0, line.find('\n'));
}

std::string seconds_text(Milliseconds time) { return std::to_string(time.count() / 1000) + " s"; }

// Joins on another thread, since a request to a store that is stopped waits for ever.
Meeting meet(const ProcessEnvironment& original, Milliseconds timeout, bool uses_nccl) {
  const auto joiner = std::make_shared<Joiner>(original, timeout, uses_nccl);
  auto result = std::make_shared<std::promise<Meeting>>();
  auto meeting = result->get_future();
  std::thread([joiner, result] {
    try {
      result->set_value(joiner->join());
    } catch (...) {
      result->set_exception(std::current_exception());
    }
  }).detach();
  const auto& environment = joiner->environment();
  if (meeting.wait_for(timeout + kStoreAnswers) != std::future_status::ready) {
    throw ProcessGroupError(Error("process group",
                                  "store at " + store_place(environment),
                                  "an answer within " + seconds_text(timeout),
                                  "none: who hosts it hangs")
                                .what(),
                            environment.store_is_hosted ? std::vector<int>{} : std::vector<int>{0});
  }
  try {
    return meeting.get();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw ProcessGroupError(Error::describe("process group",
                                            "start at " + store_place(environment),
                                            printable(first_line(error.what()), 300)),
                            {});
  }
}

}  // namespace vizoo
