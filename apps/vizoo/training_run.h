#pragma once

#include <memory>
#include <string>

#include "training_options.h"
#include "vizoo/training/process_group.h"

namespace vizoo::app {

/// One run of `vizoo train` in this process, from the options to the saved model. `options_text`:
/// the options in the format of --config-file. Returns the exit code; throws what the parts throw.
int run_training(const TrainingOptions& options,
                 const std::string& options_text,
                 const std::shared_ptr<ProcessGroup>& processes);

}  // namespace vizoo::app
