#include "vizoo/core/config_checks.h"

#include "vizoo/core/error.h"

namespace vizoo {

void check_integer(const char* field, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return;
  throw ConfigError("config",
                    std::string("/") + field,
                    "an integer from " + std::to_string(least) + " to " + std::to_string(most),
                    std::to_string(value));
}

void check_number(const char* field, double value, bool fits, const std::string& expected) {
  if (fits) return;
  throw ConfigError("config", std::string("/") + field, expected, std::to_string(value));
}

void check_probability(const char* field, double value) {
  check_number(field, value, value >= 0.0 && value <= 1.0, "a number in [0, 1]");
}

void check_one_per_stage(const char* field, std::size_t count, int64_t stages) {
  if (static_cast<int64_t>(count) >= stages) return;
  throw ConfigError("config",
                    std::string("/") + field,
                    "a value for each of the " + std::to_string(stages) + " stages",
                    std::to_string(count) + " values");
}

int64_t check_depths(const std::vector<int64_t>& depths) {
  check_integer("depths", static_cast<int64_t>(depths.size()), 1, kMaxStages);
  int64_t layers = 0;
  for (const auto depth : depths) {
    check_integer("depths", depth, 0, kMaxLayers);
    layers += depth;
  }
  check_integer("depths", layers, 0, kMaxLayers);
  return layers;
}

void check_rates(double drop_path_rate, double initializer_range) {
  check_number("drop_path_rate",
               drop_path_rate,
               drop_path_rate >= 0.0 && drop_path_rate < 1.0,
               "a number in [0, 1)");
  check_number(
      "initializer_range", initializer_range, initializer_range >= 0.0, "a number of at least 0");
}

}  // namespace vizoo
