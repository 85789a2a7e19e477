#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "vizoo/training/process_group.h"

namespace vizoo {

/// Sizes of the buckets that gradients travel in, as in PyTorch's DistributedDataParallel (Li et
/// al. 2020, https://arxiv.org/abs/2006.15704): a small first one, so that it leaves early.
struct GradientReducerOptions {
  TORCH_ARG(int64_t, bucket_bytes) = 25 << 20;       ///< at least 1
  TORCH_ARG(int64_t, first_bucket_bytes) = 1 << 20;  ///< at least 1
};

/// Adds up gradients over the processes of a group while backward still runs: as soon as the last
/// gradient of a bucket is there, its sum is started. A step is
///
///   reducer.set_enabled(last_part_of_the_step);
///   loss.sum.backward();
///   ...
///   reducer.finish(1.0 / weight);   // all parts done; weight: summed over parts and processes
///   optimizer.step();
///
/// What is added up is the whole gradient of each parameter: of all parts of the step. Buckets are
/// filled in reverse order of the parameters, each with one dtype and device. All processes end
/// with equal bits, and the same gradients give the same bits again.
class GradientReducer {
 public:
  /// `parameters`, the same in every process, in the same order; those that require no gradient are
  /// left out. They must be where they stay: no change of device, dtype or requires_grad after
  /// this. Throws UsageError for a bucket size below 1, and, in every process, if the processes
  /// disagree about the parameters.
  GradientReducer(const std::vector<torch::Tensor>& parameters,
                  std::shared_ptr<ProcessGroup> group,
                  const GradientReducerOptions& options = {});
  ~GradientReducer();
  GradientReducer(const GradientReducer&) = delete;
  GradientReducer& operator=(const GradientReducer&) = delete;

  /// Whether the coming backward is the last of the step, which is the default. Before it, during
  /// the other parts of an accumulated step, gradients only add up here.
  void set_enabled(bool enabled);

  /// Ends the step: starts what is not yet under way, waits, and replaces each gradient by `factor`
  /// times its sum over all processes. A parameter that got no gradient here counts as zero; one
  /// that got none anywhere keeps none. A process without samples, which never called backward,
  /// calls this all the same. Throws ProcessGroupError. (Backward throws it too, and UsageError if
  /// it is called a second time with the reducer enabled before `finish`.)
  void finish(double factor = 1.0);

  /// Number of buckets (0 for a group of one process).
  int64_t buckets() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace vizoo
