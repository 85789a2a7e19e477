#include "training_report.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <iomanip>
#include <iostream>
#include <sstream>
#include <utility>

namespace vizoo::app {
namespace {

constexpr double kMemory = 0.95;  // of the moving averages that the progress line shows

double unix_time() {
  using namespace std::chrono;
  return duration<double>(system_clock::now().time_since_epoch()).count();
}

// "3:07", "1:02:45"
std::string duration_text(double seconds) {
  const auto whole = static_cast<int64_t>(std::llround(std::max(seconds, 0.0)));
  std::ostringstream text;
  if (whole >= 3600) text << whole / 3600 << ':' << std::setw(2) << std::setfill('0');
  text << whole / 60 % 60 << ':' << std::setw(2) << std::setfill('0') << whole % 60;
  return text.str();
}

std::string number(double value, int digits = 4) {
  std::ostringstream text;
  text << std::setprecision(digits) << value;
  return text.str();
}

std::string metrics_text(const MetricValues& values) {
  std::string text;
  for (const auto& [name, value] : values) {
    text += (text.empty() ? "" : ", ") + name + " " + number(value);
  }
  return text;
}

}  // namespace

TrainingReport::TrainingReport(const std::filesystem::path& output,
                               int64_t steps,
                               int64_t steps_per_epoch,
                               std::string sample_name,
                               int64_t first_step)
    : log_(output / "log.jsonl", first_step),
      events_(output / "events", unix_time(), first_step),
      steps_(steps),
      steps_per_epoch_(steps_per_epoch),
      sample_name_(std::move(sample_name)),
      terminal_(isatty(STDERR_FILENO) == 1) {}

TrainingReport::~TrainingReport() { clear(); }

void TrainingReport::on_step(const StepReport& report) {
  const auto now = Clock::now();
  const double seconds = std::chrono::duration<double>(now - last_step_).count();
  last_step_ = now;
  const double memory = seen_ == 0 ? 0.0 : kMemory;
  seconds_per_step_ = memory * seconds_per_step_ + (1 - memory) * seconds;
  const double rate = static_cast<double>(report.samples) / std::max(seconds, 1e-9);
  samples_per_second_ = memory * samples_per_second_ + (1 - memory) * rate;
  if (!report.skipped) {
    smooth_loss_ = memory * smooth_loss_ + (1 - memory) * report.loss;
    ++seen_;
  }
  log_.write({{"step", report.step},
              {"epoch", report.epoch},
              {"loss", report.loss},
              {"learning_rate", report.learning_rate},
              {sample_name_ + "_per_second", rate},
              {"gradient_norm", report.gradient_norm},
              {"skipped", report.skipped}});
  events_.add_scalars(report.step,
                      {{"train/loss", report.loss},
                       {"train/learning_rate", report.learning_rate},
                       {"train/gradient_norm", report.gradient_norm},
                       {"train/" + sample_name_ + "_per_second", rate}},
                      unix_time());
  draw(report);
}

void TrainingReport::draw(const StepReport& report) {
  const bool epoch_ends = report.step % steps_per_epoch_ == 0 || report.step == steps_;
  if (terminal_) {
    using namespace std::chrono_literals;
    if (!epoch_ends && last_step_ - last_drawn_ < 100ms) return;
    last_drawn_ = last_step_;
  } else if (!epoch_ends) {
    return;
  }
  std::ostringstream line;
  line << "step " << report.step << '/' << steps_ << "  epoch " << report.epoch + 1 << "  loss "
       << number(smooth_loss_) << "  rate " << number(report.learning_rate, 3) << "  "
       << number(samples_per_second_, 3) << ' ' << sample_name_ << "/s  left "
       << duration_text(seconds_per_step_ * static_cast<double>(steps_ - report.step));
  if (terminal_) {
    std::cerr << "\r\033[K" << line.str() << std::flush;
    drawn_ = true;
  } else {
    print(line.str());
  }
}

void TrainingReport::on_evaluation(const EvaluationReport& report) {
  last_evaluation_ = report.values;
  Json values = Json::object();
  std::vector<std::pair<std::string, double>> scalars;
  for (const auto& [name, value] : report.values) {
    values[name] = value;
    scalars.emplace_back("evaluation/" + name, value);
  }
  log_.write({{"step", report.step}, {"epoch", report.epoch}, {"evaluation", values}});
  events_.add_scalars(report.step, scalars, unix_time());
  print("step " + std::to_string(report.step) + "  evaluation: " + metrics_text(report.values) +
        (report.best ? "  (best)" : ""));
  last_step_ = Clock::now();  // the next step is not to be counted with this
}

void TrainingReport::on_checkpoint(int64_t /*step*/, const std::filesystem::path& /*folder*/) {
  last_step_ = Clock::now();
}

void TrainingReport::on_warning(const std::string& message) { print("warning: " + message); }

void TrainingReport::clear() {
  if (drawn_) std::cerr << "\r\033[K" << std::flush;
  drawn_ = false;
}

void TrainingReport::print(const std::string& line) {
  clear();
  std::cerr << line << std::endl;
}

void SilentReport::on_warning(const std::string& message) {
  if (rank_ == 0) {
    std::cerr << "warning: " << message << std::endl;
    return;
  }
  // What all processes see is said by the first one; this is for what only this one does.
  if (message.find("Left out of training") == std::string::npos) return;
  std::cerr << "warning: process " << rank_ << ": " << message << std::endl;
}

void print_metrics(const MetricValues& values) {
  for (const auto& [name, value] : values) {
    std::cout << name << ' ' << std::fixed << std::setprecision(4) << value << '\n';
  }
}

}  // namespace vizoo::app
