#include "vizoo/training/gradient_reducer.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <mutex>
#include <string>
#include <utility>

#include "vizoo/core/error.h"

namespace vizoo {
namespace {

// Gradients that travel together: one after another, then for each parameter a 1 if it has a
// gradient in this process, so that the sum tells whether it has one anywhere.
struct Bucket {
  std::vector<std::size_t> members;  // indices of parameters
  int64_t elements = 0;              // of their gradients
  torch::Tensor buffer;              // [elements + members]
  std::size_t missing = 0;           // members whose gradient is not there yet
  bool started = false;
  PendingReduction reduction;
};

struct Parameter {
  torch::Tensor tensor;
  std::shared_ptr<torch::autograd::Node> accumulator;  // held, or it is made anew without the hook
  uintptr_t hook = 0;
  std::size_t bucket = 0;
  int64_t offset = 0;  // of its gradient in the bucket
  int64_t flag = 0;    // of its 1 in the bucket
  bool ready = false;  // its gradient is in the bucket
};

void check_reducer_options(const GradientReducerOptions& options) {
  const auto check = [](const char* name, int64_t bytes) {
    if (bytes < 1) {
      throw UsageError("gradient reducer", name, "at least 1", std::to_string(bytes));
    }
  };
  check("bucket_bytes", options.bucket_bytes());
  check("first_bucket_bytes", options.first_bucket_bytes());
}

// What all processes must agree about: the number of parameters, their dtypes and shapes.
int64_t fingerprint(const std::vector<Parameter>& parameters) {
  constexpr uint64_t kPrime = 1099511628211ULL;
  uint64_t hash = 14695981039346656037ULL;  // FNV-1a
  const auto add = [&](int64_t value) { hash = (hash ^ static_cast<uint64_t>(value)) * kPrime; };
  add(static_cast<int64_t>(parameters.size()));
  for (const auto& parameter : parameters) {
    add(static_cast<int64_t>(parameter.tensor.scalar_type()));
    add(parameter.tensor.dim());
    for (const auto length : parameter.tensor.sizes()) add(length);
  }
  return static_cast<int64_t>(hash);
}

}  // namespace

struct GradientReducer::Impl : std::enable_shared_from_this<GradientReducer::Impl> {
  std::shared_ptr<ProcessGroup> group;
  std::vector<Parameter> parameters;
  std::vector<Bucket> buckets;
  std::size_t next_bucket = 0;  // all before it are started: their order is the same everywhere
  bool enabled = true;
  std::mutex mutex;  // backward runs a thread for each device

  void check_agreement() const {
    const auto own = torch::tensor({fingerprint(parameters)}, torch::kLong);
    const auto all = group->all_gather(own);
    for (int rank = 0; rank < group->size(); ++rank) {
      if (!all[rank].equal(all[0])) {
        throw UsageError("gradient reducer",
                         "parameters",
                         "the same in all processes",
                         "others in rank " + std::to_string(rank) + " than in rank 0",
                         "This process has " + std::to_string(parameters.size()));
      }
    }
  }

  void fill_buckets(const GradientReducerOptions& options) {
    for (std::size_t i = parameters.size(); i-- > 0;) {
      auto& parameter = parameters[i];
      const auto fits = [&](const Bucket& bucket) {
        const auto& first = parameters[bucket.members.front()].tensor;
        const auto limit =
            buckets.size() == 1 ? options.first_bucket_bytes() : options.bucket_bytes();
        return first.scalar_type() == parameter.tensor.scalar_type() &&
               first.device() == parameter.tensor.device() &&
               bucket.elements * first.element_size() < limit;
      };
      if (buckets.empty() || !fits(buckets.back())) buckets.emplace_back();
      auto& bucket = buckets.back();
      parameter.bucket = buckets.size() - 1;
      parameter.offset = bucket.elements;
      parameter.flag = static_cast<int64_t>(bucket.members.size());
      bucket.elements += parameter.tensor.numel();
      bucket.members.push_back(i);
    }
    for (auto& bucket : buckets) {
      const auto& first = parameters[bucket.members.front()].tensor;
      const auto size = bucket.elements + static_cast<int64_t>(bucket.members.size());
      bucket.buffer = torch::zeros({size}, first.options().requires_grad(false));
      bucket.missing = bucket.members.size();
      for (const auto i : bucket.members) parameters[i].flag += bucket.elements;
    }
  }

  void add_hooks() {
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      auto& parameter = parameters[i];
      parameter.accumulator = torch::autograd::impl::grad_accumulator(parameter.tensor);
      const std::weak_ptr<Impl> weak = weak_from_this();
      parameter.hook = parameter.accumulator->add_post_hook(
          std::make_unique<torch::autograd::utils::LambdaPostHook>(
              [weak, i](const torch::autograd::variable_list& outputs,
                        const torch::autograd::variable_list& /*inputs*/) {
                if (const auto self = weak.lock()) self->take_from_backward(i);
                return outputs;
              }));
    }
  }

  void remove_hooks() {
    for (auto& parameter : parameters) {
      if (parameter.accumulator) parameter.accumulator->del_post_hook(parameter.hook);
    }
  }

  void take_from_backward(std::size_t i) {
    const std::lock_guard<std::mutex> lock(mutex);
    if (!enabled) return;
    if (parameters[i].ready) {
      throw UsageError("gradient reducer",
                       "backward",
                       "one call before finish with the reducer enabled",
                       "a second one",
                       "set_enabled(false) is for all parts of a step but the last");
    }
    take(i);
    start_complete_buckets();
  }

  // parameters[i].offset and what follows it in the bucket, in the parameter's shape.
  torch::Tensor place_in_bucket(const Parameter& parameter) const {
    return buckets[parameter.bucket]
        .buffer.slice(0, parameter.offset, parameter.offset + parameter.tensor.numel())
        .view(parameter.tensor.sizes());
  }

  void take(std::size_t i) {
    const torch::NoGradGuard no_grad;
    auto& parameter = parameters[i];
    auto& bucket = buckets[parameter.bucket];
    const auto& gradient = parameter.tensor.grad();
    auto place = place_in_bucket(parameter);
    if (gradient.defined()) {
      place.copy_(gradient);
    } else {
      place.zero_();
    }
    bucket.buffer.select(0, parameter.flag).fill_(gradient.defined() ? 1.0 : 0.0);
    parameter.ready = true;
    --bucket.missing;
  }

  void start_complete_buckets() {
    while (next_bucket < buckets.size() && buckets[next_bucket].missing == 0) {
      auto& bucket = buckets[next_bucket++];
      bucket.reduction = group->all_reduce_async(bucket.buffer);
    }
  }

  void start_rest() {
    const std::lock_guard<std::mutex> lock(mutex);
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (!parameters[i].ready) take(i);
    }
    start_complete_buckets();
  }

  void put_back(Bucket& bucket, double factor) {
    const torch::NoGradGuard no_grad;
    const auto exists = bucket.buffer.slice(0, bucket.elements).ne(0).cpu();  // [members], bool
    if (factor != 1.0) bucket.buffer.mul_(factor);
    for (std::size_t k = 0; k < bucket.members.size(); ++k) {
      auto& parameter = parameters[bucket.members[k]];
      parameter.ready = false;
      if (!exists.const_data_ptr<bool>()[k]) continue;
      auto& gradient = parameter.tensor.mutable_grad();
      if (!gradient.defined()) gradient = torch::empty_like(parameter.tensor);
      gradient.copy_(place_in_bucket(parameter));
    }
    bucket.missing = bucket.members.size();
  }
};

GradientReducer::GradientReducer(const std::vector<torch::Tensor>& parameters,
                                 std::shared_ptr<ProcessGroup> group,
                                 const GradientReducerOptions& options)
    : impl_(std::make_shared<Impl>()) {
  check_reducer_options(options);
  impl_->group = std::move(group);
  for (const auto& tensor : parameters) {
    if (!tensor.requires_grad()) continue;
    impl_->parameters.emplace_back();
    impl_->parameters.back().tensor = tensor;
  }
  if (impl_->group->size() == 1) return;
  impl_->check_agreement();
  impl_->fill_buckets(options);
  impl_->add_hooks();
}

GradientReducer::~GradientReducer() { impl_->remove_hooks(); }

void GradientReducer::set_enabled(bool enabled) {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  impl_->enabled = enabled;
}

void GradientReducer::finish(double factor) {
  if (impl_->group->size() == 1) {
    const torch::NoGradGuard no_grad;
    for (auto& parameter : impl_->parameters) {
      auto& gradient = parameter.tensor.mutable_grad();
      if (gradient.defined() && factor != 1.0) gradient.mul_(factor);
    }
    return;
  }
  impl_->start_rest();
  for (auto& bucket : impl_->buckets) bucket.reduction.wait();
  for (auto& bucket : impl_->buckets) impl_->put_back(bucket, factor);
  impl_->next_bucket = 0;
}

int64_t GradientReducer::buckets() const { return static_cast<int64_t>(impl_->buckets.size()); }

}  // namespace vizoo
