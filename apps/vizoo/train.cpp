// `vizoo train`: from a checkpoint or a config to a trained model, in one process or many.
#include <ATen/Context.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <thread>

#include "commands.h"
#include "common.h"
#include "training_options.h"
#include "training_run.h"
#include "vizoo/core/error.h"

namespace vizoo::app {
namespace {

torch::Device process_device(const std::string& name, const ProcessEnvironment& environment) {
  // One process for each GPU of the machine.
  if (name == "cuda" && environment.world_size > 1) {
    return parse_device("cuda:" + std::to_string(environment.local_rank));
  }
  return parse_device(name);
}

int train(const TrainingOptions& options, const std::string& options_text) {
  if (options.model.empty() == options.config.empty()) {
    throw UsageError("usage", "--model, --config", "one of them", "none");
  }
  const auto environment = read_process_environment();
  if (environment.rank == 0 && !environment.warning.empty()) {
    std::cerr << "warning: " << environment.warning << std::endl;
  }
  // Processes of one machine share its cores, unless somebody has said how.
  const bool shared = environment.world_size > 1 && std::getenv("OMP_NUM_THREADS") == nullptr;
  const auto cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  const int share = shared ? std::max(1, cores / environment.local_world_size) : 0;
  apply_threads(options.threads > 0 ? options.threads : share);
  if (options.deterministic) {
    at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
    at::globalContext().setDeterministicCuDNN(true);
    at::globalContext().setBenchmarkCuDNN(false);
  }
  const auto timeout = std::chrono::milliseconds(std::llround(options.timeout_minutes * 60000));
  const auto processes = ProcessGroup::join(
      environment,
      ProcessGroupOptions().timeout(timeout).device(process_device(options.device, environment)));
  try {
    return run_training(options, options_text, processes);
  } catch (const ProcessGroupError&) {
    throw;  // the others know
  } catch (const std::exception& error) {
    processes->report_failure(error.what());
    throw;
  }
}

}  // namespace

void add_train(CLI::App& program, Run& run) {
  auto* command = program.add_subcommand("train", "Train or fine-tune a model");
  auto options = std::make_shared<TrainingOptions>();
  add_training_options(*command, *options);
  // CLI11 reads files for the program only: commands without `fallthrough` do not know the option.
  program.set_config("--config-file", "", "Options from a file")->group("");
  program.allow_config_extras(CLI::config_extras_mode::error);
  command->fallthrough();
  command->footer(
      "Example: vizoo train --model weights/convnext-digits --train digits/train \\\n"
      "           --evaluation digits/test --output tuned --epochs 2 --batch 64\n"
      "Several processes: vizoo launch --nproc 2 -- vizoo train ...\n"
      "--config-file FILE takes options from a file: a line [train], then lines NAME = VALUE.\n"
      "docs/training.md has the recipes, the files of --output and how to resume.");
  command->callback([&run, options, command] {
    const auto text = "[train]\n" + command->config_to_str(/*default_also=*/false,
                                                           /*write_description=*/false);
    run = [options, text] { return train(*options, text); };
  });
}

}  // namespace vizoo::app
