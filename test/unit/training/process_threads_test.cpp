// Process groups whose processes are threads of this one.
#include "test/support/process_threads.h"

#include <atomic>

#include "test/support/catch.h"
#include "test/support/error_message.h"

using namespace vizoo;
using std::chrono::milliseconds;
using test::contains;
using test::error_message;
using test::loopback_environments;
using test::no_messages;
using test::run_as_group;
using test::run_in_threads;

namespace {

ProcessGroupOptions within(milliseconds timeout) { return ProcessGroupOptions().timeout(timeout); }

}  // namespace

TEST_CASE("operations of three processes") {
  std::vector<torch::Tensor> sums(3);
  std::vector<torch::Tensor> rows(3);
  std::vector<torch::Tensor> sent(3);
  const auto messages = run_as_group(3, [&](const std::shared_ptr<ProcessGroup>& group) {
    const auto rank = static_cast<std::size_t>(group->rank());
    sums[rank] = torch::tensor({1.0, 0.1 * group->rank()});
    group->all_reduce(sums[rank]);
    rows[rank] = group->all_gather_rows(torch::full({group->rank(), 2}, group->rank()));
    sent[rank] = torch::full({2, 2}, group->rank() == 1);  // bool
    group->broadcast(sent[rank].t(), 1);
  });
  CHECK(messages == no_messages(3));
  for (std::size_t rank = 0; rank < 3; ++rank) {
    CHECK(sums[rank].equal(sums[0]));
    CHECK(sums[rank].allclose(torch::tensor({3.0, 0.3})));
    CHECK(rows[rank].equal(torch::tensor({1, 1, 2, 2, 2, 2}).view({3, 2})));
    CHECK(sent[rank].all().item<bool>());
  }
}

TEST_CASE("a reduction in the background wants a contiguous tensor") {
  const auto messages = run_as_group(2, [](const std::shared_ptr<ProcessGroup>& group) {
    group->all_reduce_async(torch::zeros({2, 3}).t());
  });
  for (const auto& message : messages) {
    CHECK(message.rfind("[process group] tensor to reduce: expected a contiguous one on cpu", 0) ==
          0);
  }
}

TEST_CASE("a backend that this build lacks is refused before anything starts") {
  const auto environment = loopback_environments(2)[1];
  const auto message = error_message<UsageError>([&] {
    ProcessGroup::join(environment, ProcessGroupOptions().backend(ProcessBackend::nccl));
  });
  CHECK(message.rfind("[process group] backend: expected gloo", 0) == 0);
  CHECK(contains(message, "got nccl for cpu"));
}

TEST_CASE("a port in use is named") {
  const auto listener = listen_at("127.0.0.1", 0);
  auto environment = loopback_environments(2)[0];
  environment.listen_descriptor.reset();
  environment.master_port = listening_port(listener.descriptor(), "test");
  try {
    ProcessGroup::join(environment);
    FAIL("nothing was thrown");
  } catch (const ProcessGroupError& error) {
    CHECK(error.what() == "[process group] port " + std::to_string(environment.master_port) +
                              ": expected a free port for the processes to meet at, got: Address "
                              "already in use. Another job may use it: choose another port.");
    CHECK(error.culprits() == std::vector<int>{0});
  }
}

TEST_CASE("a descriptor that is no listening socket is refused") {
  auto environment = loopback_environments(2)[0];
  environment.listen_descriptor = 1000000;
  CHECK(error_message<UsageError>([&] { ProcessGroup::join(environment); }) ==
        "[environment] VIZOO_LISTEN_FD: expected a listening socket from vizoo launch, got "
        "descriptor 1000000, which is none. Programs between vizoo launch and this one must pass "
        "open files on.");
}

TEST_CASE("processes that do not come are named") {
  auto environments = loopback_environments(4);
  environments.erase(environments.begin() + 2);  // ranks 0, 1 and 3
  std::vector<std::vector<int>> culprits(4);
  const auto messages = run_in_threads(environments, [&](const ProcessEnvironment& environment) {
    try {
      ProcessGroup::join(environment, within(milliseconds(4000)));
    } catch (const ProcessGroupError& error) {
      culprits[static_cast<std::size_t>(environment.rank)] = error.culprits();
      throw;
    }
  });
  // Rank 0 hosts the store; when its time is over first, it is what others miss.
  CHECK(messages[0] == "[process group] start of the processes: expected all 4 at 127.0.0.1:" +
                           std::to_string(environments[0].master_port) +
                           " within 4 s, got 3, without rank 2. Who started this process (none) "
                           "must start all.");
  CHECK(culprits[0] == std::vector<int>{2});
  CHECK_FALSE(messages[1].empty());
  CHECK_FALSE(messages[2].empty());
}

TEST_CASE("nobody listens where rank 0 should") {
  auto environment = loopback_environments(2)[1];
  environment.master_port = [] {
    const auto listener = listen_at("127.0.0.1", 0);
    return listening_port(listener.descriptor(), "test");
  }();
  try {
    ProcessGroup::join(environment, within(milliseconds(1000)));
    FAIL("nothing was thrown");
  } catch (const ProcessGroupError& error) {
    CHECK(error.what() == "[process group] 127.0.0.1:" + std::to_string(environment.master_port) +
                              ": expected rank 0 to listen there, got nobody within 1 s.");
    CHECK(error.culprits() == std::vector<int>{0});
  }
}

TEST_CASE("two processes with one rank, or that count differently, are told so") {
  auto environments = loopback_environments(3);
  environments[2].rank = 1;
  const auto join = [](const ProcessEnvironment& environment) {
    ProcessGroup::join(environment, within(milliseconds(4000)));
  };
  const auto twins = run_in_threads(environments, join);
  const auto& twin = contains(twins[1], "one process with this rank") ? twins[1] : twins[2];
  CHECK(
      contains(twin, "[process group] rank 1: expected one process with this rank at 127.0.0.1:"));
  CHECK(contains(twin, "got another one. Another job may meet there: choose another port."));
  CHECK(contains(twins[0], "got 2, without rank 2."));

  environments = loopback_environments(2);
  environments[1].world_size = 3;
  const auto counts = run_in_threads(environments, join);
  const auto message = counts[0] + counts[1];
  CHECK(contains(message, "[process group] world size of rank "));
  CHECK(contains(message, ", as another process says, got "));
}

TEST_CASE("who waits for a process that has left is told so") {
  const auto messages = run_as_group(3, [](const std::shared_ptr<ProcessGroup>& group) {
    group->barrier();
    if (group->rank() == 2) return;
    group->barrier();
  });
  CHECK(messages[2].empty());
  for (std::size_t rank = 0; rank < 2; ++rank) {
    CHECK(contains(messages[rank],
                   "[process group] rank 2: expected to take part in what others wait for, got "
                   "that it has left the group."));
  }
}

TEST_CASE("a process that gives up tells the others why") {
  std::atomic<int> named = 0;
  const auto messages = run_as_group(3, [&](const std::shared_ptr<ProcessGroup>& group) {
    group->barrier();
    if (group->rank() == 1) {
      group->report_failure("the disk is full");
      return;
    }
    try {
      while (true) group->barrier();
    } catch (const ProcessGroupError& error) {
      if (error.culprits() == std::vector<int>{1}) ++named;
      throw;
    }
  });
  CHECK(named == 2);
  for (const std::size_t rank : {0, 2}) {
    CHECK(messages[rank] ==
          "[process group] rank 1: expected to go on with the others, got a failure of its own. It "
          "says: the disk is full.");
  }
}

TEST_CASE("a process that an exception drives out tells the others") {
  const auto messages = run_as_group(2, [](const std::shared_ptr<ProcessGroup>& group) {
    // Owned by the scope that the exception leaves, as in a program.
    group->barrier();
    if (group->rank() == 1) throw Error("a failure");
    group->barrier();
  });
  CHECK(messages[1] == "a failure");
  CHECK(contains(messages[0], "rank 1"));
}

TEST_CASE("a process that computes for too long is named by those that wait") {
  std::atomic<bool> given_up = false;
  const auto messages = run_as_group(
      2,
      [&](const std::shared_ptr<ProcessGroup>& group) {
        group->barrier();
        while (group->rank() == 1 && !given_up) std::this_thread::sleep_for(milliseconds(10));
        try {
          group->barrier();
        } catch (const ProcessGroupError&) {
          given_up = true;
          throw;
        }
      },
      within(milliseconds(1000)));
  for (const auto& message : messages) {
    CHECK(message ==
          "[process group] rank 1: expected operation 2, got operation 1: it hangs or is too slow. "
          "Rank 0 saw: no end of an operation within 1 s.");
  }
}

TEST_CASE("rows of another shape are refused in all processes") {
  const auto messages = run_as_group(2, [](const std::shared_ptr<ProcessGroup>& group) {
    group->all_gather_rows(torch::zeros({3, group->rank() + 1}));
  });
  for (const auto& message : messages) {
    CHECK(message.rfind("[process group] rows to gather: expected the same dtype and axes in all "
                        "processes, got others in rank 1 than in rank 0. This process has ",
                        0) == 0);
  }
}
