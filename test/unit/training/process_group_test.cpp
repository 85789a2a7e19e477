#include "vizoo/training/process_group.h"

#include "test/support/catch.h"
#include "test/support/error_message.h"

using namespace vizoo;
using test::error_message;

TEST_CASE("a group of one process does nothing and changes nothing") {
  const auto group = ProcessGroup::single();
  CHECK(group->rank() == 0);
  CHECK(group->size() == 1);
  CHECK(group->device() == torch::kCPU);
  const auto tensor = torch::arange(6).view({2, 3});
  const auto before = tensor.clone();
  group->all_reduce(tensor);
  group->all_reduce(tensor, Reduction::min);
  group->all_reduce_async(tensor).wait();
  group->broadcast(tensor);
  group->barrier();
  group->report_failure("of no interest to anybody");
  CHECK(tensor.equal(before));
  CHECK(group->all_reduce(2.5) == 2.5);
  CHECK(group->all_gather(tensor).equal(before.unsqueeze(0)));
  CHECK(group->all_gather_rows(tensor).equal(before));
  CHECK_FALSE(group->all_gather_rows(tensor).is_alias_of(tensor));
  PendingReduction nothing;
  nothing.wait();
  nothing.wait();
}

TEST_CASE("one process joins without anybody") {
  const auto group = ProcessGroup::join(ProcessEnvironment());
  CHECK(group->size() == 1);
}

TEST_CASE("tensors that cannot be used are refused in a group of one as well") {
  const auto group = ProcessGroup::single();
  CHECK(error_message<ShapeError>([&] { group->all_reduce(torch::Tensor()); }) ==
        "[process group] tensor: expected a tensor, got an undefined one.");
  CHECK(error_message<ShapeError>([&] {
          group->all_reduce(torch::zeros({2}, torch::kBool));
        }).rfind("[process group] tensor to reduce: expected a dtype of numbers (float16, ", 0) ==
        0);
  CHECK_THROWS_AS(group->all_reduce_async(torch::zeros({2}, torch::kComplexFloat)), ShapeError);
  CHECK(error_message<UsageError>([&] { group->broadcast(torch::zeros({2}), 1); }) ==
        "[process group] root of a broadcast: expected a rank below 1, got 1.");
  CHECK_THROWS_AS(group->broadcast(torch::zeros({2}), -1), UsageError);
  CHECK(error_message<ShapeError>([&] { group->all_gather_rows(torch::tensor(1.0)); }) ==
        "[process group] rows to gather: expected at least one axis, got a scalar.");
  CHECK_THROWS_AS(group->all_gather(torch::Tensor()), ShapeError);
}

TEST_CASE("options and ranks out of range are refused") {
  ProcessEnvironment environment;
  environment.rank = 2;
  environment.world_size = 2;
  CHECK(error_message<UsageError>([&] { ProcessGroup::join(environment); }) ==
        "[process group] rank: expected one from 0 to below 2, got 2.");
  environment.rank = -1;
  CHECK_THROWS_AS(ProcessGroup::join(environment), UsageError);
  environment.rank = 0;
  environment.world_size = 0;
  CHECK_THROWS_AS(ProcessGroup::join(environment), UsageError);
  environment.world_size = 1;
  CHECK(error_message<UsageError>([&] {
          ProcessGroup::join(environment,
                             ProcessGroupOptions().timeout(std::chrono::milliseconds(999)));
        }) == "[process group] timeout: expected at least 1 s, got 999 ms.");
}

TEST_CASE("a build without process groups says so") {
  if (!process_backends().empty()) {
    CHECK(process_backends().front() == "Gloo");
    return;
  }
  ProcessEnvironment environment;
  environment.world_size = 2;
  CHECK(error_message<UsageError>([&] { ProcessGroup::join(environment); }) ==
        "[process group] number of processes: expected 1, since this build of vizoo has no "
        "distributed training, got 2. Install libgloo-dev and build again with "
        "-DVIZOO_DISTRIBUTED=ON.");
}
