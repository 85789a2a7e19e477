#include "vizoo/training/process_group.h"

#include <numeric>
#include <utility>

#include "vizoo/nn/pretrained_model.h"
#include "vizoo/training/process_connection.h"

namespace vizoo {
namespace {

using Channel = ProcessConnection::Channel;

bool can_be_reduced(torch::ScalarType dtype) {
  switch (dtype) {
    case torch::kHalf:
    case torch::kBFloat16:
    case torch::kFloat:
    case torch::kDouble:
    case torch::kChar:
    case torch::kByte:
    case torch::kInt:
    case torch::kLong:
      return true;
    default:
      return false;
  }
}

void check_defined(const torch::Tensor& tensor) {
  if (!tensor.defined())
    throw ShapeError("process group", "tensor", "a tensor", "an undefined one");
}

void check_reducible(const torch::Tensor& tensor) {
  check_defined(tensor);
  if (!can_be_reduced(tensor.scalar_type())) {
    throw ShapeError("process group",
                     "tensor to reduce",
                     "a dtype of numbers (float16, bfloat16, float32, float64, int8, uint8, int32, "
                     "int64)",
                     describe_tensor(tensor));
  }
}

// Any dtype travels as bytes. -> [bytes], contiguous
torch::Tensor as_bytes(const torch::Tensor& tensor) {
  return tensor.contiguous().flatten().view(torch::kByte);
}

}  // namespace

struct PendingReduction::State {
  std::shared_ptr<ProcessConnection> connection;
  ProcessConnection::OperationPointer operation;
};

void PendingReduction::wait() {
  if (state_ == nullptr) return;
  const auto state = std::exchange(state_, nullptr);
  state->connection->wait(*state->operation);
}

struct ProcessGroup::Impl {
  int rank = 0;
  int size = 1;
  torch::Device device = torch::kCPU;
  std::shared_ptr<ProcessConnection> connection;  // null for one process

  // The tensor as the backend takes it: itself if it will do.
  torch::Tensor staged(const torch::Tensor& tensor) const {
    return tensor.detach().to(connection->device()).contiguous();
  }

  // Waits for an operation on staged(tensor) and puts the result where it belongs.
  void finish(const ProcessConnection::OperationPointer& operation,
              const torch::Tensor& staged,
              torch::Tensor& tensor) const {
    connection->wait(*operation);
    const torch::NoGradGuard no_grad;
    if (!staged.is_alias_of(tensor)) tensor.copy_(staged);
  }
};

ProcessGroup::ProcessGroup(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ProcessGroup::~ProcessGroup() = default;

std::shared_ptr<ProcessGroup> ProcessGroup::single() {
  return std::shared_ptr<ProcessGroup>(new ProcessGroup(std::make_unique<Impl>()));
}

std::shared_ptr<ProcessGroup> ProcessGroup::join(const ProcessEnvironment& environment,
                                                 const ProcessGroupOptions& options) {
  if (environment.world_size < 1 || environment.rank < 0 ||
      environment.rank >= environment.world_size) {
    throw UsageError("process group",
                     "rank",
                     "one from 0 to below " + std::to_string(environment.world_size),
                     std::to_string(environment.rank));
  }
  if (options.timeout() < std::chrono::seconds(1)) {
    throw UsageError("process group",
                     "timeout",
                     "at least 1 s",
                     std::to_string(options.timeout().count()) + " ms");
  }
  auto impl = std::make_unique<Impl>();
  impl->rank = environment.rank;
  impl->size = environment.world_size;
  impl->device = options.device();
  if (impl->size > 1) impl->connection = ProcessConnection::join(environment, options);
  return std::shared_ptr<ProcessGroup>(new ProcessGroup(std::move(impl)));
}

int ProcessGroup::rank() const { return impl_->rank; }

int ProcessGroup::size() const { return impl_->size; }

torch::Device ProcessGroup::device() const { return impl_->device; }

void ProcessGroup::all_reduce(torch::Tensor tensor, Reduction reduction) {
  check_reducible(tensor);
  if (impl_->connection == nullptr) return;
  const auto staged = impl_->staged(tensor);
  impl_->finish(
      impl_->connection->all_reduce(Channel::foreground, staged, reduction), staged, tensor);
}

double ProcessGroup::all_reduce(double value, Reduction reduction) {
  const auto tensor = torch::full({1}, value, torch::kDouble);
  all_reduce(tensor, reduction);
  return tensor.item<double>();
}

PendingReduction ProcessGroup::all_reduce_async(torch::Tensor tensor) {
  check_reducible(tensor);
  PendingReduction pending;
  if (impl_->connection == nullptr) return pending;
  if (!tensor.is_contiguous() || tensor.device() != impl_->connection->device()) {
    throw ShapeError("process group",
                     "tensor to reduce",
                     "a contiguous one on " + impl_->connection->device().str(),
                     describe_tensor(tensor) + " on " + tensor.device().str());
  }
  pending.state_ = std::make_shared<PendingReduction::State>();
  pending.state_->connection = impl_->connection;
  pending.state_->operation =
      impl_->connection->all_reduce(Channel::gradients, tensor.detach(), Reduction::sum);
  return pending;
}

void ProcessGroup::broadcast(torch::Tensor tensor, int root) {
  check_defined(tensor);
  if (root < 0 || root >= size()) {
    throw UsageError("process group",
                     "root of a broadcast",
                     "a rank below " + std::to_string(size()),
                     std::to_string(root));
  }
  if (impl_->connection == nullptr || tensor.numel() == 0) return;
  auto staged = impl_->staged(tensor);
  // A contiguous tensor's bytes are the tensor itself.
  impl_->finish(impl_->connection->broadcast(as_bytes(staged), root), staged, tensor);
}

torch::Tensor ProcessGroup::all_gather(const torch::Tensor& tensor) {
  check_defined(tensor);
  const torch::NoGradGuard no_grad;
  if (impl_->connection == nullptr) return tensor.detach().clone().unsqueeze(0);
  auto sizes = tensor.sizes().vec();
  sizes.insert(sizes.begin(), size());
  if (tensor.numel() == 0) return torch::empty(sizes, tensor.options());
  const auto staged = impl_->staged(tensor);
  const auto gathered = torch::empty(sizes, staged.options());
  std::vector<torch::Tensor> outputs;
  for (int i = 0; i < size(); ++i) outputs.push_back(as_bytes(gathered[i]));
  impl_->connection->wait(*impl_->connection->all_gather(outputs, as_bytes(staged)));
  return gathered.to(tensor.device());
}

torch::Tensor ProcessGroup::all_gather_rows(const torch::Tensor& tensor) {
  check_defined(tensor);
  if (tensor.dim() == 0) {
    throw ShapeError("process group", "rows to gather", "at least one axis", "a scalar");
  }
  const torch::NoGradGuard no_grad;
  if (impl_->connection == nullptr) return tensor.detach().clone();
  // Rows, dtype, number of axes, and a hash of the sizes of the other axes.
  const auto axes = tensor.sizes().slice(1);
  int64_t hash = 0;
  for (const auto length : axes) hash = hash * 1000003 + length;
  const auto own = torch::tensor(
      {tensor.size(0), static_cast<int64_t>(tensor.scalar_type()), tensor.dim(), hash},
      torch::kLong);
  const auto all = all_gather(own);
  for (int i = 0; i < size(); ++i) {
    if (!all[i].slice(0, 1).equal(all[0].slice(0, 1))) {
      throw ShapeError("process group",
                       "rows to gather",
                       "the same dtype and axes in all processes",
                       "others in rank " + std::to_string(i) + " than in rank 0",
                       "This process has " + describe_tensor(tensor));
    }
  }
  // [n, ...] -> [longest, ...] -> [size, longest, ...] -> [sum of n, ...]
  const auto counts = all.select(1, 0);
  auto padded_sizes = tensor.sizes().vec();
  padded_sizes[0] = counts.max().item<int64_t>();
  auto padded = torch::zeros(padded_sizes, tensor.options());
  padded.slice(0, 0, tensor.size(0)).copy_(tensor);
  const auto gathered = all_gather(padded);
  std::vector<torch::Tensor> rows;
  for (int i = 0; i < size(); ++i) {
    rows.push_back(gathered[i].slice(0, 0, counts[i].item<int64_t>()));
  }
  return torch::cat(rows);
}

void ProcessGroup::barrier() { all_reduce(0.0); }

void ProcessGroup::report_failure(const std::string& reason) noexcept {
  if (impl_->connection != nullptr) impl_->connection->report_failure(reason);
}

}  // namespace vizoo
