#pragma once

#include <cstdint>
#include <string>

#include "vizoo/nn/model_output.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {

/// `random-<rank>.safetensors`: the file of a checkpoint that holds a process's random state.
std::string random_state_file(int64_t rank);

/// State of torch's default generators, from which dropout, drop path and initialization draw:
/// "cpu", and "cuda.<index>" for each CUDA device, every one [N], uint8, on the CPU.
NamedTensors capture_random_state();

/// Gives the generators the state that `capture_random_state` took. A device that `state` does not
/// name keeps its own, and the state of a device that this machine lacks is left out, so that a run
/// can go on elsewhere. Throws CheckpointError if "cpu" is missing, or a state is none of this
/// LibTorch's; then no generator is changed.
void restore_random_state(const NamedArguments& state);

}  // namespace vizoo
