#include "common.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <map>

#include "vizoo/core/error.h"

namespace vizoo::app {
namespace {

const std::map<std::string, at::ScalarType>& dtypes() {
  static const std::map<std::string, at::ScalarType> table = {{"float32", torch::kFloat32},
                                                              {"float64", torch::kFloat64},
                                                              {"bfloat16", torch::kBFloat16},
                                                              {"float16", torch::kFloat16}};
  return table;
}

}  // namespace

void add_model_option(CLI::App& command, std::filesystem::path& folder) {
  const CLI::Validator no_file(
      [](const std::string& path) -> std::string {
        std::error_code error;
        if (!std::filesystem::is_regular_file(path, error)) return "";
        return "expected a checkpoint's folder, got a file. Commands that take --trust-code run "
               "exported models";
      },
      "");
  command.add_option("--model", folder, "Folder that save_pretrained wrote")
      ->required()
      ->check(no_file)
      ->type_name("DIR");
}

void add_set_option(CLI::App& command,
                    std::vector<std::string>& settings,
                    const std::string& what) {
  command.add_option("--set", settings, "Override a key of " + what + ", may be repeated")
      ->type_name("KEY=JSON")
      ->allow_extra_args(false);
}

void add_model_args_option(CLI::App& command, std::string& model_args) {
  command
      .add_option("--model-args",
                  model_args,
                  "Constructor arguments, a JSON object: '{\"position_interpolation\": \"size\"}'")
      ->type_name("JSON");
}

void add_threads_option(CLI::App& command, int& threads) {
  command.add_option("--threads", threads, "Threads to use (default: all cores)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
}

void apply_threads(int threads) {
  if (threads > 0) at::set_num_threads(threads);
}

void add_device_option(CLI::App& command, std::string& device) {
  command.add_option("--device", device, "cpu, cuda or cuda:N")
      ->type_name("NAME")
      ->capture_default_str();
}

torch::Device parse_device(const std::string& name) {
  if (name == "cpu") return torch::kCPU;
  const bool cuda =
      name == "cuda" || (name.rfind("cuda:", 0) == 0 && name.size() > 5 &&
                         name.find_first_not_of("0123456789", 5) == name.npos && name.size() < 9);
  if (!cuda) throw UsageError("usage", "--device", "cpu, cuda or cuda:N", quote(name));
  if (!at::hasCUDA()) {
    throw UsageError("usage",
                     "--device",
                     "a device that is there",
                     quote(name),
                     "This program sees no CUDA device; vizoo doctor says why");
  }
  return torch::Device(name);
}

void add_dtype_option(CLI::App& command, std::string& dtype) {
  command.add_option("--dtype", dtype, "float32, float64, bfloat16 or float16")
      ->type_name("NAME")
      ->capture_default_str();
}

at::ScalarType parse_dtype(const std::string& name) {
  const auto found = dtypes().find(name);
  if (found != dtypes().end()) return found->second;
  throw UsageError("usage", "--dtype", "one of float32|float64|bfloat16|float16", quote(name));
}

ConfigOverrides parse_settings(const std::vector<std::string>& settings) {
  ConfigOverrides overrides;
  for (const auto& setting : settings) {
    const auto equals = setting.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw UsageError("usage", "--set", "key=json, such as num_labels=7", quote(setting));
    }
    overrides.emplace_back(setting.substr(0, equals), setting.substr(equals + 1));
  }
  return overrides;
}

void print_warnings(const LoadReport& report) {
  for (const auto& line : report.warnings()) std::cerr << "warning: tensors " << line << ".\n";
}

std::size_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::size_t>(usage.ru_maxrss) * 1024;
}

std::string human_count(int64_t count) {
  char text[32];
  if (count < 1000) return std::to_string(count);
  const bool millions = count >= 1'000'000;
  std::snprintf(text,
                sizeof(text),
                "%.1f %s",
                static_cast<double>(count) / (millions ? 1e6 : 1e3),
                millions ? "M" : "k");
  return text;
}

Progress::Progress(std::string label, std::size_t total)
    : label_(std::move(label)), total_(total), visible_(total > 1 && isatty(STDERR_FILENO) == 1) {
  draw();
}

Progress::~Progress() { clear(); }

void Progress::step() {
  ++done_;
  draw();
}

void Progress::clear() {
  if (visible_) std::cerr << "\r\033[K" << std::flush;
}

void Progress::draw() {
  if (!visible_) return;
  constexpr std::size_t kWidth = 30;
  const std::size_t filled = total_ == 0 ? kWidth : done_ * kWidth / total_;
  std::cerr << '\r' << label_ << " [" << std::string(filled, '#')
            << std::string(kWidth - filled, '.') << "] " << done_ << '/' << total_ << std::flush;
}

}  // namespace vizoo::app
