#include "vizoo/training/random_state.h"

#include "test/support/catch.h"
#include "test/support/error_message.h"
#include "test/support/temporary_folder.h"
#include "vizoo/core/error.h"
#include "vizoo/hub/tensor_file.h"

using namespace vizoo;

namespace {

NamedArguments captured() {
  const auto states = capture_random_state();
  return {states.begin(), states.end()};
}

}  // namespace

TEST_CASE("restored random state repeats what was drawn after it was taken") {
  at::manual_seed(11);
  torch::randn({5});  // leaves half of a pair of normals behind, which is state too
  const test::TemporaryFolder folder;
  write_tensors(folder / random_state_file(3), capture_random_state());
  const auto normals = torch::randn({7});
  const auto permutation = torch::randperm(100);
  const auto kept = torch::bernoulli(torch::full({50}, 0.5));
  at::manual_seed(12);
  torch::rand({3});
  restore_random_state(read_tensors(folder.path() / "random-3.safetensors"));
  CHECK(torch::equal(torch::randn({7}), normals));
  CHECK(torch::equal(torch::randperm(100), permutation));
  CHECK(torch::equal(torch::bernoulli(torch::full({50}, 0.5)), kept));
}

TEST_CASE("the state of a device that is not there is left out") {
  auto state = captured();
  state["cuda.99"] = torch::zeros({16}, torch::kUInt8);
  const auto next = torch::rand({4});
  restore_random_state(state);
  CHECK(torch::equal(torch::rand({4}), next));
}

TEST_CASE("what is no random state changes nothing") {
  at::manual_seed(5);
  const auto good = captured();
  const auto next = torch::rand({4});
  restore_random_state(good);
  const auto refused = [&](const torch::Tensor& state, const std::string& words) {
    const auto message = test::error_message<CheckpointError>([&] {
      restore_random_state({{"cpu", state}});
    });
    INFO(message);
    CHECK(test::contains(message, words));
  };
  const auto size = good.at("cpu").numel();
  refused(torch::zeros({size - 1}, torch::kUInt8), "values of uint8");
  refused(torch::zeros({size}, torch::kInt64), "values of uint8");
  refused(torch::zeros({size, 1}, torch::kUInt8), "values of uint8");
  refused(torch::full({size}, 255, torch::kUInt8), "random state cpu");
  CHECK_THROWS_AS(restore_random_state({}), CheckpointError);
  CHECK(torch::equal(torch::rand({4}), next));
}
