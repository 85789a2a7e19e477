#pragma once

#include <torch/arg.h>

#include <cstdint>
#include <string>
#include <vector>

#include "vizoo/nn/model_output.h"
#include "vizoo/nn/torch.h"

namespace vizoo {

/// How fast an ExponentialMovingAverage follows. Defaults: 0.9999, as ConvNeXt and NAT
/// (Liu et al. 2022, table 5), without warm-up, as timm's ModelEmaV2.
struct MovingAverageOptions {
  /// In [0, 1].
  TORCH_ARG(double, decay) = 0.9999;
  /// Follows faster at first: the decay of step n is min(decay, 1 - (1 + (n - 1) / gamma)^-power),
  /// as timm's ModelEmaV3, so that the first average is the weights themselves and does not stay
  /// near where training began.
  TORCH_ARG(bool, warmup) = false;
  /// Above 0.
  TORCH_ARG(double, warmup_gamma) = 1.0;
  /// Above 0. 2/3 reaches a decay of 0.999 after 31,600 steps and 0.9999 after a million.
  TORCH_ARG(double, warmup_power) = 2.0 / 3.0;
};

/// Exponential moving average of a model's weights: after each step
/// average = decay average + (1 - decay) weight, for every parameter, trained or not; buffers are
/// those of the model (Polyak and Juditsky 1992; timm 0.9's ModelEmaV2 and ModelEmaV3, where V2
/// averages buffers too).
///
/// Averages of half types are float32. The model may be another object than the one that the
/// average began with, as long as its parameters have the same names, shapes and devices; else
/// ShapeError.
class ExponentialMovingAverage {
 public:
  /// Begins with the weights of `model`. Throws UsageError for options out of range.
  explicit ExponentialMovingAverage(const torch::nn::Module& model,
                                    const MovingAverageOptions& options = {});

  /// Decay of optimizer step `step`, counted from 1.
  double decay(int64_t step) const;

  /// Takes in the weights that optimizer step `step`, counted from 1, left behind. Throws
  /// UsageError for a step below 1.
  void update(const torch::nn::Module& model, int64_t step);

  /// Puts the averages into the model, and keeps its own weights and buffers until `restore`.
  /// Throws UsageError if they are kept already.
  void apply(torch::nn::Module& model);

  /// Puts the weights that `apply` kept back, bit for bit, and forgets them. Throws UsageError if
  /// none are kept.
  void restore(torch::nn::Module& model);

  /// Whether the averages are in a model.
  bool applied() const { return applied_; }

  /// The averages under the names of the parameters, and the buffers under theirs; tensors that
  /// share memory with this.
  NamedTensors state() const { return averages_; }

  /// Copies a state that `state()` returned for the same model, from any device. Throws
  /// CheckpointError that names all that is missing, left over or of another shape or kind; then
  /// nothing has changed.
  void load_state(const NamedTensors& state);

 private:
  MovingAverageOptions options_;
  std::size_t parameters_ = 0;  // the first of averages_ are parameters, the others buffers
  NamedTensors averages_;
  std::vector<torch::Tensor> kept_;  // in the order of averages_
  bool applied_ = false;
};

/// Puts averages into a model for as long as it lives.
class AppliedAverage {
 public:
  AppliedAverage(ExponentialMovingAverage& average, torch::nn::Module& model)
      : average_(average), model_(model) {
    average_.apply(model_);
  }
  ~AppliedAverage();
  AppliedAverage(const AppliedAverage&) = delete;
  AppliedAverage& operator=(const AppliedAverage&) = delete;

 private:
  ExponentialMovingAverage& average_;
  torch::nn::Module& model_;
};

}  // namespace vizoo
