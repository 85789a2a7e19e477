#pragma once

// What the user sees of a training run: a line of progress, a JSON log, TensorBoard's events.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "vizoo/training/event_file.h"
#include "vizoo/training/log_file.h"
#include "vizoo/training/trainer.h"

namespace vizoo::app {

/// Of the first process, which alone reports. Progress goes to stderr: on a terminal a line that is
/// drawn anew, else a line for each epoch.
class TrainingReport : public TrainingObserver {
 public:
  /// Appends to `output`/log.jsonl and makes an event file in `output`/events. `steps` are those of
  /// the whole run, `steps_per_epoch` of one epoch; `first_step`: where the run begins or goes on,
  /// so what the logs have beyond it goes.
  TrainingReport(const std::filesystem::path& output,
                 int64_t steps,
                 int64_t steps_per_epoch,
                 std::string sample_name,
                 int64_t first_step);
  ~TrainingReport() override;

  void on_step(const StepReport& report) override;
  void on_evaluation(const EvaluationReport& report) override;
  void on_checkpoint(int64_t step, const std::filesystem::path& folder) override;
  void on_warning(const std::string& message) override;

  /// Values of the last evaluation; none if there was none.
  const MetricValues& last_evaluation() const { return last_evaluation_; }

 private:
  using Clock = std::chrono::steady_clock;

  void draw(const StepReport& report);
  void clear();
  void print(const std::string& line);

  LogFile log_;
  EventFile events_;
  int64_t steps_;
  int64_t steps_per_epoch_;
  std::string sample_name_;
  bool terminal_;
  bool drawn_ = false;
  Clock::time_point last_step_ = Clock::now();
  Clock::time_point last_drawn_{};
  double seconds_per_step_ = 0.0;    // a moving average
  double samples_per_second_ = 0.0;  // of the same
  double smooth_loss_ = 0.0;
  int64_t seen_ = 0;
  MetricValues last_evaluation_;
};

/// Says on stderr what goes wrong, and nothing else: of the first process while it resumes, and of
/// the others.
class SilentReport : public TrainingObserver {
 public:
  explicit SilentReport(int rank) : rank_(rank) {}
  void on_warning(const std::string& message) override;

 private:
  int rank_;
};

/// `name value`, a line for each; shares with four digits.
void print_metrics(const MetricValues& values);

}  // namespace vizoo::app
