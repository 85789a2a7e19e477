#pragma once

// Options and output that several subcommands share.

#include <CLI/CLI.hpp>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "vizoo/hub/from_pretrained.h"

namespace vizoo::app {

/// `--model DIR`, required.
void add_model_option(CLI::App& command, std::filesystem::path& folder);

/// `--set key=json`, any number of times.
void add_set_option(CLI::App& command, std::vector<std::string>& settings, const std::string& what);

/// `--model-args JSON`: constructor arguments beside the config.
void add_model_args_option(CLI::App& command, std::string& model_args);

/// `--threads N`: 0 leaves LibTorch's choice, all cores.
void add_threads_option(CLI::App& command, int& threads);
void apply_threads(int threads);

/// `--device cpu|cuda|cuda:N`.
void add_device_option(CLI::App& command, std::string& device);

/// The device of that name. Throws UsageError if this build or machine does not have it.
torch::Device parse_device(const std::string& device);

/// `--dtype float32|float64|bfloat16|float16`.
void add_dtype_option(CLI::App& command, std::string& dtype);
at::ScalarType parse_dtype(const std::string& dtype);

/// {"key=json", ...} -> {{key, json}, ...}. Throws UsageError for one without `=`.
ConfigOverrides parse_settings(const std::vector<std::string>& settings);

/// Prints the warnings of a load, one line each, on stderr.
void print_warnings(const LoadReport& report);

/// Largest resident memory of this process so far, in bytes.
std::size_t peak_memory_bytes();

/// `28589128` -> `28.6 M`.
std::string human_count(int64_t count);

/// Progress on stderr, `label 12/40`, only if stderr is a terminal and there is more than one step.
class Progress {
 public:
  Progress(std::string label, std::size_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void step();

  /// Takes the line away so that other output can be printed; the next step draws it again.
  void clear();

 private:
  void draw();
  std::string label_;
  std::size_t total_;
  std::size_t done_ = 0;
  bool visible_;
};

}  // namespace vizoo::app
