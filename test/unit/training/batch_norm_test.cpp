// Batch norms of processes that are threads of this one; test/distributed has real processes.
#include "vizoo/training/batch_norm.h"

#include "test/support/catch.h"
#include "test/support/process_threads.h"
#include "vizoo/nn/layers.h"

using namespace vizoo;
using test::no_messages;
using test::run_as_group;

namespace {

using GroupPointer = std::shared_ptr<ProcessGroup>;

struct TwoNorms : torch::nn::Module {
  TwoNorms()
      : first(register_module("first", nn::BatchNorm(3))),
        second(register_module("second", nn::BatchNorm(2))) {}
  nn::BatchNorm first;
  nn::BatchNorm second;
};

void check(bool holds, const std::string& what) {
  if (!holds) throw Error(what);
}

}  // namespace

TEST_CASE("in a group of one process batch norms stay what they are") {
  TwoNorms model;
  CHECK(convert_sync_batch_norm(model, ProcessGroup::single()) == 0);
  CHECK(model.first->training_forward == nullptr);
  const auto before = model.first->running_mean.clone();
  broadcast_buffers(model, *ProcessGroup::single());
  broadcast_parameters(model, *ProcessGroup::single());
  CHECK(model.first->running_mean.equal(before));
}

TEST_CASE("all processes get the parameters and buffers of rank 0") {
  const auto messages = run_as_group(2, [](const GroupPointer& group) {
    TwoNorms model;
    {
      const torch::NoGradGuard no_grad;
      for (auto& parameter : model.parameters()) parameter.fill_(group->rank() + 0.5);
      for (auto& buffer : model.buffers()) buffer.fill_(group->rank() + 7);  // float32 and int64
      model.second->to(torch::kDouble);
    }
    broadcast_parameters(model, *group);
    for (const auto& parameter : model.parameters()) {
      check(parameter.eq(0.5).all().item<bool>() && parameter.requires_grad(), "parameters");
    }
    check(model.first->running_mean.eq(7 + group->rank()).all().item<bool>(), "not yet");
    broadcast_buffers(model, *group);
    for (const auto& buffer : model.buffers()) check(buffer.eq(7).all().item<bool>(), "buffers");
    check(model.second->weight.scalar_type() == torch::kDouble, "types stay");
  });
  CHECK(messages == no_messages(2));
}

TEST_CASE("synchronised batch norms see the batches of all processes") {
  torch::manual_seed(1);
  const auto batch = torch::randn({5, 3, 2, 2}) * 2.0 + 3.0;
  nn::BatchNorm whole(3);
  const auto expected = whole->forward(batch);
  for (const auto dtype : {torch::kFloat, torch::kBFloat16}) {
    const auto messages = run_as_group(2, [&](const GroupPointer& group) {
      nn::BatchNorm norm(3);
      check(convert_sync_batch_norm(*norm, group) == 1, "one is converted");
      const int64_t begin = group->rank() == 0 ? 0 : 1;  // parts of one and four
      const int64_t end = group->rank() == 0 ? 1 : 5;
      const auto y = norm->forward(batch.slice(0, begin, end).to(dtype));
      const double tolerance = dtype == torch::kFloat ? 1e-6 : 0.02;
      check(y.scalar_type() == dtype, "the type stays");
      check(y.to(torch::kFloat).allclose(expected.slice(0, begin, end), 0.0, tolerance), "output");
      check(norm->running_mean.allclose(whole->running_mean, 0.0, tolerance), "mean");
      check(norm->running_var.allclose(whole->running_var, 0.0, tolerance), "variance");
      check(norm->num_batches_tracked.item<int64_t>() == 1, "count");
    });
    CHECK(messages == no_messages(2));
  }
}

TEST_CASE("evaluation is not synchronised") {
  const auto messages = run_as_group(2, [](const GroupPointer& group) {
    nn::BatchNorm norm(2);
    convert_sync_batch_norm(*norm, group);
    norm->eval();
    // Only one process calls it, so nothing may wait for the other.
    if (group->rank() == 0) {
      const auto x = torch::tensor({{1.0F, 2.0F}, {3.0F, 4.0F}});
      check(norm->forward(x).allclose(x, 1e-4), "running statistics are those of the start");
    }
  });
  CHECK(messages == no_messages(2));
}

TEST_CASE("less than two values for a channel are refused in all processes") {
  const auto messages = run_as_group(2, [](const GroupPointer& group) {
    nn::BatchNorm norm(2);
    convert_sync_batch_norm(*norm, group);
    norm->forward(torch::ones({group->rank(), 2}));
  });
  for (const auto& message : messages) {
    CHECK(message ==
          "[model] batch norm in training mode: expected more than one value for each channel in "
          "all processes together, got 1. Use a larger batch.");
  }
}
