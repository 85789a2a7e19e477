#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "vizoo/training/process_group.h"
#include "vizoo/training/sockets.h"

namespace vizoo::test {

/// Environments of `size` processes that meet at a free port of the loopback interface.
inline std::vector<ProcessEnvironment> loopback_environments(int size) {
  auto listener = listen_at("127.0.0.1", 0);
  std::vector<ProcessEnvironment> environments(static_cast<std::size_t>(size));
  for (int rank = 0; rank < size; ++rank) {
    auto& environment = environments[static_cast<std::size_t>(rank)];
    environment.rank = environment.local_rank = rank;
    environment.world_size = environment.local_world_size = size;
    environment.master_port = listening_port(listener.descriptor(), "test");
  }
  environments[0].listen_descriptor = listener.release();
  return environments;
}

/// Calls `body` in one thread for each environment and returns the messages of what they threw, in
/// that order; empty for those that threw nothing. Catch's macros must not be used in `body`.
inline std::vector<std::string> run_in_threads(
    const std::vector<ProcessEnvironment>& environments,
    const std::function<void(const ProcessEnvironment&)>& body) {
  std::vector<std::string> messages(environments.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < environments.size(); ++i) {
    threads.emplace_back([&, i] {
      try {
        body(environments[i]);
      } catch (const std::exception& error) {
        messages[i] = error.what();
        if (messages[i].empty()) messages[i] = "an exception without a message";
      }
    });
  }
  for (auto& thread : threads) thread.join();
  return messages;
}

/// The same with a group that the threads are the processes of.
inline std::vector<std::string> run_as_group(
    int size,
    const std::function<void(const std::shared_ptr<ProcessGroup>&)>& body,
    const ProcessGroupOptions& options = ProcessGroupOptions().timeout(std::chrono::minutes(1))) {
  return run_in_threads(loopback_environments(size), [&](const ProcessEnvironment& environment) {
    body(ProcessGroup::join(environment, options));
  });
}

/// What run_as_group returns if nothing was thrown.
inline std::vector<std::string> no_messages(int size) {
  return std::vector<std::string>(static_cast<std::size_t>(size));
}

}  // namespace vizoo::test
