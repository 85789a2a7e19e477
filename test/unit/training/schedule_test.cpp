#include "vizoo/training/schedule.h"

#include <cmath>
#include <limits>

#include "test/support/catch.h"
#include "vizoo/core/error.h"

using vizoo::scheduled_learning_rate;
using vizoo::ScheduleOptions;
using vizoo::ScheduleType;

namespace {

ScheduleOptions options(ScheduleType type, int64_t steps, int64_t warmup) {
  return ScheduleOptions().type(type).learning_rate(0.5).steps(steps).warmup_steps(warmup);
}

std::string problem(const ScheduleOptions& options, int64_t step) {
  try {
    scheduled_learning_rate(options, step);
  } catch (const vizoo::UsageError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("learning rates are those of Transformers' get_scheduler", "[training]") {
  // 0.5 times the factors that transformers.get_scheduler 4.37.2 gives for 4 steps of warm-up
  // of 12.
  const std::vector<double> warmup = {0.0, 0.125, 0.25, 0.375};
  const std::vector<double> cosine = {0.5,
                                      0.48096988312782166,
                                      0.42677669529663687,
                                      0.34567085809127245,
                                      0.25,
                                      0.15432914190872757,
                                      0.07322330470336313,
                                      0.019030116872178315,
                                      0.0};
  for (int64_t step = 0; step <= 12; ++step) {
    const auto linear_rate = step < 4 ? warmup[step] : 0.5 * static_cast<double>(12 - step) / 8;
    const auto cosine_rate = step < 4 ? warmup[step] : cosine[step - 4];
    CHECK(scheduled_learning_rate(options(ScheduleType::linear, 12, 4), step) ==
          Approx(linear_rate).margin(1e-15));
    CHECK(scheduled_learning_rate(options(ScheduleType::cosine, 12, 4), step) ==
          Approx(cosine_rate).margin(1e-15));
    CHECK(scheduled_learning_rate(options(ScheduleType::constant, 12, 4), step) ==
          (step < 4 ? warmup[step] : 0.5));
  }
}

TEST_CASE("rates fall to the minimal one and stay there", "[training]") {
  for (const auto type : {ScheduleType::linear, ScheduleType::cosine}) {
    const auto schedule = options(type, 100, 10).minimal_learning_rate(0.1);
    CHECK(scheduled_learning_rate(schedule, 0) == 0.0);
    CHECK(scheduled_learning_rate(schedule, 10) == Approx(0.5));
    CHECK(scheduled_learning_rate(schedule, 55) == Approx(0.3));
    CHECK(scheduled_learning_rate(schedule, 100) == Approx(0.1));
    CHECK(scheduled_learning_rate(schedule, std::numeric_limits<int64_t>::max()) == Approx(0.1));
    for (int64_t step = 11; step < 100; ++step) {
      CHECK(scheduled_learning_rate(schedule, step) < scheduled_learning_rate(schedule, step - 1));
    }
  }
}

TEST_CASE("schedules of warm-up alone and of one step", "[training]") {
  CHECK(scheduled_learning_rate(options(ScheduleType::cosine, 4, 4), 3) == 0.375);
  CHECK(scheduled_learning_rate(options(ScheduleType::linear, 1, 0), 0) == 0.5);
  CHECK(scheduled_learning_rate(options(ScheduleType::linear, 1, 1), 0) == 0.0);
}

TEST_CASE("schedules out of range are refused", "[training]") {
  const auto good = options(ScheduleType::cosine, 10, 2);
  CHECK(problem(good, -1) == "[schedule] step: expected at least 0, got -1.");
  CHECK(problem(options(ScheduleType::cosine, 0, 0), 0) ==
        "[schedule] steps: expected at least 1, got 0.");
  CHECK(problem(options(ScheduleType::cosine, 3, 4), 0) ==
        "[schedule] warmup_steps: expected 0 to 3, the steps in all, got 4.");
  CHECK(problem(options(ScheduleType::cosine, 3, 0).learning_rate(NAN), 0) ==
        "[schedule] learning_rate: expected a number of at least 0, got nan.");
  CHECK(problem(options(ScheduleType::cosine, 3, 0).minimal_learning_rate(0.6), 0) ==
        "[schedule] minimal_learning_rate: expected a number from 0 to learning_rate, got 0.6.");
  CHECK(problem(options(ScheduleType::cosine, 3, 0).minimal_learning_rate(-0.1), 0) ==
        "[schedule] minimal_learning_rate: expected a number from 0 to learning_rate, got -0.1.");
}
