// vizoo: the command-line program. Results go to stdout, everything else to stderr; exit codes are
// 0 (ok), 1 (failed), 2 (usage) and 130 (interrupted).
#include <c10/util/Exception.h>
#include <torch/version.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>
#include <string>

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <unistd.h>

#include "commands.h"
#include "vizoo/core/error.h"

namespace vizoo::app {
namespace {

extern "C" void interrupt(int) { _exit(kInterrupted); }

// LibTorch's messages carry a stack trace; the first line says what is wrong.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

int report(const std::string& message, int exit_code) {
  std::cerr << message << '\n';
  return exit_code;
}

int guarded(const Run& run) {
  try {
    const int exit_code = run();
    std::cout.flush();
    if (!std::cout) {
      return report("[output] stdout: expected to write all results, got a closed or full output.",
                    kFailed);
    }
    return exit_code;
  } catch (const UsageError& error) {
    return report(error.what(), kUsage);
  } catch (const Error& error) {
    return report(error.what(), kFailed);
  } catch (const c10::Error& error) {
    return report("[torch] " + printable(first_line(error.what_without_backtrace()), 500), kFailed);
  } catch (const std::bad_alloc&) {
    return report("[memory] expected enough memory, got none. Try a smaller --batch.", kFailed);
  } catch (const std::exception& error) {
    return report("[vizoo] " + printable(first_line(error.what()), 500), kFailed);
  }
}

// A forward pass frees its activations and the next one asks for as much again. What goes back to
// the system in between costs a page fault for every 4 KiB, which took LeViT-128S a third of its
// time on two threads; so the program keeps what it once had.
void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 512 << 20);
#endif
}

int main_program(int argc, char** argv) {
  keep_freed_memory();
  std::signal(SIGINT, interrupt);
  std::signal(SIGPIPE, SIG_IGN);              // a reader that leaves early is no crash
  setenv("OPENCV_FFMPEG_LOGLEVEL", "-8", 0);  // what is wrong with a video is said once, by us
  std::ios::sync_with_stdio(false);

  CLI::App program("vizoo runs Hugging Face vision checkpoints on LibTorch, without Python.",
                   "vizoo");
  program.set_version_flag("--version", "vizoo " VIZOO_VERSION " (LibTorch " TORCH_VERSION ")");
  program.require_subcommand(1);
  program.footer(
      "Example: vizoo classify --model weights/convnext-digits photo.png\n"
      "vizoo COMMAND --help explains a command.");
  Run run;
  add_list(program, run);
  add_inspect(program, run);
#ifdef VIZOO_OPENCV
  add_classify(program, run);
  add_detect(program, run);
  add_embed(program, run);
  add_flow(program, run);
  add_autoencode(program, run);
  add_train(program, run);
  add_eval(program, run);
  add_plot(program, run);
#endif
  add_launch(program, run);
  add_fill_mask(program, run);
  add_forward(program, run);
  add_convert(program, run);
  add_export(program, run);
#ifdef VIZOO_OPENCV
  add_preprocess(program, run);
#endif
  add_tokenize(program, run);
  add_bench(program, run);
  add_doctor(program, run);

  try {
    // CLI11 would call an unknown command a missing one.
    const auto commands = program.get_subcommands(
        [&](const CLI::App* command) { return argc > 1 && command->get_name() == argv[1]; });
    if (argc > 1 && argv[1][0] != '-' && commands.empty()) {
      throw CLI::RequiredError(quote(argv[1]) + " is no command, so one");
    }
    program.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return guarded([&] { return program.exit(success); });  // --help, --version
  } catch (const CLI::ParseError& error) {
    return report(std::string("[usage] ") + printable(first_line(error.what()), 500) +
                      ". vizoo --help lists the commands.",
                  kUsage);
  }
  return guarded(run);
}

}  // namespace
}  // namespace vizoo::app

int main(int argc, char** argv) { return vizoo::app::main_program(argc, argv); }
