#include "vizoo/io/file.h"

#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "faults.h"
#include "support/catch.h"
#include "support/corpus.h"
#include "vizoo/core/error.h"
#include "vizoo/io/safetensors.h"

namespace vizoo::test {
namespace {

// The message of the CheckpointError that `call` throws, or "no error".
template <class Call>
std::string message_of(Call&& call) {
  try {
    call();
  } catch (const CheckpointError& error) {
    return error.what();
  }
  return "no error";
}

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string refusal(const std::filesystem::path& path, const std::string& reason) {
  return "[checkpoint] " + path.string() + ": expected a file that can be written, got " + reason +
         ". What was there before is unchanged.";
}

const std::vector<float> kValues(4096, 1.5F);

void save(const std::filesystem::path& path) {
  const auto size = static_cast<int64_t>(kValues.size());
  write_safetensors(path,
                    {{"a", SafetensorsDtype::F32, {size}, kValues.data()},
                     {"b", SafetensorsDtype::F32, {2, size / 2}, kValues.data()}},
                    SafetensorsMetadata{{"format", "pt"}});
}

TEST_CASE("a file is read whole", "[io]") {
  const TemporaryFolder folder;
  const std::string bytes("a\0b\n", 4);
  write_bytes(folder / "f", bytes);
  CHECK(read_file(folder / "f", 4) == bytes);
  CHECK(MappedFile(folder / "f").text() == bytes);
  write_bytes(folder / "empty", "");
  CHECK(read_file(folder / "empty", 0).empty());
  CHECK(MappedFile(folder / "empty").size() == 0);
  MappedFile moved;
  moved = MappedFile(folder / "f");
  const MappedFile again(std::move(moved));
  CHECK(again.text() == bytes);
}

TEST_CASE("files that cannot be read are named with the reason", "[io]") {
  const TemporaryFolder folder;
  write_bytes(folder / "f", "12345");
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  std::filesystem::create_symlink("loop", folder / "loop");
  const auto prefix = [&](const char* name) {
    return "[checkpoint] " + (folder / name).string() + ": expected ";
  };
  const std::vector<std::pair<const char*, std::string>> cases = {
      {"missing", "a readable file, got \"No such file or directory\"."},
      {".", "a readable file, got a folder."},
      {"pipe", "a readable file, got a device, pipe or socket."},
      {"f/inside", "a readable file, got \"Not a directory\"."},
      {"loop", "a readable file, got \"Too many levels of symbolic links\"."},
  };
  for (const auto& [name, message] : cases) {
    INFO(name);
    const std::filesystem::path path = folder / name;
    CHECK(message_of([&] { MappedFile file(path); }) == prefix(name) + message);
    CHECK(message_of([&] { read_file(path, 100); }) == prefix(name) + message);
  }
  CHECK(message_of([&] { read_file(folder / "f", 4); }) == prefix("f") + "at most 4 bytes, got 5.");
  const std::string missing = (folder / "missing").string();
  CHECK_THROWS_AS(read_file(missing, 1, FileKind::config), ConfigError);
  CHECK_THROWS_AS(read_file(missing, 1, FileKind::image), ImageError);
  CHECK_THROWS_AS(read_file(missing, 1, FileKind::tokenizer), TokenizerError);
}

TEST_CASE("a file is replaced whole", "[io]") {
  const TemporaryFolder folder;
  write_file_atomically(folder / "f", "old");
  write_file_atomically(folder / "f", "new text");
  CHECK(read_bytes(folder / "f") == "new text");
  CHECK(names_in(folder.path()) == std::vector<std::string>{"f"});
  // A link is replaced and what it pointed to stays: caches share files by links.
  std::filesystem::create_symlink("f", folder / "link");
  write_file_atomically(folder / "link", "other");
  CHECK(read_bytes(folder / "f") == "new text");
  CHECK(read_bytes(folder / "link") == "other");
  CHECK_FALSE(std::filesystem::is_symlink(folder / "link"));
}

TEST_CASE("a path without folder is written to the current one", "[io]") {
  const TemporaryFolder folder;
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  write_file_atomically("f", "text");
  std::filesystem::current_path(before);
  CHECK(read_bytes(folder / "f") == "text");
}

TEST_CASE("places that cannot be written", "[io]") {
  const TemporaryFolder folder;
  write_bytes(folder / "f", "old");
  std::filesystem::create_directory(folder / "d");
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(message_of([&] { save(folder / "f/m"); }) ==
        refusal(folder / "f/m", "\"Not a directory\""));
  CHECK(message_of([&] { save(folder / "no/m"); }) ==
        refusal(folder / "no/m", "\"No such file or directory\""));
  const std::string expected = ": expected a file that can be written, got ";
  CHECK(message_of([&] { save(folder / "d"); }) ==
        "[checkpoint] " + (folder / "d").string() + expected + "a folder.");
  CHECK(message_of([&] { save(folder / "pipe"); }) ==
        "[checkpoint] " + (folder / "pipe").string() + expected + "a device, pipe or socket.");
  CHECK(names_in(folder.path()) == std::vector<std::string>{"d", "f", "pipe"});
  CHECK(read_bytes(folder / "f") == "old");
}

TEST_CASE("what the content throws passes through and leaves nothing", "[io]") {
  const TemporaryFolder folder;
  write_bytes(folder / "f", "old");
  const auto content = [](FileWriter& writer) {
    writer.write("half");
    throw std::out_of_range("stop");
  };
  CHECK_THROWS_AS(write_file_atomically(folder / "f", content), std::out_of_range);
  CHECK(read_bytes(folder / "f") == "old");
  CHECK(names_in(folder.path()) == std::vector<std::string>{"f"});
}

TEST_CASE("a file size limit leaves the old file", "[io]") {
  const TemporaryFolder folder;
  write_bytes(folder / "m", "old");
  rlimit before = {};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  rlimit small = before;
  small.rlim_cur = 20'000;  // the header and a part of the first tensor fit
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const std::string message = message_of([&] { save(folder / "m"); });
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, handler);
  CHECK(message == refusal(folder / "m", "\"File too large\""));
  CHECK(read_bytes(folder / "m") == "old");
  CHECK(names_in(folder.path()) == std::vector<std::string>{"m"});
}

TEST_CASE("a full and a read-only file system leave the old file", "[io]") {
  const TemporaryFolder folder;
  if (::mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=16k") != 0) {
    VIZOO_SKIP("mounting a file system needs privileges");
  }
  write_bytes(folder / "m", "old");
  const std::string full = message_of([&] { save(folder / "m"); });
  const std::string after_full = read_bytes(folder / "m");
  const std::vector<std::string> names = names_in(folder.path());
  const bool remounted =
      ::mount("tmpfs", folder.path().c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, "size=16k") == 0;
  const std::string read_only = message_of([&] { save(folder / "m"); });
  const std::string after_read_only = read_bytes(folder / "m");
  REQUIRE(::umount(folder.path().c_str()) == 0);
  CHECK(full == refusal(folder / "m", "\"No space left on device\""));
  CHECK(after_full == "old");
  CHECK(names == std::vector<std::string>{"m"});
  REQUIRE(remounted);
  CHECK(read_only == refusal(folder / "m", "\"Read-only file system\""));
  CHECK(after_read_only == "old");
}

// Calls of one undisturbed save.
int count_calls(const std::filesystem::path& path) {
  const FaultInjection count(Fault::none, 0);
  save(path);
  return count.calls();
}

TEST_CASE("every system call of a save may fail", "[io]") {
  const TemporaryFolder folder;
  const int calls = count_calls(folder / "reference");
  const std::string whole = read_bytes(folder / "reference");
  // open, three writes, fsync, rename, open and fsync of the folder
  REQUIRE(calls == 8);
  for (const int error : {EIO, ENOSPC, EDQUOT, EACCES}) {
    for (int at = 1; at <= calls; ++at) {
      INFO("call " << at << ": " << std::strerror(error));
      write_bytes(folder / "m", "old");
      bool renamed = false;
      const std::string message = message_of([&] {
        const FaultInjection fault(Fault::fail, at, error);
        try {
          save(folder / "m");
        } catch (...) {
          renamed = fault.renamed();
          throw;
        }
      });
      const std::string reason = std::string("\"") + std::strerror(error) + "\"";
      CHECK(renamed == (at > 6));
      if (renamed) {
        CHECK(message == "[checkpoint] " + (folder / "m").string() +
                             ": expected a file that can be written, got " + reason +
                             ". The new file is in place, but may not survive a power loss.");
        CHECK(read_bytes(folder / "m") == whole);
      } else {
        CHECK(message == refusal(folder / "m", reason));
        CHECK(read_bytes(folder / "m") == "old");
      }
      CHECK(names_in(folder.path()) == std::vector<std::string>{"m", "reference"});
    }
  }
}

TEST_CASE("interrupted calls and short writes do no harm", "[io]") {
  const TemporaryFolder folder;
  const int calls = count_calls(folder / "reference");
  const std::string whole = read_bytes(folder / "reference");
  for (const Fault fault : {Fault::interrupted, Fault::short_write}) {
    for (int at = 1; at <= calls; ++at) {
      // open of a folder and rename do not wait, so the system does not interrupt them.
      if (fault == Fault::interrupted && (at == 6 || at == 7)) continue;
      INFO("call " << at);
      write_bytes(folder / "m", "old");
      std::string message;
      {
        const FaultInjection injection(fault, at);
        message = message_of([&] { save(folder / "m"); });
      }
      CHECK(message == "no error");
      CHECK(read_bytes(folder / "m") == whole);
      CHECK(names_in(folder.path()) == std::vector<std::string>{"m", "reference"});
    }
  }
}

TEST_CASE("a file system without fsync is no error", "[io]") {
  const TemporaryFolder folder;
  for (const int at : {5, 8}) {
    const FaultInjection injection(Fault::fail, at, EINVAL);
    CHECK(message_of([&] { save(folder / "m"); }) == "no error");
  }
}

}  // namespace
}  // namespace vizoo::test
