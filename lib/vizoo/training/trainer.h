#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vizoo/training/checkpointer.h"
#include "vizoo/training/data_loader.h"
#include "vizoo/training/ema.h"
#include "vizoo/training/gradient_reducer.h"
#include "vizoo/training/loss_scaler.h"
#include "vizoo/training/optimizer.h"
#include "vizoo/training/process_group.h"
#include "vizoo/training/schedule.h"
#include "vizoo/training/training_state.h"
#include "vizoo/training/training_task.h"

namespace vizoo {

/// What a step did.
struct StepReport {
  int64_t step = 0;     ///< steps done, this one included
  int64_t epoch = 0;    ///< from 0
  int64_t samples = 0;  ///< of this step, of all processes
  double loss = 0.0;
  double learning_rate = 0.0;
  double gradient_norm = 0.0;  ///< before clipping
  bool skipped = false;        ///< loss or gradients were not finite: nothing was learnt
};

/// What an evaluation found.
struct EvaluationReport {
  int64_t step = 0;
  int64_t epoch = 0;
  int64_t samples = 0;
  MetricValues values;
  bool best = false;  ///< the best so far
};

/// Told what a Trainer does; the defaults do nothing. Called in every process.
class TrainingObserver {
 public:
  virtual ~TrainingObserver() = default;
  virtual void on_step(const StepReport&) {}
  virtual void on_evaluation(const EvaluationReport&) {}
  virtual void on_checkpoint(int64_t /*step*/, const std::filesystem::path&) {}
  /// One line about something that goes on nevertheless.
  virtual void on_warning(const std::string&) {}
};

/// Options of a Trainer.
struct TrainerOptions {
  /// The learning rate of each step, and how many steps there are.
  TORCH_ARG(ScheduleOptions, schedule);
  /// Gradients are scaled so that their norm is at most this; infinity: never.
  TORCH_ARG(double, clip_gradient_norm) = std::numeric_limits<double>::infinity();
  /// Steps between checkpoints; 0: only at the end of each epoch. There is one at the end in any
  /// case, and where a stop was asked for.
  TORCH_ARG(int64_t, save_every) = 0;
  /// Epochs between evaluations, at least 1; the last step is followed by one in any case.
  TORCH_ARG(int64_t, evaluate_every) = 1;
  /// Steps in a row whose loss or gradients are not finite, before training ends with an error.
  TORCH_ARG(int64_t, max_non_finite) = 5;
  /// The forward pass runs in autocast of this type; nullopt: it does not. With float16 the loss is
  /// scaled (LossScaler), and steps whose gradients overflow are left out without counting as not
  /// finite.
  TORCH_ARG(std::optional<torch::ScalarType>, autocast) = std::nullopt;
  /// Batch norms have been converted (convert_sync_batch_norm): every process calls forward in
  /// every part of a step, and buffers are the same everywhere.
  TORCH_ARG(bool, sync_batch_norm) = false;
  /// Seed of the run, from which dropout and drop path of process r draw as seed + r.
  TORCH_ARG(uint64_t, seed) = 0;
  /// SHA-256 of what must be the same when the run is resumed; empty: not compared.
  TORCH_ARG(std::string, config_hash);
};

/// The parts of a run that the caller owns and that outlive the Trainer.
struct TrainerParts {
  TrainingTask* task = nullptr;
  Optimizer* optimizer = nullptr;
  DataLoader* training_data = nullptr;
  DataLoader* evaluation_data = nullptr;    ///< null: no evaluation
  ExponentialMovingAverage* ema = nullptr;  ///< null: none; else it is what is evaluated
  Checkpointer* checkpointer = nullptr;     ///< null: nothing is saved
  TrainingObserver* observer = nullptr;     ///< null: nobody is told
  std::shared_ptr<ProcessGroup> processes = ProcessGroup::single();
  /// Writes what else belongs to a checkpoint (processor, tokenizer) into the folder; process 0.
  std::function<void(const std::filesystem::path&)> save_extra;
  /// Asked after each step, and in evaluations after each batch; true in any process makes all save
  /// and stop.
  std::function<bool()> stop_requested;
};

/// How a run ended.
enum class TrainingEnd {
  finished,  ///< all steps are done
  stopped    ///< a stop was asked for; the state is saved
};

/// The training loop: loss, backward, all-reduce, clip, optimizer, EMA, evaluation, checkpoints.
///
/// The gradient of a step is that of sum / max(1, weight) over all its parts and processes
/// (WeightedLoss), so the number of processes and of parts changes results only by rounding. A step
/// whose loss or gradients are not finite is left out: weights, optimizer and averages stay, the
/// step is counted.
///
/// A checkpoint holds the model as save_pretrained writes it, optimizer.safetensors,
/// ema.safetensors, training.json, random-<rank>.safetensors and what `save_extra` adds. A run that
/// was killed and resumed ends with the same bits as one that was not, on the CPU and where device
/// kernels are deterministic; with another number of processes it sees the same samples in the same
/// order, but dropout draws anew.
class Trainer {
 public:
  /// Gives all processes the parameters of process 0, and seeds dropout. Throws UsageError for
  /// missing parts and options out of range.
  Trainer(TrainerParts parts, const TrainerOptions& options);
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// Takes up the newest whole checkpoint; false if there is none. Throws CheckpointError if it
  /// belongs to another run: another config hash, other parameters.
  bool resume();

  /// Tells another observer from now on.
  void set_observer(TrainingObserver& observer) { parts_.observer = &observer; }

  /// Runs to the last step or until it is stopped. Throws Error after `max_non_finite` steps in a
  /// row, naming where the first number that is not finite comes from; ProcessGroupError if
  /// another process is lost; whatever loading and saving throw.
  TrainingEnd run();

  /// Measures the model, as it is or its average, on the evaluation data; nothing if a stop was
  /// asked for meanwhile.
  std::optional<EvaluationReport> evaluate();

  const TrainingState& state() const { return state_; }

 private:
  struct StepTotals;

  TrainingEnd end(TrainingEnd how);
  StepReport step(const std::vector<Batch>& parts, int64_t samples);
  double backward(const std::vector<Batch>& parts, StepTotals& totals);
  void learn(StepReport& report);
  void fail_non_finite(const std::vector<Batch>& parts);
  bool finish_epoch();
  void save(std::optional<double> metric = std::nullopt);
  void load(const std::filesystem::path& folder);
  bool stop();
  void warn_of_skipped();
  PretrainedModelImpl& model() { return parts_.task->model(); }
  bool is_first() const { return parts_.processes->rank() == 0; }

  TrainerParts parts_;
  TrainerOptions options_;
  TrainingState state_;
  std::unique_ptr<GradientReducer> reducer_;
  std::optional<LossScaler> scaler_;
  std::optional<int64_t> saved_step_;
  std::size_t warned_ = 0;
  std::optional<Batch> last_batch_;
  double started_ = 0.0;
};

}  // namespace vizoo
