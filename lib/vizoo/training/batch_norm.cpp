#include "vizoo/training/batch_norm.h"

#include <torch/csrc/autograd/custom_function.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "vizoo/core/error.h"
#include "vizoo/nn/layers.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

// Tensors of one dtype and device travel as one.
void broadcast_all(const std::vector<torch::Tensor>& tensors, ProcessGroup& group) {
  if (group.size() == 1) return;
  const torch::NoGradGuard no_grad;
  std::map<std::pair<torch::ScalarType, std::string>, std::vector<torch::Tensor>> kinds;
  for (const auto& tensor : tensors) {
    if (!tensor.defined() || tensor.numel() == 0) continue;
    kinds[{tensor.scalar_type(), tensor.device().str()}].push_back(tensor.detach());
  }
  for (auto& [kind, members] : kinds) {
    std::vector<torch::Tensor> flat;
    flat.reserve(members.size());
    for (const auto& member : members) flat.push_back(member.flatten());
    const auto joined = torch::cat(flat);
    group.broadcast(joined);
    int64_t begin = 0;
    for (auto& member : members) {
      const auto end = begin + member.numel();
      member.copy_(joined.slice(0, begin, end).view(member.sizes()));
      begin = end;
    }
  }
}

// All axes but the channels'.
std::vector<int64_t> reduced_axes(const torch::Tensor& input) {
  std::vector<int64_t> axes = {0};
  for (int64_t axis = 2; axis < input.dim(); ++axis) axes.push_back(axis);
  return axes;
}

// [C] -> [1, C, 1, ...], to be used with the input.
torch::Tensor beside_channels(const torch::Tensor& tensor, const torch::Tensor& input) {
  std::vector<int64_t> sizes(static_cast<std::size_t>(input.dim()), 1);
  sizes[1] = -1;
  return tensor.view(sizes);
}

struct Statistics {
  torch::Tensor mean;  // [C], float64
  torch::Tensor var;   // [C], float64, biased
  double count = 0.0;  // values for each channel
};

// Mean and variance of all processes' values from those of each one's own (Chan, Golub and LeVeque
// 1979, "Updating formulae and a pairwise algorithm for computing sample variances").
Statistics gather_statistics(const torch::Tensor& input, ProcessGroup& group) {
  const int64_t channels = input.size(1);
  const double own_count =
      channels == 0 ? 0.0 : static_cast<double>(input.numel()) / static_cast<double>(channels);
  auto own = torch::zeros({2 * channels + 1}, input.options().dtype(torch::kDouble));
  if (own_count > 0.0) {
    const auto wide = input.scalar_type() == torch::kDouble ? input : input.to(torch::kFloat);
    const auto [var, mean] = torch::var_mean(wide, reduced_axes(input), /*unbiased=*/false);
    own.slice(0, 0, channels).copy_(mean);
    own.slice(0, channels, 2 * channels).copy_(var);
    own[2 * channels].fill_(own_count);
  }
  const auto all = group.all_gather(own);                            // [processes, 2 C + 1]
  const auto means = all.slice(1, 0, channels);                      // [processes, C]
  const auto variances = all.slice(1, channels, 2 * channels);       // [processes, C]
  const auto counts = all.slice(1, 2 * channels, 2 * channels + 1);  // [processes, 1]
  Statistics statistics;
  const auto count = counts.sum();
  statistics.count = count.item<double>();
  statistics.mean = (means * counts).sum(0) / count;
  statistics.var = ((variances + (means - statistics.mean).square()) * counts).sum(0) / count;
  return statistics;
}

// Lets a graph hold the group.
struct GroupHolder : torch::CustomClassHolder {
  explicit GroupHolder(std::shared_ptr<ProcessGroup> held) : group(std::move(held)) {}
  std::shared_ptr<ProcessGroup> group;
};

torch::ScalarType computing_dtype(const torch::Tensor& input) {
  return input.scalar_type() == torch::kDouble ? torch::kDouble : torch::kFloat;
}

// y = x^ weight + bias with x^ = (x - mean) / sqrt(var + eps), mean and var of all processes.
// Backward: dx = weight / sqrt(var + eps) (dy - (sum dy + x^ sum (dy x^)) / n), where the sums are
// over all n values of a channel in all processes.
class SyncBatchNorm : public torch::autograd::Function<SyncBatchNorm> {
 public:
  static torch::Tensor forward(AutogradContext* context,
                               const torch::Tensor& input,
                               const torch::Tensor& weight,
                               const torch::Tensor& bias,
                               const Statistics& statistics,
                               const std::shared_ptr<ProcessGroup>& group) {
    const auto dtype = computing_dtype(input);
    const auto mean = statistics.mean.to(dtype);
    const auto scale = (statistics.var + nn::BatchNormImpl::kEps).rsqrt().to(dtype);
    context->save_for_backward({input, weight, mean, scale});
    context->saved_data["count"] = statistics.count;
    context->saved_data["group"] =
        c10::IValue::make_capsule(c10::make_intrusive<GroupHolder>(group));
    auto output = input.to(dtype) - beside_channels(mean, input);
    output.mul_(beside_channels(scale * weight, input)).add_(beside_channels(bias, input));
    return output.to(input.scalar_type());
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto& input = saved[0];
    const auto& weight = saved[1];
    const auto& mean = saved[2];
    const auto& scale = saved[3];
    const auto dtype = computing_dtype(input);
    const auto dy = gradients[0].to(dtype);
    const auto normalised =
        (input.to(dtype) - beside_channels(mean, input)) * beside_channels(scale, input);
    const auto sum_dy = dy.sum(reduced_axes(input));
    const auto sum_dy_x = (dy * normalised).sum(reduced_axes(input));

    auto sums = torch::stack({sum_dy, sum_dy_x}).to(torch::kDouble);  // [2, C]
    const auto holder = context->saved_data["group"].toCapsule();
    static_cast<GroupHolder&>(*holder).group->all_reduce(sums);
    const auto means = (sums / context->saved_data["count"].toDouble()).to(dtype);
    const auto dx =
        (dy - beside_channels(means[0], input) - normalised * beside_channels(means[1], input)) *
        beside_channels(scale * weight, input);
    return {dx.to(input.scalar_type()),
            sum_dy_x.to(weight.scalar_type()),
            sum_dy.to(weight.scalar_type()),
            torch::Tensor(),
            torch::Tensor()};
  }
};

torch::Tensor normalise_over_processes(nn::BatchNormImpl& layer,
                                       const torch::Tensor& input,
                                       const std::shared_ptr<ProcessGroup>& group) {
  Statistics statistics;
  {
    const torch::NoGradGuard no_grad;
    statistics = gather_statistics(input.detach(), *group);
    if (statistics.count < 2.0) {
      throw ShapeError("model",
                       "batch norm in training mode",
                       "more than one value for each channel in all processes together",
                       std::to_string(static_cast<int64_t>(statistics.count)),
                       "Use a larger batch");
    }
    layer.num_batches_tracked.add_(1);
    constexpr double kMomentum = nn::BatchNormImpl::kMomentum;
    const double unbiased = statistics.count / (statistics.count - 1.0);
    layer.running_mean.lerp_(statistics.mean.to(layer.running_mean.scalar_type()), kMomentum);
    layer.running_var.lerp_((statistics.var * unbiased).to(layer.running_var.scalar_type()),
                            kMomentum);
  }
  return SyncBatchNorm::apply(input, layer.weight, layer.bias, statistics, group);
}

}  // namespace

void broadcast_parameters(torch::nn::Module& model, ProcessGroup& group) {
  broadcast_all(model.parameters(), group);
}

void broadcast_buffers(torch::nn::Module& model, ProcessGroup& group) {
  broadcast_all(model.buffers(), group);
}

int64_t convert_sync_batch_norm(torch::nn::Module& model,
                                const std::shared_ptr<ProcessGroup>& group) {
  if (group->size() == 1) return 0;
  int64_t converted = 0;
  for (const auto& module : model.modules()) {
    auto* layer = dynamic_cast<nn::BatchNormImpl*>(module.get());
    if (layer == nullptr) continue;
    layer->training_forward = [group](nn::BatchNormImpl& self, const torch::Tensor& input) {
      return normalise_over_processes(self, input, group);
    };
    ++converted;
  }
  return converted;
}

}  // namespace vizoo
