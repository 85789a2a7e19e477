#include "vizoo/training/loss_scaler.h"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>

#include "vizoo/core/error.h"
#include "vizoo/training/option_checks.h"

namespace vizoo {
namespace {

constexpr const char* kScalerWhere = "loss scaler";
constexpr double kLargestScale = 16777216.0;  // 2^24

bool is_power_of_two(double value) {
  int exponent = 0;
  return std::isfinite(value) && std::frexp(value, &exponent) == 0.5;
}

}  // namespace

LossScaler::LossScaler(const LossScalerOptions& options)
    : options_(options), scale_(options.initial_scale()) {
  expect_option(is_power_of_two(scale_) && scale_ >= 1.0 && scale_ <= kLargestScale,
                kScalerWhere,
                "initial_scale",
                "a power of two from 1 to 2^24",
                scale_);
  expect_option(is_power_of_two(options.growth_factor()) && options.growth_factor() > 1.0,
                kScalerWhere,
                "growth_factor",
                "a power of two above 1",
                options.growth_factor());
  expect_option(options.growth_interval() >= 1,
                kScalerWhere,
                "growth_interval",
                "at least 1",
                static_cast<double>(options.growth_interval()));
}

void LossScaler::update(bool finite) {
  if (!finite) {
    scale_ = std::max(1.0, scale_ / 2);
    steps_ = 0;
  } else if (++steps_ >= options_.growth_interval()) {
    scale_ = std::min(kLargestScale, scale_ * options_.growth_factor());
    steps_ = 0;
  }
}

void LossScaler::save(TrainingState& state) const {
  state.loss_scale = scale_;
  state.loss_scale_steps = steps_;
}

void LossScaler::load(const TrainingState& state) {
  if (!state.loss_scale) return;
  if (!is_power_of_two(*state.loss_scale) || *state.loss_scale < 1.0 ||
      *state.loss_scale > kLargestScale) {
    std::ostringstream got;
    got << *state.loss_scale;
    throw CheckpointError("checkpoint", "loss_scale", "a power of two from 1 to 2^24", got.str());
  }
  scale_ = *state.loss_scale;
  steps_ = state.loss_scale_steps;
}

}  // namespace vizoo
