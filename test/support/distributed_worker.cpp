// What the tests of many processes start: one process of a group, which reads its rank from the
// environment, does a job and prints one line for each result.
//
//   vizoo_distributed_worker train STEPS      a small network, its checksum after each tenth step
//   vizoo_distributed_worker operations       every operation of ProcessGroup against what it is
//   vizoo_distributed_worker batch_norm       synchronised batch norms against one process
//   vizoo_distributed_worker wait SECONDS     one all-reduce after another, until that time is over
//   vizoo_distributed_worker fail RANK        one process throws, the others wait for it
//
// WORKER_TIMEOUT_MS: the group's timeout. Exit code 0; 1 with the error's one line on stderr.
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <string>
#include <thread>

#include "vizoo/nn/layers.h"
#include "vizoo/training/batch_norm.h"
#include "vizoo/training/gradient_reducer.h"
#include "vizoo/training/process_group.h"

namespace {

using vizoo::ProcessGroup;
using vizoo::Reduction;
using Clock = std::chrono::steady_clock;

void check(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error("failed: " + what);
}

// The contiguous part of `count` things that falls to one of `size` processes.
std::pair<int64_t, int64_t> part_of(int64_t count, int rank, int size) {
  return {count * rank / size, count * (rank + 1) / size};
}

// Two convolutions and a head; one weight is never used, and one only by the first sample of some
// steps, so that it is in play in one process alone.
struct Network : torch::nn::Module {
  Network()
      : first(register_module("first",
                              vizoo::nn::Conv2d(3, 8, vizoo::nn::Conv2dOptions().kernel_size(3)))),
        second(register_module(
            "second", vizoo::nn::Conv2d(8, 16, vizoo::nn::Conv2dOptions().kernel_size(3)))),
        head(register_module("head", vizoo::nn::Linear(16, 5))),
        unused(register_module("unused", vizoo::nn::Linear(4, 4))),
        sometimes(register_module("sometimes", vizoo::nn::Linear(16, 5))) {}

  torch::Tensor forward(const torch::Tensor& pixels, bool use_sometimes) {
    const auto features = at::gelu(second->forward(at::gelu(first->forward(pixels)))).mean({2, 3});
    const auto logits = head->forward(features);
    if (!use_sometimes) return logits;
    const auto first_sample = logits.slice(0, 0, 1) + sometimes->forward(features.slice(0, 0, 1));
    return torch::cat({first_sample, logits.slice(0, 1)});
  }

  vizoo::nn::Conv2d first;
  vizoo::nn::Conv2d second;
  vizoo::nn::Linear head;
  vizoo::nn::Linear unused;
  vizoo::nn::Linear sometimes;
};

// All bits of all parameters in one number.
int64_t bits_of(const torch::nn::Module& model) {
  int64_t sum = 0;
  for (const auto& parameter : model.parameters()) {
    const auto bits = parameter.detach().contiguous().flatten().view(torch::kInt).to(torch::kLong);
    const auto places = torch::arange(1, bits.numel() + 1, torch::kLong);
    sum = sum * 31 + (bits * places).sum().item<int64_t>();
  }
  return sum;
}

void train(ProcessGroup& group, const std::shared_ptr<ProcessGroup>& shared, int64_t steps) {
  torch::manual_seed(group.rank() == 0 ? 1 : 100 + group.rank());
  Network model;
  model.to(torch::kFloat64);  // in float32 a hundred steps magnify rounding to 2e-6
  vizoo::broadcast_parameters(model, group);
  // Small buckets, so that there are several.
  vizoo::GradientReducer reducer(
      model.parameters(),
      shared,
      vizoo::GradientReducerOptions().bucket_bytes(2048).first_bucket_bytes(256));
  torch::manual_seed(2);
  const auto pixels = torch::randn({64, 3, 10, 10}, torch::kFloat64);
  const auto labels = torch::randint(5, {64}, torch::kLong);
  std::vector<torch::Tensor> velocity;
  for (const auto& parameter : model.parameters()) velocity.push_back(torch::zeros_like(parameter));
  for (int64_t step = 0; step < steps; ++step) {
    // Every seventh step has fewer samples than there may be processes.
    const int64_t count = step % 7 == 6 ? 3 : 8;
    const int64_t start = step * 8 % 56;
    const auto [begin, end] = part_of(count, group.rank(), group.size());
    double loss_sum = 0.0;
    // Two parts of which either may be empty.
    const int64_t middle = (begin + end) / 2;
    for (const auto& [from, to] : {std::pair(begin, middle), std::pair(middle, end)}) {
      reducer.set_enabled(to == end);
      if (from == to) continue;
      const auto x = pixels.slice(0, start + from, start + to);
      const auto y = labels.slice(0, start + from, start + to);
      const bool use_sometimes = step % 3 == 0 && from == 0;
      const auto loss =
          at::cross_entropy_loss(model.forward(x, use_sometimes), y, {}, at::Reduction::Sum);
      loss.backward();
      loss_sum += loss.item<double>();
    }
    const double weight = group.all_reduce(static_cast<double>(end - begin));
    const double loss = group.all_reduce(loss_sum) / weight;
    reducer.finish(1.0 / weight);
    const torch::NoGradGuard no_grad;
    const auto parameters = model.parameters();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      auto parameter = parameters[i];
      if (!parameter.grad().defined()) continue;
      velocity[i].mul_(0.9).add_(parameter.grad());
      parameter.sub_(velocity[i], 0.05);
      parameter.mutable_grad().reset();
    }
    check(!model.unused->weight.grad().defined(), "a parameter without gradients keeps none");
    if (step % 10 == 9) {
      const auto own = torch::tensor({bits_of(model)}, torch::kLong);
      const auto all = group.all_gather(own);
      check(all.eq(own).all().item<bool>(), "all processes have the same bits");
      if (group.rank() == 0) {
        std::cout << "step " << step + 1 << " loss " << std::setprecision(12) << loss << '\n';
      }
    }
  }
  if (group.rank() == 0) {
    std::cout << "buckets " << reducer.buckets() << "\nweights";
    for (const auto& parameter : model.parameters()) {
      const auto wide = parameter.detach().to(torch::kDouble);
      const auto ramp = torch::linspace(-1.0, 2.0, wide.numel(), torch::kDouble);
      std::cout << ' ' << std::setprecision(12) << wide.square().sum().item<double>() << ' '
                << (wide.flatten() * ramp).sum().item<double>();
    }
    std::cout << "\nbits " << bits_of(model) << std::endl;
  }
}

void operations(ProcessGroup& group) {
  const int rank = group.rank();
  const int size = group.size();
  const int64_t sum = static_cast<int64_t>(size) * (size + 1) / 2;
  for (const auto dtype : {torch::kHalf,
                           torch::kBFloat16,
                           torch::kFloat,
                           torch::kDouble,
                           torch::kChar,
                           torch::kByte,
                           torch::kInt,
                           torch::kLong}) {
    const auto tensor = torch::full({2, 3}, rank + 1, dtype);
    group.all_reduce(tensor);
    check(tensor.eq(sum).all().item<bool>(), "sum of " + std::string(c10::toString(dtype)));
    const auto most = torch::full({3}, rank + 1, dtype);
    group.all_reduce(most, Reduction::max);
    check(most.eq(size).all().item<bool>(), "max of " + std::string(c10::toString(dtype)));
    const auto least = torch::full({3}, rank + 1, dtype);
    group.all_reduce(least, Reduction::min);
    check(least.eq(1).all().item<bool>(), "min of " + std::string(c10::toString(dtype)));
  }
  const auto strided = torch::zeros({4, 6}).t().slice(0, 1, 4);
  strided.fill_(rank + 1);
  group.all_reduce(strided);
  check(strided.eq(sum).all().item<bool>(), "sum of a view");
  check(group.all_reduce(0.5) == 0.5 * size, "sum of a number");
  check(group.all_reduce(rank, Reduction::max) == size - 1, "max of a number");

  for (const auto dtype : {torch::kBool, torch::kFloat, torch::kLong, torch::kComplexFloat}) {
    const auto tensor = (torch::arange(6).view({2, 3}) + rank).remainder(2).to(dtype).t();
    const auto expected = (torch::arange(6).view({2, 3}) + size - 1).remainder(2).to(dtype).t();
    group.broadcast(tensor, size - 1);
    check(tensor.equal(expected), "broadcast of " + std::string(c10::toString(dtype)));
  }
  auto parameter = torch::full({2}, static_cast<float>(rank)).requires_grad_(true);
  group.broadcast(parameter);
  check(parameter.eq(0).all().item<bool>(), "broadcast of a parameter");

  const auto gathered = group.all_gather(torch::tensor(rank));
  check(gathered.equal(torch::arange(size)), "gathering of scalars");
  // Rank r has r rows of r; rank 0 none.
  const auto rows = group.all_gather_rows(torch::full({rank, 2}, rank, torch::kInt));
  std::vector<torch::Tensor> expected;
  for (int i = 0; i < size; ++i) expected.push_back(torch::full({i, 2}, i, torch::kInt));
  check(rows.equal(torch::cat(expected)), "gathering of rows");
  if (size > 1) {
    try {
      group.all_gather_rows(torch::zeros({1, rank == 0 ? 3 : 2}));
      check(false, "other axes are refused");
    } catch (const vizoo::ShapeError&) {
    }
  }
  // Sums in the background, started together and with other operations in between.
  const auto one = torch::full({1000}, rank + 1.0F);
  const auto two = torch::full({10}, rank + 1.0F);
  auto first = group.all_reduce_async(one);
  if (rank == 0) group.barrier();
  auto second = group.all_reduce_async(two);
  if (rank != 0) group.barrier();
  second.wait();
  first.wait();
  check(one.eq(sum).all().item<bool>() && two.eq(sum).all().item<bool>(), "sums in the background");
  group.barrier();
  std::cout << "rank " << rank << " ok" << std::endl;
}

// A batch norm on this process's part of a batch beside one on the whole, with every gradient.
void batch_norm(ProcessGroup& group, const std::shared_ptr<ProcessGroup>& shared) {
  for (const bool with_empty_part : {false, true}) {
    for (const auto& sizes : {std::vector<int64_t>{7, 3, 4, 5}, std::vector<int64_t>{7, 3}}) {
      torch::manual_seed(3);
      const auto options = torch::dtype(torch::kDouble);
      const auto batch = torch::randn(sizes, options) * 3.0 + 10.0;
      const auto weights = torch::randn(sizes, options);
      vizoo::nn::BatchNorm whole(3);
      whole->to(torch::kDouble);
      const torch::NoGradGuard no_grad;
      whole->weight.copy_(torch::tensor({0.5, -2.0, 1.5}, options));
      whole->bias.copy_(torch::tensor({1.0, 0.0, -1.0}, options));
      vizoo::nn::BatchNorm part(3);
      part->to(torch::kDouble);
      for (const auto& entry : whole->named_parameters()) {
        part->named_parameters()[entry.key()].copy_(entry.value());
      }
      check(vizoo::convert_sync_batch_norm(*part, shared) == (group.size() > 1 ? 1 : 0),
            "one batch norm is converted");

      const at::AutoGradMode with_gradients(true);
      const auto x = batch.clone().requires_grad_(true);
      (whole->forward(x) * weights).sum().backward();
      // Uneven parts: the last process has the most, or nothing.
      auto [begin, end] = part_of(7, group.rank(), group.size());
      if (with_empty_part && group.size() > 1) {
        if (group.rank() == group.size() - 1) begin = end;
        if (group.rank() == group.size() - 2) end = 7;
      }
      const auto own = batch.slice(0, begin, end).clone().requires_grad_(true);
      (part->forward(own) * weights.slice(0, begin, end)).sum().backward();
      const torch::NoGradGuard no_gradients;
      group.all_reduce(part->weight.mutable_grad());
      group.all_reduce(part->bias.mutable_grad());
      const auto close = [](const torch::Tensor& a, const torch::Tensor& b) {
        return torch::allclose(a, b, 1e-10, 1e-10);
      };
      check(close(own.grad(), x.grad().slice(0, begin, end)), "gradient of the input");
      check(close(part->weight.grad(), whole->weight.grad()), "gradient of the weight");
      check(close(part->bias.grad(), whole->bias.grad()), "gradient of the bias");
      check(close(part->running_mean, whole->running_mean), "running mean");
      check(close(part->running_var, whole->running_var), "running variance");
      check(part->num_batches_tracked.equal(whole->num_batches_tracked), "count of batches");
      part->eval();
      whole->eval();
      check(close(part->forward(batch), whole->forward(batch)), "evaluation mode");
    }
  }
  vizoo::nn::BatchNorm own_statistics(2);
  {
    const torch::NoGradGuard no_grad;
    own_statistics->running_mean.fill_(group.rank() + 1.0);
    own_statistics->num_batches_tracked.fill_(group.rank() + 5);
  }
  vizoo::broadcast_buffers(*own_statistics, group);
  check(own_statistics->running_mean.eq(1.0).all().item<bool>(), "broadcast of running means");
  check(own_statistics->num_batches_tracked.item<int64_t>() == 5, "broadcast of counters");
  std::cout << "rank " << group.rank() << " ok" << std::endl;
}

void wait_for_others(ProcessGroup& group, double seconds) {
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  int64_t rounds = 0;
  bool stop = false;
  while (!stop) {
    const auto tensor = torch::ones({1 << 16});
    group.all_reduce(tensor);
    if (rounds++ == 0) std::cout << "pid " << getpid() << " rank " << group.rank() << std::endl;
    stop = group.all_reduce(Clock::now() >= end ? 1.0 : 0.0, Reduction::max) > 0.0;
  }
}

void fail(ProcessGroup& group, int culprit) {
  group.barrier();
  if (group.rank() == culprit) throw std::runtime_error("a failure of its own");
  group.barrier();
}

int run(const std::string& job, double argument) {
  vizoo::ProcessGroupOptions options;
  if (const char* timeout = std::getenv("WORKER_TIMEOUT_MS")) {
    options.timeout(std::chrono::milliseconds(std::atoi(timeout)));
  }
  const auto group = ProcessGroup::join(vizoo::read_process_environment(), options);
  if (job == "train") {
    train(*group, group, static_cast<int64_t>(argument));
  } else if (job == "operations") {
    operations(*group);
  } else if (job == "batch_norm") {
    batch_norm(*group, group);
  } else if (job == "wait") {
    wait_for_others(*group, argument);
  } else if (job == "fail") {
    fail(*group, static_cast<int>(argument));
  } else {
    throw std::runtime_error("unknown job " + job);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc > 1 ? argv[1] : "", argc > 2 ? std::atof(argv[2]) : 0.0);
  } catch (const std::exception& error) {
    std::cerr << error.what() << std::endl;
    return 1;
  }
}
