#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace vizoo {

// Far above any published model; they keep a hostile config from taking the machine down.
constexpr int64_t kMaxStages = 16;
constexpr int64_t kMaxLayers = 256;
constexpr int64_t kMaxSize = 1 << 16;

/// Throws ConfigError that names `/field` unless least <= value <= most.
void check_integer(const char* field, int64_t value, int64_t least, int64_t most);

/// Throws ConfigError that names `/field` unless `fits`; `expected` in words: "a number of at least
/// 0".
void check_number(const char* field, double value, bool fits, const std::string& expected);

/// Throws ConfigError that names `/field` unless value is in [0, 1].
void check_probability(const char* field, double value);

/// Throws ConfigError unless a list of `count` values serves `stages` stages.
void check_one_per_stage(const char* field, std::size_t count, int64_t stages);

/// Checks `depths`, the layers of each stage: 1 to kMaxStages stages, kMaxLayers layers together.
/// Returns their sum. Throws ConfigError.
int64_t check_depths(const std::vector<int64_t>& depths);

/// Checks what every family has: drop_path_rate in [0, 1), initializer_range of at least 0.
/// Throws ConfigError.
void check_rates(double drop_path_rate, double initializer_range);

}  // namespace vizoo
