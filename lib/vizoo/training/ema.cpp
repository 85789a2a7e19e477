#include "vizoo/training/ema.h"

#include <algorithm>
#include <cmath>

#include "vizoo/core/error.h"
#include "vizoo/nn/pretrained_model.h"
#include "vizoo/training/named_state.h"
#include "vizoo/training/option_checks.h"

namespace vizoo {
namespace {

constexpr const char* kAverageWhere = "moving average";

// Half types have too few digits for an average: with a decay of 0.999 nothing would be added.
torch::ScalarType average_type(const torch::Tensor& tensor) {
  const auto type = tensor.scalar_type();
  return type == torch::kHalf || type == torch::kBFloat16 ? torch::kFloat32 : type;
}

// Parameters and then buffers of `model`, in the order of `averages`.
std::vector<torch::Tensor> matching_tensors(const torch::nn::Module& model,
                                            const NamedTensors& averages) {
  std::vector<torch::Tensor> tensors;
  tensors.reserve(averages.size());
  const auto add = [&](const std::string& name, const torch::Tensor& tensor) {
    const auto index = tensors.size();
    const bool known = index < averages.size() && averages[index].first == name;
    if (!known || averages[index].second.sizes() != tensor.sizes() ||
        averages[index].second.device() != tensor.device()) {
      throw ShapeError(kAverageWhere,
                       name,
                       known ? describe_tensor(averages[index].second) + " on " +
                                   averages[index].second.device().str()
                             : "the model that the average began with",
                       describe_tensor(tensor) + " on " + tensor.device().str());
    }
    tensors.push_back(tensor);
  };
  for (const auto& parameter : model.named_parameters()) add(parameter.key(), parameter.value());
  for (const auto& buffer : model.named_buffers()) add(buffer.key(), buffer.value());
  if (tensors.size() != averages.size()) {
    throw ShapeError(kAverageWhere,
                     "model",
                     std::to_string(averages.size()) + " parameters and buffers",
                     std::to_string(tensors.size()));
  }
  return tensors;
}

}  // namespace

ExponentialMovingAverage::ExponentialMovingAverage(const torch::nn::Module& model,
                                                   const MovingAverageOptions& options)
    : options_(options) {
  expect_option(options.decay() >= 0 && options.decay() <= 1,
                kAverageWhere,
                "decay",
                "0 to 1",
                options.decay());
  expect_option(options.warmup_gamma() > 0 && std::isfinite(options.warmup_gamma()),
                kAverageWhere,
                "warmup_gamma",
                "a number above 0",
                options.warmup_gamma());
  expect_option(options.warmup_power() > 0 && std::isfinite(options.warmup_power()),
                kAverageWhere,
                "warmup_power",
                "a number above 0",
                options.warmup_power());
  for (const auto& parameter : model.named_parameters()) {
    const auto weight = parameter.value().detach();
    averages_.emplace_back(parameter.key(), weight.to(average_type(weight), false, true));
  }
  parameters_ = averages_.size();
  for (const auto& buffer : model.named_buffers()) {
    averages_.emplace_back(buffer.key(), buffer.value().detach().clone());
  }
}

double ExponentialMovingAverage::decay(int64_t step) const {
  expect_option(step >= 1, kAverageWhere, "step", "at least 1", static_cast<double>(step));
  if (!options_.warmup()) return options_.decay();
  const double updates = static_cast<double>(step - 1) / options_.warmup_gamma();
  return std::min(options_.decay(), 1.0 - std::pow(1.0 + updates, -options_.warmup_power()));
}

void ExponentialMovingAverage::update(const torch::nn::Module& model, int64_t step) {
  const torch::NoGradGuard no_grad;
  const double weight = 1.0 - decay(step);
  const auto tensors = matching_tensors(model, averages_);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    auto& average = averages_[i].second;
    if (i < parameters_) {
      average.lerp_(tensors[i].to(average.scalar_type()), weight);
    } else {
      average.copy_(tensors[i]);
    }
  }
}

void ExponentialMovingAverage::apply(torch::nn::Module& model) {
  if (applied_) {
    throw UsageError(kAverageWhere, "apply", "averages that are in no model", "two calls in a row");
  }
  const torch::NoGradGuard no_grad;
  auto tensors = matching_tensors(model, averages_);
  for (const auto& tensor : tensors) kept_.push_back(tensor.detach().clone());
  applied_ = true;
  for (std::size_t i = 0; i < tensors.size(); ++i) tensors[i].copy_(averages_[i].second);
}

void ExponentialMovingAverage::restore(torch::nn::Module& model) {
  if (!applied_) throw UsageError(kAverageWhere, "restore", "a call of apply before it", "none");
  const torch::NoGradGuard no_grad;
  auto tensors = matching_tensors(model, averages_);
  for (std::size_t i = 0; i < tensors.size(); ++i) tensors[i].copy_(kept_[i]);
  kept_.clear();
  applied_ = false;
}

void ExponentialMovingAverage::load_state(const NamedTensors& state) {
  copy_named_state(state, averages_, "moving average");
}

AppliedAverage::~AppliedAverage() {
  try {
    average_.restore(model_);
  } catch (...) {  // NOLINT: only a model that was exchanged in the meantime gets here
  }
}

}  // namespace vizoo
