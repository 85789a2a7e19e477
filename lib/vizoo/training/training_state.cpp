#include "vizoo/training/training_state.h"

#include <type_traits>

#include "vizoo/core/error.h"
#include "vizoo/io/config_json.h"
#include "vizoo/io/file.h"
#include "vizoo/io/json.h"

namespace vizoo {
namespace {

constexpr int64_t kFormatVersion = 1;
constexpr std::size_t kMaxBytes = std::size_t{16} << 20U;

std::filesystem::path state_file(const std::filesystem::path& folder) {
  return folder / "training.json";
}

void check_version(const Json& json, const std::string& source) {
  const auto version = json.is_object() ? json.find("format_version") : json.end();
  if (version != json.end() && *version == kFormatVersion) return;
  throw CheckpointError("checkpoint",
                        printable(source) + ": /format_version",
                        std::to_string(kFormatVersion),
                        version == json.end() ? "none" : describe_json(*version),
                        "Another version of vizoo may have written it");
}

void check_presence(const Json& json, ConfigProblems& problems) {
  const TrainingState state;
  TrainingState::fields(state, [&](const char* name, const auto&) {
    if (!json.contains(name)) problems.add(json_path_step(name), "a value", "none");
  });
}

// Counts and times; a seed may be anything.
void check_ranges(const TrainingState& state, ConfigProblems& problems) {
  TrainingState::fields(state, [&](const std::string& name, const auto& value) {
    if constexpr (std::is_arithmetic_v<std::decay_t<decltype(value)>>) {
      const int64_t least = name == "world_size" ? 1 : 0;
      if (name == "seed" || value >= least) return;
      problems.add(
          json_path_step(name), "at least " + std::to_string(least), describe_json(Json(value)));
    }
  });
}

}  // namespace

void write_training_state(const std::filesystem::path& folder, const TrainingState& state) {
  Json json = config_to_json(state);
  json["format_version"] = kFormatVersion;
  write_file_atomically(state_file(folder), dump_json(json));
}

TrainingState read_training_state(const std::filesystem::path& folder) {
  const auto path = state_file(folder);
  Json json = read_json_file(path, kMaxBytes, FileKind::checkpoint);
  check_version(json, path.string());
  json.erase("format_version");
  ConfigProblems problems;
  check_presence(json, problems);
  problems.throw_if_any(path.string());
  auto state = config_from_json<TrainingState>(json, path.string());
  check_ranges(state, problems);
  problems.throw_if_any(path.string());
  return state;
}

}  // namespace vizoo
