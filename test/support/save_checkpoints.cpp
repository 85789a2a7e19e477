// Saves the checkpoints of a small run, for test/support/fault_test.py, which preloads fail_io.c.
//
// usage: save_checkpoints
//
// Reads requests from standard input, one a line, tab between the words:
//     FOLDER STEPS MODE AT ERROR TRACE|-
// and runs each in a process of its own: claims FOLDER, goes on after its newest checkpoint, and
// saves one for each step up to STEPS, the last one twice. Prints `resumed N` (0: from the start),
// `saved N` after each, `passed TEXT` and `error TEXT` where there is something, and at the end
// `exit CODE`. Loading LibTorch once for thousands of runs makes the test a matter of seconds.
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <iostream>
#include <sstream>
#include <string>

#include "vizoo/core/error.h"
#include "vizoo/io/file.h"
#include "vizoo/training/checkpoint_files.h"
#include "vizoo/training/checkpointer.h"

namespace {

namespace fs = std::filesystem;

constexpr int kWrongContent = 3;
constexpr int kNoLibrary = 4;

using Configure = void (*)(const char*, const char*, long, int, const char*);

void say(const std::string& line) {
  // Past all buffers: the process may end at any moment.
  const std::string text = line + "\n";
  if (::write(STDOUT_FILENO, text.data(), text.size()) < 0) ::_exit(kNoLibrary);
}

// Some text that depends on the step, long enough for more than one page.
std::string weights(int64_t step) {
  std::string text;
  for (int i = 0; i < 2000; ++i) text += std::to_string(step * 1000003 + i * i) + "\n";
  return text;
}

void write_content(const fs::path& folder, int64_t step) {
  vizoo::make_folder(folder / "tokenizer");
  vizoo::write_file_atomically(folder / "weights", weights(step));
  vizoo::write_file_atomically(folder / "tokenizer" / "vocabulary", "step " + std::to_string(step));
}

int run(const fs::path& folder, int64_t last_step) {
  using vizoo::Checkpointer;
  Checkpointer checkpointer(folder, vizoo::CheckpointerOptions().keep_last(1));
  checkpointer.claim();
  const auto newest = checkpointer.newest();
  for (const auto& problem : newest.passed_over) say("passed " + problem);
  int64_t step = newest.checkpoint ? newest.checkpoint->step : 0;
  if (newest.checkpoint) {
    const auto text = vizoo::read_file(newest.checkpoint->folder / "weights", 1U << 20U);
    if (text != weights(step)) return kWrongContent;
  }
  checkpointer.remove_after(step);
  say("resumed " + std::to_string(step));
  const auto save = [&] {
    // The second of the four is the best.
    checkpointer.save(
        step, [&](const fs::path& content) { write_content(content, step); }, step == 2 ? 9 : 1);
    say("saved " + std::to_string(step));
  };
  while (step < last_step) {
    ++step;
    save();
  }
  save();
  return 0;
}

int run_guarded(const fs::path& folder, int64_t last_step) {
  try {
    return run(folder, last_step);
  } catch (const vizoo::Error& error) {
    say(std::string("error ") + error.what());
    return 1;
  }
}

}  // namespace

int main() {
  const auto configure = reinterpret_cast<Configure>(::dlsym(RTLD_DEFAULT, "fail_io_configure"));
  if (configure == nullptr) {
    std::cerr << "save_checkpoints: LD_PRELOAD lacks fail_io\n";
    return kNoLibrary;
  }
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string folder;
    std::string mode;
    std::string trace;
    int64_t last_step = 0;
    long at = 0;
    int error = 0;
    std::getline(words, folder, '\t');
    words >> last_step >> mode >> at >> error >> trace;
    const pid_t child = ::fork();
    if (child == 0) {
      configure(folder.c_str(), mode.c_str(), at, error, trace == "-" ? nullptr : trace.c_str());
      ::_exit(run_guarded(folder, last_step));
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    say("exit " + std::to_string(code));
  }
  return 0;
}
