#pragma once

#include <torch/arg.h>

#include <cstdint>
#include <utility>

#include "vizoo/core/config.h"

namespace vizoo {

/// How the learning rate falls after warm-up, by the names of Transformers' get_scheduler.
enum class ScheduleType {
  cosine,   ///< half a period of a cosine (Loshchilov and Hutter 2017, arxiv.org/abs/1608.03983)
  linear,   ///< a straight line
  constant  ///< not at all; with warm-up what get_scheduler calls constant_with_warmup
};

template <>
struct EnumNames<ScheduleType> {
  static constexpr std::pair<ScheduleType, const char*> table[] = {
      {ScheduleType::cosine, "cosine"},
      {ScheduleType::linear, "linear"},
      {ScheduleType::constant, "constant"},
  };
};

/// Arguments of `scheduled_learning_rate`.
struct ScheduleOptions {
  TORCH_ARG(ScheduleType, type) = ScheduleType::cosine;
  /// The highest rate, finite and at least 0.
  TORCH_ARG(double, learning_rate) = 1e-3;
  /// The rate at the end, from 0 to learning_rate; what cosine and linear fall to.
  TORCH_ARG(double, minimal_learning_rate) = 0.0;
  /// Optimizer steps in all, at least 1, warm-up included.
  TORCH_ARG(int64_t, steps) = 1;
  /// Optimizer steps of warm-up, from 0 to steps.
  TORCH_ARG(int64_t, warmup_steps) = 0;
};

/// The learning rate of optimizer step `step`, counted from 0; a function of nothing else, so that
/// a resumed run needs no state. With S steps, W of them warm-up, and p = (step - W) / (S - W):
///
/// | where | rate |
/// |---|---|
/// | step < W | learning_rate step / W, so the first step's is 0, as upstream |
/// | cosine | minimal + (learning_rate - minimal) (1 + cos(pi p)) / 2 |
/// | linear | minimal + (learning_rate - minimal) (1 - p) |
/// | constant | learning_rate |
/// | step >= S | the rate at p = 1 |
///
/// Equal to Transformers 4.37.2's get_scheduler (optimization.py) up to step S for a minimal rate
/// of 0, and to its later cosine_with_min_lr for others. Throws UsageError for options out of range
/// and a negative step.
double scheduled_learning_rate(const ScheduleOptions& options, int64_t step);

}  // namespace vizoo
