#include "vizoo/training/trainer.h"

#include <chrono>
#include <cmath>
#include <set>
#include <utility>

#include "vizoo/core/error.h"
#include "vizoo/hub/save_pretrained.h"
#include "vizoo/hub/tensor_file.h"
#include "vizoo/training/autocast.h"
#include "vizoo/training/batch_norm.h"
#include "vizoo/training/model_state.h"
#include "vizoo/training/non_finite.h"
#include "vizoo/training/parameter_groups.h"
#include "vizoo/training/random_state.h"

namespace vizoo {
namespace {

constexpr const char* kOptimizerFile = "optimizer.safetensors";
constexpr const char* kAverageFile = "ema.safetensors";

NamedTensors read_state(const std::filesystem::path& file) {
  const auto tensors = read_tensors(file);
  return {tensors.begin(), tensors.end()};
}

double seconds_now() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

void check_parts(const TrainerParts& parts, const TrainerOptions& options) {
  const auto require = [](bool fine, const char* subject, const char* expected) {
    if (!fine) throw UsageError("training", subject, expected, "none");
  };
  require(parts.task != nullptr, "task", "a task");
  require(parts.optimizer != nullptr, "optimizer", "an optimizer");
  require(parts.training_data != nullptr, "training_data", "a data loader");
  require(parts.processes != nullptr, "processes", "a process group");
  const auto check = [](int64_t value, int64_t least, const char* subject) {
    if (value >= least) return;
    throw UsageError(
        "training", subject, "at least " + std::to_string(least), std::to_string(value));
  };
  check(options.save_every(), 0, "save_every");
  check(options.evaluate_every(), 1, "evaluate_every");
  check(options.max_non_finite(), 1, "max_non_finite");
  scheduled_learning_rate(options.schedule(), 0);  // throws for what is out of range
}

// The same tensors without samples, for a process that has none where all must call forward.
Batch without_samples(const std::optional<Batch>& batch) {
  if (!batch) {
    throw UsageError(
        "training", "sync_batch_norm", "samples for all processes in the first step", "none");
  }
  Batch empty = *batch;
  for (auto& argument : empty.arguments) argument.second = argument.second.slice(0, 0, 0);
  if (empty.labels.defined()) empty.labels = empty.labels.slice(0, 0, 0);
  empty.detections.clear();
  empty.size = 0;
  return empty;
}

// In the order of the model, of which backward is roughly the reverse.
std::vector<torch::Tensor> trained_parameters(const torch::nn::Module& model) {
  std::vector<torch::Tensor> trained;
  std::set<const c10::TensorImpl*> seen;
  for (const auto& parameter : model.parameters()) {
    if (parameter.requires_grad() && seen.insert(parameter.unsafeGetTensorImpl()).second) {
      trained.push_back(parameter);
    }
  }
  return trained;
}

std::optional<double> find_value(const MetricValues& values, const std::string& name) {
  for (const auto& [key, value] : values) {
    if (key == name) return value;
  }
  return std::nullopt;
}

}  // namespace

// What a step adds up over its parts.
struct Trainer::StepTotals {
  double loss = 0.0;
  double weight = 0.0;
};

Trainer::Trainer(TrainerParts parts, const TrainerOptions& options)
    : parts_(std::move(parts)), options_(options) {
  check_parts(parts_, options_);
  static TrainingObserver nobody;
  if (parts_.observer == nullptr) parts_.observer = &nobody;
  state_.seed = static_cast<int64_t>(options_.seed());
  state_.world_size = parts_.processes->size();
  state_.config_hash = options_.config_hash();
  broadcast_parameters(model(), *parts_.processes);
  broadcast_buffers(model(), *parts_.processes);
  reducer_ = std::make_unique<GradientReducer>(trained_parameters(model()), parts_.processes);
  if (options_.autocast() == torch::kFloat16) scaler_.emplace();
  torch::manual_seed(options_.seed() + static_cast<uint64_t>(parts_.processes->rank()));
}

Trainer::~Trainer() = default;

TrainingEnd Trainer::run() {
  started_ = seconds_now() - state_.elapsed_seconds;
  auto& loader = *parts_.training_data;
  const auto steps = options_.schedule().steps();
  const bool unmeasured = state_.step >= steps && state_.position > 0;  // resumed after the end
  if (unmeasured && !finish_epoch()) return end(TrainingEnd::stopped);
  while (state_.step < steps) {
    loader.start(state_.epoch, state_.position);
    while (state_.step < steps) {
      const auto parts = loader.next();
      if (!parts) break;
      const auto report = step(*parts, loader.position() - state_.position);
      state_.position = loader.position();
      warn_of_skipped();
      parts_.observer->on_step(report);
      if (stop()) return end(TrainingEnd::stopped);
      if (options_.save_every() > 0 && state_.step % options_.save_every() == 0) save();
    }
    if (!finish_epoch()) return end(TrainingEnd::stopped);
  }
  return end(TrainingEnd::finished);
}

// Saves what has not been saved yet.
TrainingEnd Trainer::end(TrainingEnd how) {
  if (saved_step_ != state_.step) save();
  return how;
}

// Evaluation and checkpoint after the last sample of an epoch, or the last step of all. False if a
// stop was asked for: the evaluation is then made by who resumes the run.
bool Trainer::finish_epoch() {
  const bool whole = state_.position == parts_.training_data->size();
  const bool last = state_.step >= options_.schedule().steps();
  std::optional<double> metric;
  if (parts_.evaluation_data != nullptr &&
      (last || (state_.epoch + 1) % options_.evaluate_every() == 0)) {
    const auto evaluation = evaluate();
    if (!evaluation) return false;
    metric = find_value(evaluation->values, parts_.task->best_metric());
    if (evaluation->best) {
      state_.best_metric = metric;
      state_.best_step = state_.step;
    }
  }
  if (whole) {
    ++state_.epoch;
    state_.position = 0;
  }
  save(metric);
  return true;
}

StepReport Trainer::step(const std::vector<Batch>& parts, int64_t samples) {
  StepReport report;
  report.epoch = state_.epoch;
  report.samples = samples;
  report.learning_rate = scheduled_learning_rate(options_.schedule(), state_.step);
  train_unfrozen(model());
  parts_.optimizer->zero_grad();

  StepTotals totals;
  const double seed = backward(parts, totals);
  const double loss = parts_.processes->all_reduce(totals.loss);
  const double weight = std::max(1.0, parts_.processes->all_reduce(totals.weight));
  reducer_->finish(seed / weight);
  report.loss = loss / weight;
  report.gradient_norm =
      clip_gradient_norm(parts_.optimizer->parameters(), options_.clip_gradient_norm());
  ++state_.step;
  state_.samples_seen += samples;
  report.step = state_.step;
  report.skipped = !std::isfinite(report.loss) || !std::isfinite(report.gradient_norm);
  learn(report);
  if (state_.non_finite_in_a_row >= options_.max_non_finite()) fail_non_finite(parts);
  return report;
}

// Forward and backward of all parts. Gradients come divided by the number that is returned, the
// same in all processes: the weight of the whole step where it is the number of samples, so that
// most of the time nothing is left to be scaled.
double Trainer::backward(const std::vector<Batch>& parts, StepTotals& totals) {
  const auto device = model().parameters().front().device();
  const auto dtype = model().parameters().front().scalar_type();
  const double divisor =
      static_cast<double>(parts_.training_data->batch()) / (scaler_ ? scaler_->scale() : 1.0);
  const bool together = options_.sync_batch_norm() && parts_.processes->size() > 1;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Batch batch = parts[i];
    // Synchronised batch norms wait for every process if one has samples.
    const double most = together ? parts_.processes->all_reduce(batch.size, Reduction::max)
                                 : static_cast<double>(batch.size);
    if (most == 0.0) continue;
    if (batch.size == 0) batch = without_samples(last_batch_);
    last_batch_ = batch;
    reducer_->set_enabled(i + 1 == parts.size());
    WeightedLoss loss;
    {
      const Autocast autocast(options_.autocast(), device.type());
      loss = parts_.task->loss(batch.to(device, dtype), {state_.epoch, state_.step});
    }
    totals.loss += loss.sum.item<double>();
    totals.weight += loss.weight;
    (loss.sum / divisor).backward();
  }
  return divisor;
}

// The optimizer's part of a step, unless its numbers are not finite: they are the same in all
// processes, and so is what is decided here.
void Trainer::learn(StepReport& report) {
  // An overflow of float16 is what the scale is for; below a scale of 1 it is something else.
  const bool overflow = scaler_ && std::isfinite(report.loss) && scaler_->scale() > 1.0;
  if (scaler_) scaler_->update(!report.skipped);
  if (report.skipped && overflow) return;
  if (report.skipped) {
    ++state_.non_finite_steps;
    ++state_.non_finite_in_a_row;
    parts_.observer->on_warning("[training] step " + std::to_string(report.step) +
                                ": the loss or a gradient is not finite; the step is left out");
    return;
  }
  state_.non_finite_in_a_row = 0;
  parts_.optimizer->step(report.learning_rate);
  if (parts_.ema != nullptr) parts_.ema->update(model(), state_.step);
}

void Trainer::fail_non_finite(const std::vector<Batch>& parts) {
  const auto device = model().parameters().front().device();
  const auto dtype = model().parameters().front().scalar_type();
  std::optional<NonFinite> found;
  for (const auto& part : parts) {
    // A forward that other processes take part in cannot be made again by this one alone.
    if (found || part.size == 0 || (options_.sync_batch_norm() && parts_.processes->size() > 1)) {
      continue;
    }
    found = find_non_finite(model(), [&] {
      const Autocast autocast(options_.autocast(), device.type());
      parts_.task->loss(part.to(device, dtype), {state_.epoch, state_.step - 1});
    });
  }
  throw Error(Error::describe(
      "training",
      "step " + std::to_string(state_.step),
      "loss or gradients were not finite in " + std::to_string(state_.non_finite_in_a_row) +
          " steps in a row; " +
          (found ? "first: " + found->describe() : "the forward pass of this process is finite"),
      "Try a lower learning rate, clipping, or float32"));
}

std::optional<EvaluationReport> Trainer::evaluate() {
  EvaluationReport report;
  report.step = state_.step;
  report.epoch = state_.epoch;
  auto& task = *parts_.task;
  auto& loader = *parts_.evaluation_data;
  if (!options_.sync_batch_norm()) broadcast_buffers(model(), *parts_.processes);
  std::optional<AppliedAverage> average;
  if (parts_.ema != nullptr) average.emplace(*parts_.ema, model());
  model().eval();
  const auto device = model().parameters().front().device();
  const auto dtype = model().parameters().front().scalar_type();

  task.start_evaluation();
  loader.start(0);
  while (const auto parts = loader.next()) {
    const torch::NoGradGuard no_grad;
    for (const auto& part : *parts) {
      if (part.size == 0) continue;
      const Autocast autocast(options_.autocast(), device.type());
      task.evaluate(part.to(device, dtype));
    }
    if (stop()) return std::nullopt;
  }
  report.samples = loader.size();
  for (auto* metric : task.metrics()) {
    metric->set_rows(parts_.processes->all_gather_rows(metric->rows()));
    const auto values = metric->values();
    report.values.insert(report.values.end(), values.begin(), values.end());
  }
  if (const auto value = find_value(report.values, task.best_metric())) {
    report.best = !state_.best_metric || (task.higher_is_better() ? *value > *state_.best_metric
                                                                  : *value < *state_.best_metric);
  }
  parts_.observer->on_evaluation(report);
  return report;
}

// Whether any process has been asked to stop.
bool Trainer::stop() {
  const bool asked = parts_.stop_requested && parts_.stop_requested();
  return parts_.processes->all_reduce(asked ? 1.0 : 0.0, Reduction::max) > 0.0;
}

void Trainer::warn_of_skipped() {
  const auto& skipped = parts_.training_data->skipped();
  for (; warned_ < skipped.size(); ++warned_) {
    parts_.observer->on_warning(skipped[warned_].message + " Left out of training.");
  }
}

void Trainer::save(std::optional<double> metric) {
  saved_step_ = state_.step;
  if (parts_.checkpointer == nullptr) return;
  auto& checkpointer = *parts_.checkpointer;
  auto& processes = *parts_.processes;
  if (started_ > 0.0) state_.elapsed_seconds = seconds_now() - started_;
  state_.world_size = processes.size();
  if (scaler_) scaler_->save(state_);
  const auto folder = checkpointer.temporary_folder(state_.step);
  if (!options_.sync_batch_norm()) broadcast_buffers(model(), processes);
  try {
    if (is_first()) checkpointer.begin(state_.step);
    processes.barrier();
    write_tensors(folder / random_state_file(processes.rank()), capture_random_state());
    if (is_first()) {
      save_pretrained(model(), folder);
      write_tensors(folder / kOptimizerFile, parts_.optimizer->state());
      if (parts_.ema != nullptr) write_tensors(folder / kAverageFile, parts_.ema->state());
      write_training_state(folder, state_);
      if (parts_.save_extra) parts_.save_extra(folder);
    }
    processes.barrier();
    if (is_first()) checkpointer.finish(state_.step, metric);
    processes.barrier();
  } catch (...) {
    if (is_first()) checkpointer.abandon(state_.step);
    throw;
  }
  parts_.observer->on_checkpoint(state_.step, checkpointer.checkpoint_folder(state_.step));
}

bool Trainer::resume() {
  if (parts_.checkpointer == nullptr) return false;
  // Process 0 looks for all, so that all take the same one.
  int64_t found = -1;
  if (is_first()) {
    const auto newest = parts_.checkpointer->newest();
    for (const auto& line : newest.passed_over) parts_.observer->on_warning(line);
    if (newest.checkpoint) found = newest.checkpoint->step;
  }
  found = static_cast<int64_t>(
      parts_.processes->all_reduce(static_cast<double>(found), Reduction::max));
  if (found < 0) return false;
  load(parts_.checkpointer->checkpoint_folder(found));
  if (is_first()) parts_.checkpointer->remove_after(found);
  saved_step_ = found;
  return true;
}

void Trainer::load(const std::filesystem::path& folder) {
  const auto state = read_training_state(folder);
  if (!options_.config_hash().empty() && state.config_hash != options_.config_hash()) {
    throw CheckpointError("checkpoint",
                          printable(folder.string()),
                          "a checkpoint of the same model, data and options",
                          "one of others",
                          "Train into another folder, or with the options that it was begun with");
  }
  load_model_state(model(), folder);
  parts_.optimizer->load_state(read_state(folder / kOptimizerFile));
  if (parts_.ema != nullptr) parts_.ema->load_state(read_state(folder / kAverageFile));
  const auto rank = parts_.processes->rank();
  if (state.world_size == parts_.processes->size()) {
    restore_random_state(read_tensors(folder / random_state_file(rank)));
  } else {
    parts_.observer->on_warning("[training] resumed with " +
                                std::to_string(parts_.processes->size()) + " processes after " +
                                std::to_string(state.world_size) +
                                ": the same samples, but dropout draws other numbers");
    // Other streams than those of the start, which the run has used.
    torch::manual_seed(RandomStream(options_.seed(),
                                    static_cast<uint64_t>(state.step),
                                    static_cast<uint64_t>(rank),
                                    RandomPurpose::evaluation)
                           .bits64());
  }
  state_ = state;
  if (scaler_) scaler_->load(state_);
  state_.seed = static_cast<int64_t>(options_.seed());
}

}  // namespace vizoo
