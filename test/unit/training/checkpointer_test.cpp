#include "vizoo/training/checkpointer.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "test/support/catch.h"
#include "test/support/error_message.h"
#include "test/support/temporary_folder.h"
#include "vizoo/core/error.h"
#include "vizoo/io/file.h"
#include "vizoo/io/json.h"

namespace fs = std::filesystem;
using namespace vizoo;
using vizoo::test::contains;
using vizoo::test::error_message;
using vizoo::test::TemporaryFolder;

namespace {

constexpr std::size_t kLimit = 1U << 20U;

// Two files, one of them in a folder within.
void write_content(const fs::path& folder, const std::string& text) {
  fs::create_directory(folder / "inner");
  write_file_atomically(folder / "weights", text);
  write_file_atomically(folder / "inner" / "more", text + text);
}

void save(Checkpointer& checkpointer, int64_t step, std::optional<double> metric = std::nullopt) {
  checkpointer.save(
      step, [&](const fs::path& folder) { write_content(folder, std::to_string(step)); }, metric);
}

std::vector<std::string> names(const fs::path& folder) {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(folder)) found.push_back(entry.path().filename());
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<int64_t> steps(const Checkpointer& checkpointer) {
  std::vector<int64_t> found;
  for (const auto& one : checkpointer.list()) found.push_back(one.step);
  return found;
}

void overwrite(const fs::path& path, const std::string& text) { write_file_atomically(path, text); }

}  // namespace

TEST_CASE("a checkpoint holds what was written, and a manifest of it") {
  const TemporaryFolder run;
  Checkpointer checkpointer(run / "a" / "b");
  checkpointer.claim();
  CHECK_FALSE(checkpointer.newest().checkpoint.has_value());
  CHECK_FALSE(checkpointer.best().has_value());
  save(checkpointer, 100, 0.5);

  const auto found = checkpointer.newest();
  REQUIRE(found.checkpoint.has_value());
  CHECK(found.passed_over.empty());
  CHECK(found.checkpoint->step == 100);
  CHECK(found.checkpoint->metric == 0.5);
  const auto& folder = found.checkpoint->folder;
  CHECK(folder == run / "a" / "b" / "checkpoints" / "step-00000100");
  CHECK(read_file(folder / "weights", kLimit) == "100");
  CHECK(names(folder.parent_path()) == std::vector<std::string>{"step-00000100"});
  CHECK(names(folder) == std::vector<std::string>{"inner", "manifest.json", "weights"});

  const Json manifest = read_json_file(folder / "manifest.json");
  CHECK(manifest["format_version"] == 1);
  CHECK(manifest["step"] == 100);
  CHECK(manifest["metric"] == 0.5);
  CHECK(manifest["files"] == Json::parse(R"([{"name": "inner/more", "size": 6,
        "sha256": "7618f66753db7ec069c83ed8c197708e1402396774f60961065addd678933871"},
       {"name": "weights", "size": 3,
        "sha256": "ad57366865126e55649ecb23ae1d48887544976efea46a48eb5d85a6eeb4d306"}])"));
}

TEST_CASE("the newest checkpoints stay, and the best one") {
  const TemporaryFolder run;
  SECTION("by a metric that is to be high") {
    Checkpointer checkpointer(run.path());
    save(checkpointer, 1, 0.5);
    save(checkpointer, 2, 0.9);
    save(checkpointer, 3, 0.9);  // no better than the one before
    save(checkpointer, 4, std::numeric_limits<double>::quiet_NaN());
    save(checkpointer, 5);
    CHECK(steps(checkpointer) == std::vector<int64_t>{2, 4, 5});
    REQUIRE(checkpointer.best().has_value());
    CHECK(checkpointer.best()->step == 2);
    CHECK_FALSE(checkpointer.list()[1].metric.has_value());
    save(checkpointer, 6, 0.95);
    CHECK(steps(checkpointer) == std::vector<int64_t>{5, 6});
  }
  SECTION("by a metric that is to be low") {
    Checkpointer checkpointer(run.path(), CheckpointerOptions().higher_is_better(false));
    save(checkpointer, 1, -0.5);
    for (int64_t step = 2; step < 6; ++step) save(checkpointer, step, 0.1);
    CHECK(steps(checkpointer) == std::vector<int64_t>{1, 4, 5});
  }
  SECTION("not, if that is not wanted") {
    Checkpointer checkpointer(run.path(), CheckpointerOptions().keep_last(1).keep_best(false));
    for (int64_t step = 1; step < 4; ++step) save(checkpointer, step, 0.5);
    CHECK(steps(checkpointer) == std::vector<int64_t>{3});
  }
  SECTION("of steps with more digits than eight too") {
    Checkpointer checkpointer(run.path());
    for (const int64_t step : {99999999LL, 100000000LL, 123456789012LL}) save(checkpointer, step);
    CHECK(steps(checkpointer) == std::vector<int64_t>{100000000LL, 123456789012LL});
    CHECK(checkpointer.newest().checkpoint->step == 123456789012LL);
  }
  CHECK_THROWS_AS(Checkpointer(run.path(), CheckpointerOptions().keep_last(0)), UsageError);
}

TEST_CASE("damage is found, named and passed over") {
  const TemporaryFolder run;
  Checkpointer checkpointer(run.path(), CheckpointerOptions().keep_last(9));
  for (int64_t step = 1; step < 4; ++step) save(checkpointer, step);
  const auto folder = checkpointer.checkpoint_folder(3);
  const auto damaged = [&](const std::string& words) {
    const auto found = checkpointer.newest();
    REQUIRE(found.checkpoint.has_value());
    CHECK(found.checkpoint->step == 2);
    REQUIRE(found.passed_over.size() == 1);
    INFO(found.passed_over[0]);
    CHECK(contains(found.passed_over[0], words));
    CHECK(contains(found.passed_over[0], "step-00000003"));
    CHECK_THROWS_AS(verify_checkpoint(folder), CheckpointError);
  };
  SECTION("another byte") {
    overwrite(folder / "weights", "4");
    damaged("weights: expected the SHA-256");
  }
  SECTION("a file cut short") {
    overwrite(folder / "inner" / "more", "3");
    damaged("more: expected 2 bytes, as the manifest says, got 1");
  }
  SECTION("a file gone") {
    fs::remove(folder / "weights");
    damaged("No such file");
  }
  SECTION("a file that has become a folder") {
    fs::remove(folder / "weights");
    fs::create_directory(folder / "weights");
    damaged("expected");
  }
  SECTION("no manifest") {
    fs::remove(folder / "manifest.json");
    damaged("manifest.json");
  }
  SECTION("a manifest of another step") {
    fs::copy_file(checkpointer.checkpoint_folder(1) / "manifest.json",
                  folder / "manifest.json",
                  fs::copy_options::overwrite_existing);
    damaged("expected step 3, got 1");
  }
  SECTION("two damaged ones") {
    fs::remove(folder / "manifest.json");
    fs::remove(checkpointer.checkpoint_folder(2) / "manifest.json");
    CHECK(checkpointer.newest().checkpoint->step == 1);
    CHECK(checkpointer.newest().passed_over.size() == 2);
  }
  SECTION("all of them") {
    for (int64_t step = 1; step < 4; ++step)
      fs::remove_all(checkpointer.checkpoint_folder(step) / "inner");
    const auto message = error_message<CheckpointError>([&] { checkpointer.newest(); });
    INFO(message);
    CHECK(contains(message, "step-00000003"));
    CHECK(contains(message, "No other of the 3"));
  }
}

TEST_CASE("hostile manifests are refused") {
  const TemporaryFolder run;
  Checkpointer checkpointer(run.path());
  save(checkpointer, 1);
  overwrite(run / "secret", "1");
  const auto path = checkpointer.checkpoint_folder(1) / "manifest.json";
  const Json good = read_json_file(path);
  const auto refused = [&](const std::function<void(Json&)>& change, const std::string& words) {
    Json changed = good;
    change(changed);
    overwrite(path, changed.dump());
    const auto message = error_message<CheckpointError>(
        [&] { verify_checkpoint(checkpointer.checkpoint_folder(1)); });
    INFO(message);
    CHECK(contains(message, "[checkpoint] "));
    CHECK(contains(message, words));
  };
  for (const std::string name :
       {"../../secret", "/etc/passwd", "", ".", "inner/../weights", "weights/"}) {
    refused([&](Json& json) { json["files"][1]["name"] = name; }, "/files/1/name");
  }
  refused([](Json& json) { json["files"][1]["name"] = std::string("a\0b", 3); }, "/files/1/name");
  refused([](Json& json) { json["files"][1] = json["files"][0]; }, "every file once");
  refused([](Json& json) { json["files"][0]["size"] = -1; }, "/files/0/size");
  refused([](Json& json) { json["files"][0]["size"] = 1e30; }, "/files/0/size");
  refused([](Json& json) { json["files"][0]["sha256"] = "AB"; }, "/files/0/sha256");
  refused([](Json& json) { json["files"] = Json::array(); }, "at least one file");
  refused([](Json& json) { json["files"] = 3; }, "/files");
  refused([](Json& json) { json["step"] = -1; }, "/step");
  refused([](Json& json) { json["step"] = "1"; }, "/step");
  refused([](Json& json) { json["format_version"] = 2; }, "Another version of vizoo");
  refused([](Json& json) { json = Json::array(); }, "an object");
  overwrite(path, "{\"step\": 1,");
  CHECK_THROWS_AS(verify_checkpoint(checkpointer.checkpoint_folder(1)), CheckpointError);
  overwrite(path, good.dump());
  CHECK(verify_checkpoint(checkpointer.checkpoint_folder(1)).step == 1);
}

TEST_CASE("names that are no checkpoint's are left alone") {
  const TemporaryFolder run;
  Checkpointer checkpointer(run.path());
  save(checkpointer, 7);
  const auto folder = run / "checkpoints";
  for (const char* name : {"step-7",
                           "step-00000008x",
                           "step--0000001",
                           "step-",
                           "mine.tmp",
                           "step-99999999999999999999"}) {
    fs::create_directory(folder / name);
  }
  overwrite(run / "notes.tmp", "");
  checkpointer.claim();
  save(checkpointer, 8);
  save(checkpointer, 9);
  CHECK(names(folder) == std::vector<std::string>{"mine.tmp",
                                                  "step-",
                                                  "step--0000001",
                                                  "step-00000008",
                                                  "step-00000008x",
                                                  "step-00000009",
                                                  "step-7",
                                                  "step-99999999999999999999"});
  CHECK(fs::exists(run / "notes.tmp"));
}

TEST_CASE("what a killed run left is removed when the next one claims the folder") {
  const TemporaryFolder run;
  {
    Checkpointer killed(run.path());
    save(killed, 1);
    killed.begin(2);
    write_content(killed.temporary_folder(2), "half");
  }
  fs::create_directory(run / "checkpoints" / "step-00000003.replaced.tmp");
  overwrite(run / ".vizoo-123-4.tmp", "half");
  Checkpointer checkpointer(run.path());
  CHECK(checkpointer.newest().checkpoint->step == 1);
  CHECK(checkpointer.newest().passed_over.empty());
  checkpointer.claim();
  CHECK(names(run.path()) == std::vector<std::string>{"checkpoints"});
  CHECK(names(run / "checkpoints") == std::vector<std::string>{"step-00000001"});

  Checkpointer second(run.path());
  CHECK(contains(error_message<CheckpointError>([&] { second.claim(); }), "another process"));
  checkpointer.claim();  // its own claim is no obstacle
}

TEST_CASE("a save that fails leaves nothing of itself and all of the others") {
  const TemporaryFolder run;
  Checkpointer checkpointer(run.path());
  save(checkpointer, 1);
  SECTION("because of its content") {
    const auto fail = [](const fs::path& folder) {
      write_content(folder, "half");
      throw ShapeError("out of luck");
    };
    CHECK(error_message<ShapeError>([&] { checkpointer.save(2, fail); }) == "out of luck");
  }
  SECTION("because of a link in it") {
    const auto link = [&](const fs::path& folder) {
      fs::create_symlink("/etc/passwd", folder / "link");
    };
    CHECK(contains(error_message<CheckpointError>([&] { checkpointer.save(2, link); }),
                   "expected a regular file"));
  }
  SECTION("because it was abandoned") {
    checkpointer.begin(2);
    write_content(checkpointer.temporary_folder(2), "half");
    checkpointer.abandon(2);
    checkpointer.abandon(2);
    CHECK_THROWS_AS(checkpointer.finish(2), CheckpointError);
  }
  SECTION("because it is empty") {
    // Nothing could be loaded from it, so it is not one that newest() would give.
    CHECK_THROWS_AS(checkpointer.save(2, [](const fs::path&) {}), CheckpointError);
  }
  SECTION("because of a negative step") { CHECK_THROWS_AS(checkpointer.begin(-1), UsageError); }
  SECTION("because the folder is no folder") {
    Checkpointer other(run / "checkpoints" / "step-00000001" / "weights");
    CHECK_THROWS_AS(other.claim(), CheckpointError);
    CHECK_THROWS_AS(other.begin(2), CheckpointError);
  }
  CHECK(names(run / "checkpoints") == std::vector<std::string>{"step-00000001"});
  CHECK(checkpointer.newest().checkpoint->step == 1);
}

TEST_CASE("a checkpoint of the same step is replaced") {
  const TemporaryFolder run;
  Checkpointer checkpointer(run.path());
  save(checkpointer, 5);
  checkpointer.save(
      5, [](const fs::path& folder) { write_content(folder, "anew"); }, 0.75);
  const auto found = checkpointer.newest();
  REQUIRE(found.checkpoint.has_value());
  CHECK(read_file(found.checkpoint->folder / "weights", kLimit) == "anew");
  CHECK(found.checkpoint->metric == 0.75);
  CHECK(names(run / "checkpoints") == std::vector<std::string>{"step-00000005"});
}

TEST_CASE("a run that goes another way drops what lies beyond") {
  const TemporaryFolder run;
  Checkpointer checkpointer(run.path(), CheckpointerOptions().keep_last(3));
  for (int64_t step = 1; step < 4; ++step) save(checkpointer, step, 0.5);
  SECTION("at once") {
    fs::remove(checkpointer.checkpoint_folder(3) / "manifest.json");
    checkpointer.remove_after(1);
    CHECK(names(run / "checkpoints") == std::vector<std::string>{"step-00000001"});
    checkpointer.remove_after(1);
  }
  SECTION("or keeps what it saves, later ones or not") {
    Checkpointer other(run.path(), CheckpointerOptions().keep_last(1).keep_best(false));
    save(other, 2);
    CHECK(steps(other) == std::vector<int64_t>{2, 3});
  }
}

TEST_CASE("several processes write one checkpoint") {
  const TemporaryFolder run;
  Checkpointer first(run.path());
  const Checkpointer second(run.path());
  first.claim();
  first.begin(10);
  overwrite(second.temporary_folder(10) / "random-1.safetensors", "b");
  overwrite(first.temporary_folder(10) / "random-0.safetensors", "a");
  CHECK_FALSE(second.newest().checkpoint.has_value());
  first.finish(10);
  CHECK(second.newest().checkpoint->step == 10);
  CHECK(names(second.checkpoint_folder(10)) ==
        std::vector<std::string>{"manifest.json", "random-0.safetensors", "random-1.safetensors"});
}
