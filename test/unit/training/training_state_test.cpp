#include "vizoo/training/training_state.h"

#include "test/support/catch.h"
#include "test/support/error_message.h"
#include "test/support/temporary_folder.h"
#include "vizoo/core/config.h"
#include "vizoo/core/error.h"
#include "vizoo/io/config_json.h"
#include "vizoo/io/file.h"

using namespace vizoo;

namespace {

TrainingState some_state() {
  TrainingState state;
  state.step = 1234567890123;
  state.epoch = 7;
  state.position = 4096;
  state.samples_seen = 99;
  state.world_size = 4;
  state.seed = -3;
  state.config_hash = "abc";
  state.best_metric = 0.1 + 0.2;  // needs 17 digits
  state.best_step = 1200;
  state.non_finite_steps = 2;
  state.non_finite_in_a_row = 1;
  state.loss_scale = 1024.0;
  state.loss_scale_steps = 17;
  state.elapsed_seconds = 1.0 / 3.0;
  return state;
}

}  // namespace

TEST_CASE("training state survives its file, every field to the last bit") {
  const test::TemporaryFolder folder;
  auto state = some_state();
  write_training_state(folder.path(), state);
  const auto read = read_training_state(folder.path());
  CHECK(config_to_json(read) == config_to_json(state));
  CHECK(*read.best_metric == 0.1 + 0.2);
  CHECK(read.elapsed_seconds == 1.0 / 3.0);

  write_training_state(folder.path(), TrainingState());
  CHECK_FALSE(read_training_state(folder.path()).best_metric.has_value());

  state.unknown["later"] = "[1]";
  write_training_state(folder.path(), state);
  CHECK(read_training_state(folder.path()).unknown.at("later") == "[1]");
}

TEST_CASE("a damaged training.json is refused, with what is wrong") {
  const test::TemporaryFolder folder;
  write_training_state(folder.path(), some_state());
  const Json good = read_json_file(folder / "training.json");
  const auto read_changed = [&](const std::string& key, const Json& value) {
    Json changed = good;
    changed[key] = value;
    if (value.is_discarded()) changed.erase(key);
    write_file_atomically(folder / "training.json", changed.dump(-1, ' ', false));
    return read_training_state(folder.path());
  };
  const Json absent(Json::value_t::discarded);
  CHECK(read_changed("seed", 8).seed == 8);
  CHECK_THROWS_AS(read_changed("format_version", 2), CheckpointError);
  CHECK_THROWS_AS(read_changed("format_version", absent), CheckpointError);
  CHECK_THROWS_AS(read_changed("step", absent), ConfigError);
  CHECK_THROWS_AS(read_changed("step", -1), ConfigError);
  CHECK_THROWS_AS(read_changed("step", 1.5), ConfigError);
  CHECK_THROWS_AS(read_changed("step", nullptr), ConfigError);
  CHECK_THROWS_AS(read_changed("config_hash", 1), ConfigError);
  CHECK_THROWS_AS(read_changed("elapsed_seconds", -0.5), ConfigError);
  CHECK(test::contains(test::error_message<ConfigError>([&] { read_changed("world_size", 0); }),
                       "/world_size: expected at least 1, got 0"));
  for (const std::string text : {"", "[]", "{\"format_version\": 1", "null", "{}"}) {
    INFO(text);
    write_file_atomically(folder / "training.json", text);
    CHECK_THROWS_AS(read_training_state(folder.path()), CheckpointError);
  }
  std::filesystem::remove(folder / "training.json");
  CHECK_THROWS_AS(read_training_state(folder.path()), CheckpointError);
  CHECK_THROWS_AS(write_training_state(folder / "missing", some_state()), CheckpointError);
}
