#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "vizoo/nn/torch.h"

namespace vizoo {

/// Which checkpoints of a run stay.
struct CheckpointerOptions {
  /// The newest that stay, at least 1.
  TORCH_ARG(int64_t, keep_last) = 2;
  /// Whether the one with the best metric stays too; of equal ones the earliest.
  TORCH_ARG(bool, keep_best) = true;
  /// Whether a higher metric is better (accuracy) or a lower one (loss, end-point error).
  TORCH_ARG(bool, higher_is_better) = true;
};

/// A complete checkpoint on disk.
struct SavedCheckpoint {
  std::filesystem::path folder;
  int64_t step = 0;              ///< optimizer steps done
  std::optional<double> metric;  ///< as given to `finish`
};

/// What `Checkpointer::newest` found.
struct NewestCheckpoint {
  std::optional<SavedCheckpoint> checkpoint;
  std::vector<std::string> passed_over;  ///< newer ones that are damaged: a line each, why
};

/// Checks a checkpoint folder against its manifest.json: every file that was written is there with
/// its size and its SHA-256. Throws CheckpointError naming the first file that is not, and for a
/// manifest that is missing, damaged, of a later version, or that names files outside the folder.
SavedCheckpoint verify_checkpoint(const std::filesystem::path& folder);

/// Saves the checkpoints of one run so that at every moment, power loss included, the newest
/// complete one can be loaded, and removes old ones.
///
/// `FOLDER/checkpoints/step-00000100.tmp` is filled and its files are synced; manifest.json
/// {format_version, step, metric, files: [{name, size, sha256}]} is written last; the folder is
/// synced, renamed to `step-00000100`, and `checkpoints` is synced. Only then are older ones
/// removed, each renamed to `*.tmp` before its files go. So what has no suffix is complete, and
/// what has one is a leftover. All failures of the system (full disk, I/O error, no permission) are
/// CheckpointErrors; earlier checkpoints are then as they were, and the `.tmp` folder is gone if
/// the system lets it go.
///
/// With several processes, one (rank 0) calls `claim`, `newest`, `begin`, `finish`, `abandon`; the
/// others write their files into `temporary_folder(step)` between `begin` and `finish`, and the
/// caller puts barriers around that.
class Checkpointer {
 public:
  /// Touches no file. `folder` is the run's. Throws UsageError for keep_last below 1.
  explicit Checkpointer(std::filesystem::path folder, CheckpointerOptions options = {});
  ~Checkpointer();
  Checkpointer(const Checkpointer&) = delete;
  Checkpointer& operator=(const Checkpointer&) = delete;

  /// Makes FOLDER and FOLDER/checkpoints if need be, keeps other processes from claiming them as
  /// long as this object lives (a lock on the folder that the system drops with the process; file
  /// systems without locks have none), and removes what a killed run left there unfinished.
  /// Throws CheckpointError if another process has claimed the folder, or the system fails.
  void claim();

  /// Saves a checkpoint: begin, `content(temporary folder)`, finish. Whatever `content` throws is
  /// thrown after the unfinished checkpoint has been removed.
  void save(int64_t step,
            const std::function<void(const std::filesystem::path&)>& content,
            std::optional<double> metric = std::nullopt);

  /// Makes the empty folder `temporary_folder(step)`; what was there before is removed. Throws
  /// CheckpointError; UsageError for a negative step.
  void begin(int64_t step);

  /// Completes the checkpoint that was begun, then removes those that need not stay. `metric` says
  /// how good it is; one that is not finite counts as none. A complete checkpoint of the same step
  /// is replaced. Throws CheckpointError: the message says whether the new one is complete; if it
  /// is not, it has been abandoned.
  void finish(int64_t step, std::optional<double> metric = std::nullopt);

  /// Removes what was begun, as far as the system lets it.
  void abandon(int64_t step) noexcept;

  /// The newest checkpoint that verifies (`verify_checkpoint`), newer ones that do not, and why.
  /// Nothing is changed. Throws CheckpointError if the folder cannot be read, or if there are
  /// checkpoints and none verifies: a run must not begin anew beside them without being told to.
  NewestCheckpoint newest() const;

  /// The checkpoint with the best metric, by the manifests alone: the files are not looked at.
  std::optional<SavedCheckpoint> best() const;

  /// All checkpoints whose manifest can be read, by step; their files are not looked at.
  std::vector<SavedCheckpoint> list() const;

  /// Removes the checkpoints of later steps, whole or damaged: a run that is resumed at `step` goes
  /// another way from there, and must not be taken back to them. Throws CheckpointError.
  void remove_after(int64_t step);

  /// FOLDER/checkpoints/step-00000100 and the same with `.tmp`.
  std::filesystem::path checkpoint_folder(int64_t step) const;
  std::filesystem::path temporary_folder(int64_t step) const;

  const CheckpointerOptions& options() const { return options_; }

 private:
  void remove_old(int64_t saved_step);
  void remove_steps(const std::vector<int64_t>& steps);
  std::optional<SavedCheckpoint> best_of(const std::vector<SavedCheckpoint>& saved) const;

  std::filesystem::path folder_;       // of the run
  std::filesystem::path checkpoints_;  // folder_ / "checkpoints"
  CheckpointerOptions options_;
  int lock_ = -1;
};

}  // namespace vizoo
