#include "vizoo/training/random_state.h"

#include <ATen/Context.h>
#include <ATen/core/Generator.h>

#include <mutex>
#include <utility>
#include <vector>

#include "vizoo/core/error.h"

namespace vizoo {
namespace {

// "cpu", "cuda.0", ... and the generators behind them.
std::vector<std::pair<std::string, at::Generator>> default_generators() {
  auto& context = at::globalContext();
  std::vector<std::pair<std::string, at::Generator>> generators;
  generators.emplace_back("cpu", context.defaultGenerator(at::Device(at::kCPU)));
  if (!at::hasCUDA()) return generators;
  const auto devices = static_cast<c10::DeviceIndex>(at::detail::getCUDAHooks().deviceCount());
  for (c10::DeviceIndex i = 0; i < devices; ++i) {
    generators.emplace_back("cuda." + std::to_string(i),
                            context.defaultGenerator(at::Device(at::kCUDA, i)));
  }
  return generators;
}

torch::Tensor generator_state(at::Generator& generator) {
  const std::lock_guard<std::mutex> lock(generator.mutex());
  return generator.get_state();
}

void set_state(at::Generator& generator, const torch::Tensor& state) {
  const std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_state(state);
}

[[noreturn]] void fail_state(const std::string& name,
                             const std::string& expected,
                             std::string_view got) {
  throw CheckpointError("checkpoint", "random state " + name, expected, got);
}

void check_state(const std::string& name, const torch::Tensor& state, at::Generator& generator) {
  const auto bytes = generator_state(generator).numel();
  const auto expected = std::to_string(bytes) + " values of uint8";
  if (state.scalar_type() != torch::kUInt8 || state.dim() != 1 || state.numel() != bytes) {
    fail_state(name,
               expected,
               std::to_string(state.numel()) + " of " + c10::toString(state.scalar_type()));
  }
  auto trial = generator.clone();  // the generator alone knows whether the values make sense
  try {
    set_state(trial, state);
  } catch (const c10::Error&) {
    fail_state(name, "the state of a generator", "values that are none");
  }
}

}  // namespace

std::string random_state_file(int64_t rank) {
  return "random-" + std::to_string(rank) + ".safetensors";
}

NamedTensors capture_random_state() {
  NamedTensors states;
  for (auto& [name, generator] : default_generators()) {
    states.emplace_back(name, generator_state(generator));
  }
  return states;
}

void restore_random_state(const NamedArguments& state) {
  auto generators = default_generators();
  if (state.count("cpu") == 0) fail_state("cpu", "it", "none");
  std::vector<std::pair<at::Generator*, torch::Tensor>> changes;
  for (auto& [name, generator] : generators) {
    const auto found = state.find(name);
    if (found == state.end()) continue;
    const auto bytes = found->second.detach().cpu().contiguous();
    check_state(name, bytes, generator);
    changes.emplace_back(&generator, bytes);
  }
  for (auto& [generator, bytes] : changes) set_state(*generator, bytes);
}

}  // namespace vizoo
