#pragma once

#include <torch/arg.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "vizoo/training/batch.h"
#include "vizoo/training/dataset.h"
#include "vizoo/training/sampler.h"

namespace vizoo {

/// Options of DataLoader.
struct DataLoaderOptions {
  /// Samples of one step over all processes. At least 1.
  TORCH_ARG(int64_t, batch) = 32;
  /// Parts that this process's slice of a step is split into. At least 1.
  TORCH_ARG(int64_t, accumulation) = 1;
  TORCH_ARG(int64_t, rank) = 0;
  TORCH_ARG(int64_t, world_size) = 1;
  /// Threads that make samples, each on one core; 0: the one that calls next(). At most 1024.
  TORCH_ARG(int64_t, workers) = 2;
  /// Steps that are made ahead of the one that was returned last. At least 1.
  TORCH_ARG(int64_t, prefetch) = 2;
  TORCH_ARG(uint64_t, seed) = 0;
  /// Off: in the order of the data set, for evaluation.
  TORCH_ARG(bool, shuffle) = true;
  /// Share of the data set that may fail to be read, in [0, 1]. One sample always may.
  TORCH_ARG(double, max_skipped) = 0.05;
};

/// A sample that could not be made.
struct SkippedSample {
  int64_t index = 0;
  std::string message;  ///< one line, of the Error that the data set threw
};

/// Makes the batches of an epoch on threads, ahead of their use.
///
/// What comes out is the same, bit for bit, whatever the number of workers: samples are put in
/// order, and what is random about sample i of epoch e comes from RandomStream(seed, e, i,
/// RandomPurpose::sample). Workers use one thread each inside of LibTorch. One thread at a time may
/// call the members.
class DataLoader {
 public:
  /// Throws UsageError for options out of range and for an empty data set.
  DataLoader(std::shared_ptr<const Dataset> dataset, const DataLoaderOptions& options);
  ~DataLoader();
  DataLoader(const DataLoader&) = delete;
  DataLoader& operator=(const DataLoader&) = delete;

  /// Begins an epoch, or goes on within one: `position` samples of it have been taken by all
  /// processes together. Gives up what was made ahead. Throws UsageError for a negative epoch and
  /// unless 0 <= position <= size().
  void start(int64_t epoch, int64_t position = 0);

  /// This process's parts of the next step, exactly `accumulation` of them; nothing at the end of
  /// the epoch. A part without samples is a Batch of size 0 without tensors. Throws UsageError
  /// before start(), Error once more samples than `max_skipped` allows (and more than one) have
  /// been skipped, with their count and the first of their names; ShapeError as collate does; and
  /// whatever else the data set throws. After an exception start() must be called again.
  std::optional<std::vector<Batch>> next();

  /// Indices in the data set of the samples of the parts that next() returned last, row by row.
  const std::vector<std::vector<int64_t>>& indices() const { return indices_; }

  /// Samples of the epoch that all processes have taken with the steps that next() returned.
  int64_t position() const { return position_; }

  /// Steps of a whole epoch, and those left in this one.
  int64_t steps_per_epoch() const { return sampler_.steps(); }
  int64_t steps_left() const { return sampler_.steps(position_); }

  /// Samples of one step over all processes.
  int64_t batch() const { return options_.batch(); }

  /// Samples in the data set.
  int64_t size() const { return sampler_.size(); }

  /// What this process has skipped so far, each sample once however many epochs it was met in, in
  /// the order of the steps.
  const std::vector<SkippedSample>& skipped() const { return skipped_; }

 private:
  class Producer;

  Batch take_part(const SampleRange& range);
  void skip(int64_t index, const std::string& message);

  std::shared_ptr<const Dataset> dataset_;
  DataLoaderOptions options_;
  EpochSampler sampler_;
  int64_t epoch_ = -1;
  int64_t position_ = 0;
  std::vector<std::vector<int64_t>> indices_;
  std::vector<SkippedSample> skipped_;
  std::unordered_set<int64_t> skipped_indices_;
  std::unique_ptr<Producer> producer_;
};

}  // namespace vizoo
