#pragma once

#include <torch/arg.h>

#include <cstdint>

#include "vizoo/training/training_state.h"

namespace vizoo {

/// How a LossScaler follows the gradients. Defaults: torch.amp.GradScaler of 2.11.
struct LossScalerOptions {
  TORCH_ARG(double, initial_scale) = 65536.0;  ///< a power of two, at least 1
  TORCH_ARG(double, growth_factor) = 2.0;      ///< a power of two, above 1
  TORCH_ARG(int64_t, growth_interval) = 2000;  ///< steps without overflow until it grows; >= 1
};

/// The factor of the loss that keeps float16 gradients from vanishing (Micikevicius et al. 2018,
/// https://arxiv.org/abs/1710.03740, section 3.2): backward starts from scale * loss, and gradients
/// are divided by `scale` before they are used. It halves when they overflow, down to 1, and doubles
/// after `growth_interval` steps without overflow, up to 2^24. Powers of two lose no bit.
class LossScaler {
 public:
  /// Throws UsageError for options out of range.
  explicit LossScaler(const LossScalerOptions& options = {});

  double scale() const { return scale_; }

  /// After each step: whether its gradients were finite, the same in all processes.
  void update(bool finite);

  /// To and from the fields `loss_scale` and `loss_scale_steps`. A state without a scale, of a run
  /// that used none, changes nothing.
  void save(TrainingState& state) const;
  void load(const TrainingState& state);

 private:
  LossScalerOptions options_;
  double scale_;
  int64_t steps_ = 0;  // since the scale changed
};

}  // namespace vizoo
