#include "vizoo/training/optimizer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <tuple>

#include "vizoo/core/error.h"
#include "vizoo/nn/pretrained_model.h"
#include "vizoo/training/named_state.h"
#include "vizoo/training/option_checks.h"

namespace vizoo {
namespace {

constexpr const char* kOptimizerWhere = "optimizer";

void check_groups(const std::vector<ParameterGroup>& groups) {
  std::set<std::string> names;
  std::set<const c10::TensorImpl*> tensors;
  for (const auto& group : groups) {
    expect_option(group.names.size() == group.parameters.size(),
                  kOptimizerWhere,
                  "groups",
                  "a name for each parameter",
                  group.names.size());
    expect_option(group.learning_rate_scale >= 0 && std::isfinite(group.learning_rate_scale),
                  kOptimizerWhere,
                  "learning_rate_scale",
                  "a number of at least 0",
                  group.learning_rate_scale);
    expect_option(group.weight_decay >= 0 && std::isfinite(group.weight_decay),
                  kOptimizerWhere,
                  "weight_decay",
                  "a number of at least 0",
                  group.weight_decay);
    for (std::size_t i = 0; i < group.names.size(); ++i) {
      const auto& tensor = group.parameters[i];
      // The fused kernels walk through memory, whatever the strides.
      if (!tensor.defined() || !tensor.is_floating_point() ||
          !tensor.is_non_overlapping_and_dense()) {
        throw ShapeError(kOptimizerWhere,
                         printable(group.names[i]),
                         "a dense floating-point tensor",
                         tensor.defined() ? describe_tensor(tensor) : "none");
      }
      const bool fresh = names.insert(group.names[i]).second &&
                         tensors.insert(tensor.unsafeGetTensorImpl()).second;
      expect_option(fresh,
                    kOptimizerWhere,
                    printable(group.names[i]),
                    "each parameter once",
                    "another of its name or memory");
    }
  }
  expect_option(!names.empty(), kOptimizerWhere, "groups", "at least one parameter", "none");
}

// In the memory layout of the parameter, as the fused kernels need it: what autograd makes has it,
// what a reducer or a user puts there may not.
torch::Tensor matching_gradient(const torch::Tensor& parameter, const std::string& name) {
  const auto gradient = parameter.grad();
  if (gradient.sizes() != parameter.sizes() || gradient.scalar_type() != parameter.scalar_type() ||
      gradient.device() != parameter.device() || gradient.layout() != torch::kStrided) {
    throw ShapeError(kOptimizerWhere,
                     "gradient of " + printable(name),
                     describe_tensor(parameter) + " on " + parameter.device().str(),
                     describe_tensor(gradient) + " on " + gradient.device().str());
  }
  if (gradient.strides() == parameter.strides()) return gradient;
  return at::empty_like(parameter).copy_(gradient);
}

// A tensor for each parameter, in the order of all groups.
std::vector<torch::Tensor> zeros_like_parameters(const std::vector<ParameterGroup>& groups) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> zeros;
  for (const auto& group : groups) {
    for (const auto& parameter : group.parameters) zeros.push_back(at::zeros_like(parameter));
  }
  return zeros;
}

std::vector<torch::Tensor> choose(const std::vector<torch::Tensor>& tensors,
                                  const std::vector<std::size_t>& entries) {
  std::vector<torch::Tensor> chosen;
  chosen.reserve(entries.size());
  for (const auto entry : entries) chosen.push_back(tensors[entry]);
  return chosen;
}

void add_named(NamedTensors& named,
               const std::string& prefix,
               const std::vector<ParameterGroup>& groups,
               const std::vector<torch::Tensor>& tensors) {
  std::size_t index = 0;
  for (const auto& group : groups) {
    for (const auto& name : group.names) named.emplace_back(prefix + name, tensors[index++]);
  }
}

class AdamW : public Optimizer {
 public:
  AdamW(std::vector<ParameterGroup> groups, const OptimizerOptions& options)
      : Optimizer(std::move(groups)),
        options_(options),
        averages_(zeros_like_parameters(this->groups())),
        squares_(zeros_like_parameters(this->groups())) {
    for (const auto& parameter : parameters()) {
      steps_.push_back(at::zeros({}, parameter.options().dtype(torch::kFloat32)));
    }
  }

  NamedTensors state() const override {
    NamedTensors named;
    add_named(named, "exp_avg.", groups(), averages_);
    add_named(named, "exp_avg_sq.", groups(), squares_);
    add_named(named, "step.", groups(), steps_);
    return named;
  }

 protected:
  void apply(Update& update) override {
    auto averages = choose(averages_, update.entries);
    auto squares = choose(squares_, update.entries);
    auto steps = choose(steps_, update.entries);
    at::_foreach_add_(steps, 1);
    at::_fused_adamw_(update.parameters,
                      update.gradients,
                      averages,
                      squares,
                      {},
                      steps,
                      update.learning_rate,
                      options_.beta1(),
                      options_.beta2(),
                      update.weight_decay,
                      options_.epsilon(),
                      /*amsgrad=*/false,
                      /*maximize=*/false);
  }

 private:
  OptimizerOptions options_;
  std::vector<torch::Tensor> averages_;
  std::vector<torch::Tensor> squares_;
  std::vector<torch::Tensor> steps_;
};

class Sgd : public Optimizer {
 public:
  Sgd(std::vector<ParameterGroup> groups, const OptimizerOptions& options)
      : Optimizer(std::move(groups)), options_(options) {
    if (options.momentum() > 0) momenta_ = zeros_like_parameters(this->groups());
  }

  NamedTensors state() const override {
    NamedTensors named;
    if (!momenta_.empty()) add_named(named, "momentum_buffer.", groups(), momenta_);
    return named;
  }

 protected:
  void apply(Update& update) override {
    std::vector<torch::Tensor> momenta;
    if (!momenta_.empty()) momenta = choose(momenta_, update.entries);
    // Without dampening a first step from zeros is what a first step without a buffer is.
    at::_fused_sgd_(update.parameters,
                    update.gradients,
                    momenta,
                    update.weight_decay,
                    options_.momentum(),
                    update.learning_rate,
                    /*dampening=*/0.0,
                    options_.nesterov(),
                    /*maximize=*/false,
                    /*is_first_step=*/false);
  }

 private:
  OptimizerOptions options_;
  std::vector<torch::Tensor> momenta_;
};

void check_optimizer_options(const OptimizerOptions& options) {
  const auto is_rate = [](double value) { return value >= 0 && value < 1; };
  expect_option(
      is_rate(options.beta1()), kOptimizerWhere, "beta1", "at least 0, below 1", options.beta1());
  expect_option(
      is_rate(options.beta2()), kOptimizerWhere, "beta2", "at least 0, below 1", options.beta2());
  expect_option(options.epsilon() >= 0 && std::isfinite(options.epsilon()),
                kOptimizerWhere,
                "epsilon",
                "a number of at least 0",
                options.epsilon());
  expect_option(options.momentum() >= 0 && std::isfinite(options.momentum()),
                kOptimizerWhere,
                "momentum",
                "a number of at least 0",
                options.momentum());
  expect_option(!options.nesterov() || options.momentum() > 0,
                kOptimizerWhere,
                "nesterov",
                "a momentum above 0",
                options.momentum());
}

std::vector<torch::Tensor> gradients_of(const std::vector<torch::Tensor>& parameters) {
  std::vector<torch::Tensor> gradients;
  for (const auto& parameter : parameters) {
    if (parameter.defined() && parameter.grad().defined()) gradients.push_back(parameter.grad());
  }
  return gradients;
}

// The `order`-norm of all gradients behind one another; 0 without any.
double gradient_norm(const std::vector<torch::Tensor>& gradients, double order) {
  if (gradients.empty()) return 0.0;
  const auto device = gradients.front().device();
  std::map<std::pair<torch::ScalarType, std::string>, std::vector<torch::Tensor>> alike;
  for (const auto& gradient : gradients) {
    alike[{gradient.scalar_type(), gradient.device().str()}].push_back(gradient);
  }
  std::vector<torch::Tensor> norms;
  for (const auto& entry : alike) {
    for (const auto& norm : at::_foreach_norm(entry.second, order)) {
      norms.push_back(norm.to(device, alike.size() > 1 ? torch::kFloat64 : norm.scalar_type()));
    }
  }
  return at::linalg_vector_norm(at::stack(norms), order).item<double>();
}

}  // namespace

Optimizer::Optimizer(std::vector<ParameterGroup> groups) : groups_(std::move(groups)) {}

void Optimizer::step(double learning_rate) {
  expect_option(learning_rate >= 0 && std::isfinite(learning_rate),
                kOptimizerWhere,
                "learning_rate",
                "a number of at least 0",
                learning_rate);
  const torch::NoGradGuard no_grad;
  // Group, device and type: what one call of a fused kernel takes.
  std::map<std::tuple<std::size_t, std::string, torch::ScalarType>, Update> updates;
  std::size_t entry = 0;
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    const auto& group = groups_[i];
    for (std::size_t k = 0; k < group.parameters.size(); ++k, ++entry) {
      const auto& parameter = group.parameters[k];
      if (!parameter.grad().defined() || parameter.numel() == 0) continue;
      auto& update = updates[{i, parameter.device().str(), parameter.scalar_type()}];
      update.parameters.push_back(parameter);
      update.gradients.push_back(matching_gradient(parameter, group.names[k]));
      update.entries.push_back(entry);
      update.learning_rate = learning_rate * group.learning_rate_scale;
      update.weight_decay = group.weight_decay;
    }
  }
  for (auto& found : updates) apply(found.second);
}

void Optimizer::zero_grad() {
  for (const auto& group : groups_) {
    for (auto parameter : group.parameters) parameter.mutable_grad().reset();
  }
}

void Optimizer::load_state(const NamedTensors& state) {
  copy_named_state(state, this->state(), "optimizer state");
}

std::vector<torch::Tensor> Optimizer::parameters() const {
  std::vector<torch::Tensor> all;
  for (const auto& group : groups_) {
    all.insert(all.end(), group.parameters.begin(), group.parameters.end());
  }
  return all;
}

std::unique_ptr<Optimizer> make_optimizer(std::vector<ParameterGroup> groups,
                                          const OptimizerOptions& options) {
  check_optimizer_options(options);
  check_groups(groups);
  if (options.type() == OptimizerType::sgd) {
    return std::make_unique<Sgd>(std::move(groups), options);
  }
  return std::make_unique<AdamW>(std::move(groups), options);
}

double clip_gradient_norm(const std::vector<torch::Tensor>& parameters, double max_norm) {
  expect_option(max_norm >= 0, kOptimizerWhere, "max_norm", "a number of at least 0", max_norm);
  const torch::NoGradGuard no_grad;
  const auto gradients = gradients_of(parameters);
  const double norm = gradient_norm(gradients, 2.0);
  const double factor = max_norm / (norm + 1e-6);
  if (std::isfinite(norm) && factor < 1.0) {
    at::_foreach_mul_(gradients, factor);
  }
  return norm;
}

bool gradients_are_finite(const std::vector<torch::Tensor>& parameters) {
  const torch::NoGradGuard no_grad;
  constexpr double kLargest = std::numeric_limits<double>::infinity();
  return std::isfinite(gradient_norm(gradients_of(parameters), kLargest));
}

}  // namespace vizoo
