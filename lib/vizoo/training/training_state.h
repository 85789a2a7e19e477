#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace vizoo {

/// Where a training run stands: what training.json of a checkpoint holds, beside the tensors.
///
/// The position in the data is (epoch, position): which samples come in which order depends on
/// these and the seed alone, so a run goes on with the same samples under any number of processes.
struct TrainingState {
  int64_t step = 0;          ///< optimizer steps done, skipped ones included
  int64_t epoch = 0;         ///< from 0: the one that the next sample belongs to
  int64_t position = 0;      ///< samples of this epoch that all processes have consumed
  int64_t samples_seen = 0;  ///< by all processes since the start of the run
  int64_t world_size = 1;    ///< processes that wrote the checkpoint
  int64_t seed = 0;
  std::string config_hash;            ///< SHA-256 of what must not change when a run is resumed
  std::optional<double> best_metric;  ///< of the evaluations so far
  std::optional<int64_t> best_step;
  int64_t non_finite_steps = 0;     ///< skipped for a loss or gradient that was not finite
  int64_t non_finite_in_a_row = 0;  ///< of these, the ones just before this checkpoint
  std::optional<double> loss_scale;  ///< of a run in float16 (LossScaler)
  int64_t loss_scale_steps = 0;      ///< since it changed
  double elapsed_seconds = 0.0;     ///< of training, over all parts of the run
  std::map<std::string, std::string> unknown;  ///< fields that a later version wrote, as JSON

  /// The fields in the order of the docs (core/config.h).
  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("step", self.step);
    visit("epoch", self.epoch);
    visit("position", self.position);
    visit("samples_seen", self.samples_seen);
    visit("world_size", self.world_size);
    visit("seed", self.seed);
    visit("config_hash", self.config_hash);
    visit("best_metric", self.best_metric);
    visit("best_step", self.best_step);
    visit("non_finite_steps", self.non_finite_steps);
    visit("non_finite_in_a_row", self.non_finite_in_a_row);
    visit("loss_scale", self.loss_scale);
    visit("loss_scale_steps", self.loss_scale_steps);
    visit("elapsed_seconds", self.elapsed_seconds);
  }
};

/// Writes `folder/training.json`: the fields and "format_version": 1. Throws CheckpointError if it
/// cannot be written; ConfigError for a number that is not finite.
void write_training_state(const std::filesystem::path& folder, const TrainingState& state);

/// Reads `folder/training.json`. Throws CheckpointError if it is missing, unreadable, not JSON, or
/// of a later version; ConfigError that names all fields that are missing, of a wrong type or out
/// of range.
TrainingState read_training_state(const std::filesystem::path& folder);

}  // namespace vizoo
