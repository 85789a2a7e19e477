#include "vizoo/training/schedule.h"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>

#include "vizoo/core/error.h"

namespace vizoo {
namespace {

constexpr double kPi = 3.14159265358979323846;

template <class Value>
void expect(bool fits, const char* subject, const std::string& expected, Value got) {
  if (fits) return;
  std::ostringstream text;
  text << got;
  throw UsageError("schedule", subject, expected, text.str());
}

void check(const ScheduleOptions& options, int64_t step) {
  const auto rate = options.learning_rate();
  const auto minimal = options.minimal_learning_rate();
  expect(std::isfinite(rate) && rate >= 0, "learning_rate", "a number of at least 0", rate);
  expect(minimal >= 0 && minimal <= rate,
         "minimal_learning_rate",
         "a number from 0 to learning_rate",
         minimal);
  expect(options.steps() >= 1, "steps", "at least 1", options.steps());
  expect(options.warmup_steps() >= 0 && options.warmup_steps() <= options.steps(),
         "warmup_steps",
         "0 to " + std::to_string(options.steps()) + ", the steps in all",
         options.warmup_steps());
  expect(step >= 0, "step", "at least 0", step);
}

}  // namespace

double scheduled_learning_rate(const ScheduleOptions& options, int64_t step) {
  check(options, step);
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
