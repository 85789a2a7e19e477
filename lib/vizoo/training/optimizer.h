#pragma once

#include <torch/arg.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "vizoo/core/config.h"
#include "vizoo/nn/model_output.h"
#include "vizoo/training/parameter_groups.h"

namespace vizoo {

/// How parameters follow their gradients.
enum class OptimizerType {
  adamw,  ///< Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101; torch.optim.AdamW
  sgd     ///< with momentum; torch.optim.SGD
};

template <>
struct EnumNames<OptimizerType> {
  static constexpr std::pair<OptimizerType, const char*> table[] = {
      {OptimizerType::adamw, "adamw"},
      {OptimizerType::sgd, "sgd"},
  };
};

/// Arguments of `make_optimizer`. Defaults: AdamW as ConvNeXt, DeiT and NAT train (Liu et al. 2022,
/// table 5), which are those of torch.optim.AdamW; momentum 0.9 as ResNet (He et al. 2015).
struct OptimizerOptions {
  TORCH_ARG(OptimizerType, type) = OptimizerType::adamw;
  /// AdamW: decay rates of the averages of gradients and of their squares, in [0, 1).
  TORCH_ARG(double, beta1) = 0.9;
  TORCH_ARG(double, beta2) = 0.999;
  /// AdamW: added to the root of the average of squares, at least 0.
  TORCH_ARG(double, epsilon) = 1e-8;
  /// SGD: at least 0; 0 keeps no state.
  TORCH_ARG(double, momentum) = 0.9;
  /// SGD: Nesterov's form; needs a momentum above 0.
  TORCH_ARG(bool, nesterov) = false;
};

/// Changes parameters by their gradients.
///
/// State and results are those of torch.optim of 2.11 with fused=True: AdamW decays weights by
/// learning_rate * weight_decay apart from the gradient, SGD adds weight_decay * parameter to it.
/// Parameters without gradient are left alone, with their state and their count of steps. State has
/// the dtype, device and memory layout of its parameter. Copying the model to another device makes
/// the optimizer useless: build it after that.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// One step with `learning_rate` times the group's scale. Throws UsageError unless it is a finite
  /// number of at least 0, ShapeError for a gradient whose shape, dtype or device is not that of
  /// its parameter.
  void step(double learning_rate);

  /// Drops all gradients, so that the next backward pass writes instead of adds
  /// (zero_grad(set_to_none=True)).
  void zero_grad();

  /// What a checkpoint has to hold, by name; tensors that share memory with the optimizer.
  ///
  /// | optimizer | names, for each parameter |
  /// |---|---|
  /// | AdamW | exp_avg.PARAMETER, exp_avg_sq.PARAMETER, step.PARAMETER (float32 scalar) |
  /// | SGD | momentum_buffer.PARAMETER, with momentum |
  virtual NamedTensors state() const = 0;

  /// Copies a state that `state()` returned for the same parameters, from any device and
  /// floating-point type. Throws CheckpointError that names all that is missing, left over or of
  /// another shape or kind; then nothing has changed.
  void load_state(const NamedTensors& state);

  const std::vector<ParameterGroup>& groups() const { return groups_; }

  /// The parameters of all groups.
  std::vector<torch::Tensor> parameters() const;

 protected:
  /// Tensors of one group, device and dtype that have gradients; `entries` are their indices among
  /// all parameters of all groups.
  struct Update {
    std::vector<torch::Tensor> parameters;
    std::vector<torch::Tensor> gradients;
    std::vector<std::size_t> entries;
    double learning_rate;
    double weight_decay;
  };

  explicit Optimizer(std::vector<ParameterGroup> groups);
  virtual void apply(Update& update) = 0;

 private:
  std::vector<ParameterGroup> groups_;
};

/// Throws UsageError for options out of range, groups without a parameter, a parameter or name that
/// is there twice, and ShapeError for parameters that are not dense floating-point tensors.
std::unique_ptr<Optimizer> make_optimizer(std::vector<ParameterGroup> groups,
                                          const OptimizerOptions& options = {});

/// Multiplies all gradients by min(1, max_norm / (norm + 1e-6)) and returns the norm before: the
/// 2-norm over all gradients (torch.nn.utils.clip_grad_norm_). max_norm: at least 0; infinity
/// measures only. A norm that is NaN or infinite is returned and changes nothing. Without gradients
/// the norm is 0. Throws UsageError for a negative or NaN max_norm.
double clip_gradient_norm(const std::vector<torch::Tensor>& parameters, double max_norm);

/// Whether no gradient holds a NaN or an infinity; true without gradients.
bool gradients_are_finite(const std::vector<torch::Tensor>& parameters);

}  // namespace vizoo
