#include "vizoo/training/log_file.h"

#include <sys/resource.h>

#include <csignal>
#include <limits>

#include "test/support/catch.h"
#include "test/support/error_message.h"
#include "test/support/temporary_folder.h"
#include "vizoo/core/error.h"
#include "vizoo/io/file.h"

using namespace vizoo;
using vizoo::test::contains;
using vizoo::test::error_message;
using vizoo::test::TemporaryFolder;

namespace {

std::string text_of(const std::filesystem::path& path) { return read_file(path, 1U << 20U); }

void write_text(const std::filesystem::path& path, const std::string& text) {
  write_file_atomically(path, text);
}

Json line(int64_t step) { return {{"step", step}, {"loss", 0.5}}; }

// Files of this process can grow to `bytes` only, as long as it lives: as on a full disk.
class SizeLimit {
 public:
  explicit SizeLimit(rlim_t bytes) {
    before_handler_ = std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~SizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, before_handler_);
  }

 private:
  rlimit before_ = {};
  void (*before_handler_)(int) = SIG_DFL;
};

}  // namespace

TEST_CASE("a log has one object a line, and is read back") {
  const TemporaryFolder folder;
  const auto path = folder / "run" / "log.jsonl";
  {
    LogFile log(path);
    log.write(line(1));
    log.write({{"step", 2}, {"loss", std::numeric_limits<double>::quiet_NaN()}});
    CHECK(text_of(path) == "{\"loss\":0.5,\"step\":1}\n{\"loss\":null,\"step\":2}\n");
    CHECK_THROWS_AS(log.write(Json::array()), UsageError);
  }
  LogFile(path).write({{"note", "two\nlines, \xff no UTF-8"}});
  const auto lines = read_log(path);
  REQUIRE(lines.size() == 3);
  CHECK(lines[0] == line(1));
  CHECK(lines[1]["loss"].is_null());
  CHECK(contains(lines[2]["note"], "two\nlines"));
}

TEST_CASE("the half line of a killed run is left out, and cut off by the next") {
  const TemporaryFolder folder;
  const auto path = folder / "log.jsonl";
  const std::string whole = "{\"step\":1}\n{\"step\":2}\n";
  write_text(path, whole + "{\"step\":3,\"lo");
  CHECK(read_log(path).size() == 2);
  LogFile(path).write(line(3));
  CHECK(text_of(path) == whole + "{\"loss\":0.5,\"step\":3}\n");

  write_text(path, "{\"st");
  LogFile log(path);
  CHECK(text_of(path).empty());
  write_text(path, whole + "{\"step\":3}");  // an editor saved it without the newline
  CHECK(read_log(path).size() == 3);
}

TEST_CASE("a resumed run's log has no step twice") {
  const TemporaryFolder folder;
  const auto path = folder / "log.jsonl";
  const std::string kept = "{\"event\":\"start\"}\n{\"step\":1}\n{\"step\":2}\n{\"note\":2}\n";
  write_text(path, kept + "{\"step\":3}\n{\"note\":3}\n{\"step\":4}\n{\"st");
  LogFile(path, 2).write(line(3));
  CHECK(text_of(path) == kept + "{\"loss\":0.5,\"step\":3}\n");
  const auto before = text_of(path);
  LogFile(path, 3);
  CHECK(text_of(path) == before);
  LogFile(path, 0);
  CHECK(text_of(path) == "{\"event\":\"start\"}\n");
}

TEST_CASE("what is no log is refused and left as it is") {
  const TemporaryFolder folder;
  const auto path = folder / "log.jsonl";
  const auto refused = [&](const std::string& text, const std::string& words) {
    write_text(path, text);
    for (const auto& body : {std::function<void()>([&] { LogFile log(path, 1); }),
                             std::function<void()>([&] { read_log(path); })}) {
      const auto message = error_message(body);
      INFO(message);
      CHECK(contains(message, "[log] "));
      CHECK(contains(message, words));
    }
    CHECK(text_of(path) == text);
  };
  refused("precious", ":1: expected a JSON object");
  refused("precious\n", ":1: expected a JSON object");
  refused("{\"step\":1}\nprecious\n{\"step\":2}\n", ":2: expected a JSON object");
  refused("{\"step\":1}\n[1]\n", ":2: expected a JSON object, got an array");
  refused("{\"a\":1,\"a\":2}\n", ":1: expected a JSON object");
  refused(std::string("\0\0\0\n", 4), ":1: expected a JSON object");
  CHECK(read_log((write_text(path, ""), path)).empty());

  CHECK(contains(error_message([&] { read_log(folder / "missing"); }), "[log] "));
  CHECK(contains(error_message([&] { LogFile log(folder.path()); }), "[log] "));
  CHECK(contains(error_message([&] { LogFile log("/dev/null"); }), "a regular file"));
  CHECK(contains(error_message([&] { LogFile log(path / "below" / "a file"); }), "[log] "));
}

TEST_CASE("a line that does not fit leaves no half of itself") {
  const TemporaryFolder folder;
  const auto path = folder / "log.jsonl";
  LogFile log(path);
  log.write(line(1));
  const auto before = text_of(path);
  {
    const SizeLimit limit(before.size() + 5);
    const auto message = error_message([&] { log.write(line(2)); });
    CHECK(contains(message, "[log] "));
    CHECK(contains(message, "File too large"));
  }
  CHECK(text_of(path) == before);
  log.write(line(2));
  CHECK(read_log(path).size() == 2);
}
