#pragma once

#include <cstdint>
#include <memory>

#include "vizoo/training/process_group.h"

namespace vizoo {

// Batch norms and many processes. Every process normalises its own part of a batch, as PyTorch's
// DistributedDataParallel does unless told otherwise: results then depend on the number of
// processes, and running statistics differ between them until `broadcast_buffers` makes rank 0's
// those of all (do so before evaluation and before saving). After `convert_sync_batch_norm` the
// statistics are those of the whole batch, and neither happens.

/// Gives every process the parameters of rank 0. Call it once at the start.
void broadcast_parameters(torch::nn::Module& model, ProcessGroup& group);

/// Gives every process the buffers of rank 0: running statistics, counters, tables.
void broadcast_buffers(torch::nn::Module& model, ProcessGroup& group);

/// From now on each nn::BatchNorm of the model takes mean and variance over the batches of all
/// processes in training mode: the same numbers as one process gets for all samples, in forward,
/// gradients and running statistics, up to rounding. Parts may differ in size and be empty ([0, C,
/// ...]), but every process must call forward (and backward) equally often. Gradients of weight and
/// bias are of this process's part: GradientReducer adds them up. Evaluation mode is unchanged, and
/// copies of the model (`clone`) are not converted. Returns the number of batch norms; does nothing
/// in a group of one process.
///
/// Forward throws ShapeError if all processes together have less than two values for a channel.
int64_t convert_sync_batch_norm(torch::nn::Module& model,
                                const std::shared_ptr<ProcessGroup>& group);

}  // namespace vizoo
