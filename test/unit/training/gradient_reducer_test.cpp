// Gradients of processes that are threads of this one; test/distributed has real processes.
#include "vizoo/training/gradient_reducer.h"

#include "test/support/catch.h"
#include "test/support/error_message.h"
#include "test/support/process_threads.h"

using namespace vizoo;
using test::contains;
using test::error_message;
using test::no_messages;
using test::run_as_group;

namespace {

using GroupPointer = std::shared_ptr<ProcessGroup>;

torch::Tensor parameter(torch::IntArrayRef sizes, double value = 1.0) {
  return torch::full(sizes, value).requires_grad_(true);
}

std::size_t index_of(const GroupPointer& group) { return static_cast<std::size_t>(group->rank()); }

}  // namespace

TEST_CASE("one process scales its gradients and keeps what is undefined") {
  const auto used = parameter({3});
  const auto unused = parameter({2});
  GradientReducer reducer({used, unused}, ProcessGroup::single());
  CHECK(reducer.buckets() == 0);
  used.sum().mul(4.0).backward();
  reducer.finish(0.5);
  CHECK(used.grad().eq(2.0).all().item<bool>());
  CHECK_FALSE(unused.grad().defined());
}

TEST_CASE("bucket sizes below one byte are refused") {
  const auto weight = parameter({3});
  const auto make = [&](const GradientReducerOptions& options) {
    return error_message<UsageError>(
        [&] { GradientReducer({weight}, ProcessGroup::single(), options); });
  };
  CHECK(make(GradientReducerOptions().bucket_bytes(0)) ==
        "[gradient reducer] bucket_bytes: expected at least 1, got 0.");
  CHECK(make(GradientReducerOptions().first_bucket_bytes(-1)) ==
        "[gradient reducer] first_bucket_bytes: expected at least 1, got -1.");
}

TEST_CASE("gradients are added up over processes and multiplied") {
  // Parameters used everywhere, by rank 0 only, by rank 1 only, by nobody, and a frozen one.
  std::vector<std::vector<torch::Tensor>> gradients(2);
  const auto messages = run_as_group(2, [&](const GroupPointer& group) {
    const std::vector<torch::Tensor> own = {parameter({2, 3}),
                                            parameter({4}),
                                            parameter({1}),
                                            parameter({5}),
                                            torch::ones({2}),
                                            parameter({})};
    GradientReducer reducer(own, group);
    auto loss = own[0].sum() * (group->rank() + 1.0) + own[5] * 3.0;
    loss = loss + own[static_cast<std::size_t>(group->rank() + 1)].sum() * 10.0;
    loss.backward();
    reducer.finish(0.5);
    for (const auto& one : own) gradients[index_of(group)].push_back(one.grad());
  });
  CHECK(messages == no_messages(2));
  for (const auto& own : gradients) {
    CHECK(own[0].equal(torch::full({2, 3}, 1.5)));
    CHECK(own[1].equal(torch::full({4}, 5.0)));
    CHECK(own[2].equal(torch::full({1}, 5.0)));
    CHECK_FALSE(own[3].defined());
    CHECK_FALSE(own[4].defined());
    CHECK(own[5].equal(torch::tensor(3.0)));
  }
}

TEST_CASE("the factor zero leaves gradients of zero") {
  const auto messages = run_as_group(2, [](const GroupPointer& group) {
    const auto weight = parameter({3});
    GradientReducer reducer({weight}, group);
    weight.sum().backward();
    reducer.finish(0.0);
    if (!weight.grad().eq(0.0).all().item<bool>()) throw Error("not zero");
  });
  CHECK(messages == no_messages(2));
}

TEST_CASE("a process without samples takes part") {
  std::vector<torch::Tensor> gradients(3);
  const auto messages = run_as_group(3, [&](const GroupPointer& group) {
    const auto weight = parameter({4}, 2.0);
    GradientReducer reducer({weight}, group);
    for (int step = 0; step < 3; ++step) {
      weight.mutable_grad() = torch::Tensor();
      if (group->rank() != 1) weight.square().sum().backward();
      reducer.finish();
    }
    gradients[index_of(group)] = weight.grad();
  });
  CHECK(messages == no_messages(3));
  for (const auto& gradient : gradients) CHECK(gradient.equal(torch::full({4}, 8.0)));
}

TEST_CASE("all parts of an accumulated step count") {
  std::vector<torch::Tensor> gradients(2);
  const auto messages = run_as_group(2, [&](const GroupPointer& group) {
    const auto first = parameter({2});
    const auto second = parameter({2});
    GradientReducer reducer({first, second}, group);
    for (int part = 0; part < 3; ++part) {
      reducer.set_enabled(part == 2);
      // The second parameter has no gradient in the last part.
      auto loss = first.sum() * (part + 1.0);
      if (part < 2) loss = loss + second.sum() * (group->rank() + 1.0);
      loss.backward();
    }
    reducer.finish();
    gradients[index_of(group)] = torch::cat({first.grad(), second.grad()});
  });
  CHECK(messages == no_messages(2));
  for (const auto& gradient : gradients) {
    CHECK(gradient.equal(torch::tensor({12.0F, 12.0F, 6.0F, 6.0F})));
  }
}

TEST_CASE("a second backward before finish is refused") {
  const auto messages = run_as_group(2, [](const GroupPointer& group) {
    const auto weight = parameter({2});
    GradientReducer reducer({weight}, group);
    weight.sum().backward();
    weight.sum().backward();
  });
  for (const auto& message : messages) {
    CHECK(contains(message,
                   "[gradient reducer] backward: expected one call before finish with the reducer "
                   "enabled, got a second one."));
  }
}

TEST_CASE("processes that disagree about parameters are refused, all of them") {
  const auto messages = run_as_group(2, [](const GroupPointer& group) {
    GradientReducer({parameter({2 + group->rank()})}, group);
  });
  for (const auto& message : messages) {
    CHECK(message ==
          "[gradient reducer] parameters: expected the same in all processes, got others in rank 1 "
          "than in rank 0. This process has 1.");
  }
}

TEST_CASE("buckets fill up from the last parameter, one type in each") {
  std::vector<int64_t> buckets(2);
  const auto messages = run_as_group(2, [&](const GroupPointer& group) {
    // In bytes, from the last: 40 | 400, 4 | 800 | 8 of another type | 40, 40.
    const std::vector<torch::Tensor> own = {parameter({10}),
                                            parameter({10}),
                                            torch::ones({1}, torch::kDouble).requires_grad_(true),
                                            parameter({200}),
                                            parameter({1}),
                                            parameter({100}),
                                            parameter({10})};
    const auto options = GradientReducerOptions().first_bucket_bytes(40).bucket_bytes(404);
    GradientReducer reducer(own, group, options);
    buckets[index_of(group)] = reducer.buckets();
    torch::Tensor loss = torch::zeros({}, torch::kDouble);
    for (const auto& one : own) loss = loss + one.to(torch::kDouble).sum();
    loss.backward();
    reducer.finish();
    for (const auto& one : own) {
      if (!one.grad().equal(torch::full_like(one, 2.0))) throw Error("wrong sum");
    }
  });
  CHECK(messages == no_messages(2));
  CHECK(buckets == std::vector<int64_t>{5, 5});
}

TEST_CASE("the same bits in every process, in every run and in buckets of any size") {
  std::vector<torch::Tensor> all;
  for (const int64_t bytes : {int64_t{1}, int64_t{300}, int64_t{1} << 20}) {
    for (int run = 0; run < 2; ++run) {
      std::vector<torch::Tensor> gradients(2);
      const auto messages = run_as_group(2, [&](const GroupPointer& group) {
        const auto first = parameter({20, 7});
        const auto second = parameter({7});
        GradientReducer reducer(
            {first, second},
            group,
            GradientReducerOptions().bucket_bytes(bytes).first_bucket_bytes(bytes));
        const auto ramp = torch::linspace(0.1, 3.7 + group->rank(), 140).view({20, 7});
        ((first + second) * ramp).sin().sum().backward();
        reducer.finish(1.0 / 3.0);
        gradients[index_of(group)] = torch::cat({first.grad().flatten(), second.grad()});
      });
      CHECK(messages == no_messages(2));
      all.insert(all.end(), gradients.begin(), gradients.end());
    }
  }
  REQUIRE(all.size() == 12);
  for (const auto& one : all) CHECK(one.equal(all.front()));
}

TEST_CASE("without its reducer a parameter keeps its own gradients") {
  const auto messages = run_as_group(2, [](const GroupPointer& group) {
    const auto weight = parameter({2});
    { GradientReducer reducer({weight}, group); }
    weight.sum().backward();
    weight.sum().backward();
    if (!weight.grad().equal(torch::full({2}, 2.0))) throw Error("wrong gradient");
  });
  CHECK(messages == no_messages(2));
}
