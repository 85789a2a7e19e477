#include "vizoo/training/schedule.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "vizoo/core/constants.h"
#include "vizoo/core/error.h"
#include "vizoo/training/option_checks.h"

namespace vizoo {
namespace {

constexpr const char* kScheduleWhere = "schedule";
void check_schedule(const ScheduleOptions& options, int64_t step) {
  const auto rate = options.learning_rate();
  const auto minimal = options.minimal_learning_rate();
  expect_option(std::isfinite(rate) && rate >= 0,
                kScheduleWhere,
                "learning_rate",
                "a number of at least 0",
                rate);
  expect_option(minimal >= 0 && minimal <= rate,
                kScheduleWhere,
                "minimal_learning_rate",
                "a number from 0 to learning_rate",
                minimal);
  expect_option(options.steps() >= 1, kScheduleWhere, "steps", "at least 1", options.steps());
  expect_option(options.warmup_steps() >= 0 && options.warmup_steps() <= options.steps(),
                kScheduleWhere,
                "warmup_steps",
                "0 to " + std::to_string(options.steps()) + ", the steps in all",
                options.warmup_steps());
  expect_option(step >= 0, kScheduleWhere, "step", "at least 0", step);
}

}  // namespace

double scheduled_learning_rate(const ScheduleOptions& options, int64_t step) {
  check_schedule(options, step);
  const auto rate = options.learning_rate();
  const auto warmup = options.warmup_steps();
  if (step < warmup) return rate * (static_cast<double>(step) / static_cast<double>(warmup));

  const auto falling = static_cast<double>(std::max<int64_t>(options.steps() - warmup, 1));
  const double progress =
      step >= options.steps() ? 1.0 : static_cast<double>(step - warmup) / falling;
  double factor = 1.0;
  if (options.type() == ScheduleType::cosine) factor = 0.5 * (1.0 + std::cos(kPi * progress));
  if (options.type() == ScheduleType::linear) factor = 1.0 - progress;
  return options.minimal_learning_rate() + (rate - options.minimal_learning_rate()) * factor;
}

}  // namespace vizoo
