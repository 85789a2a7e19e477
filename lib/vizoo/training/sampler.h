#pragma once

#include <torch/arg.h>

#include <cstdint>
#include <vector>

namespace vizoo {

/// Samples [begin, end) of an epoch's order.
struct SampleRange {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t size() const { return end - begin; }
  bool operator==(const SampleRange& other) const {
    return begin == other.begin && end == other.end;
  }
};

/// Part `part` of `parts` contiguous ones that differ by at most one sample and may be empty.
/// Throws UsageError unless 0 <= part < parts and begin <= end.
SampleRange even_part(const SampleRange& range, int64_t part, int64_t parts);

/// Options of EpochSampler.
struct EpochSamplerOptions {
  /// Samples of one step over all processes. At least 1.
  TORCH_ARG(int64_t, batch) = 32;
  TORCH_ARG(int64_t, rank) = 0;        ///< this process, from 0
  TORCH_ARG(int64_t, world_size) = 1;  ///< processes
  TORCH_ARG(uint64_t, seed) = 0;
  /// Off, samples come in the order of the data set, as evaluation wants them.
  TORCH_ARG(bool, shuffle) = true;
};

/// Which samples a step takes, and which of them this process does.
///
/// The order of an epoch depends on the seed and the epoch alone. Steps take consecutive samples of
/// it, the last one what is left, so that each sample comes exactly once in an epoch whatever the
/// batch and the number of processes. A position is the number of samples of the epoch that all
/// processes have taken together: with it training goes on where it stopped, with another batch or
/// number of processes too.
class EpochSampler {
 public:
  /// Throws UsageError for a negative size, a batch below 1 and a rank outside of the world.
  EpochSampler(int64_t size, const EpochSamplerOptions& options);

  /// Indices of all samples in the order of the epoch, int64 each; a Fisher-Yates shuffle.
  std::vector<int64_t> order(int64_t epoch) const;

  /// Steps from `position` to the end of the epoch.
  int64_t steps(int64_t position = 0) const;

  /// What the step that begins at `position` takes: of all processes, and of this one, which may
  /// be nothing. Throws UsageError unless 0 <= position <= size.
  SampleRange step(int64_t position) const;
  SampleRange slice(int64_t position) const;

  int64_t size() const { return size_; }

 private:
  int64_t size_;
  EpochSamplerOptions options_;
};

}  // namespace vizoo
