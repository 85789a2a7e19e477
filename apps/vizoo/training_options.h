#pragma once

// The options of `vizoo train`, and what they mean together with a recipe.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "vizoo/hub/registry.h"
#include "vizoo/training/recipe.h"

namespace vizoo::app {

/// As given on the command line or in a --config-file; what is not given is the recipe's.
struct TrainingOptions {
  std::filesystem::path model;
  std::filesystem::path config;
  std::string class_name;
  std::vector<std::string> settings;
  std::filesystem::path training_data;
  std::filesystem::path training_images;
  std::filesystem::path evaluation_data;
  std::filesystem::path evaluation_images;
  std::filesystem::path output;
  bool resume = false;

  std::string recipe;
  std::optional<int64_t> epochs;
  std::optional<int64_t> steps;
  std::optional<int64_t> batch;
  std::optional<int64_t> accumulation;
  std::optional<std::string> optimizer;
  std::optional<double> momentum;
  std::optional<double> learning_rate;
  std::optional<double> minimal_learning_rate;
  std::optional<std::string> schedule;
  std::optional<int64_t> warmup_steps;
  std::optional<double> warmup_epochs;
  std::optional<double> weight_decay;
  std::optional<double> layer_decay;
  std::vector<std::string> learning_rate_scales;  ///< "PATTERN=FACTOR"
  std::optional<double> clip;
  std::optional<double> ema;
  bool ema_warmup = false;
  std::vector<std::string> frozen;
  std::optional<bool> linear_probe;

  std::optional<std::string> loss;
  std::optional<double> label_smoothing;
  std::optional<double> mixup;
  std::optional<double> cutmix;
  std::optional<bool> random_resized_crop;
  std::optional<double> min_scale;
  std::optional<bool> horizontal_flip;
  std::filesystem::path teacher;
  std::string distillation = "hard";
  std::optional<double> distillation_weight;
  std::optional<double> temperature;

  std::string image_backend = "pil";
  std::string dtype = "float32";
  std::string autocast;
  std::string device = "cpu";
  int threads = 0;
  int64_t workers = 2;
  uint64_t seed = 0;
  bool deterministic = false;
  bool sync_batch_norm = false;
  int64_t save_every = 0;
  int64_t evaluate_every = 1;
  int64_t keep_last = 2;
  int64_t max_non_finite = 5;
  double timeout_minutes = 10.0;
};

/// Adds them to the command.
void add_training_options(CLI::App& command, TrainingOptions& options);

/// Throws UsageError for an option that means nothing for the task.
void check_options(const TrainingOptions& options, Task task);

/// The recipe's numbers with what the options give in their place, and the learning rate for the
/// batch that is used. Throws UsageError for a --learning-rate-scale that cannot be read.
Recipe apply_options(const Recipe& recipe, const TrainingOptions& options);

}  // namespace vizoo::app
