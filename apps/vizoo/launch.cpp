// `vizoo launch`: starts a command in several processes on this machine, which read their rank from
// VIZOO_RANK and so on (training/process_environment.h), and looks after them.
//
// The port is free for certain: the launcher listens at it before it starts anything, and process 0
// inherits that socket.
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcntl.h>
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <iostream>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "commands.h"
#include "vizoo/core/error.h"
#include "vizoo/training/process_group.h"
#include "vizoo/training/sockets.h"

namespace vizoo::app {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kMostProcesses = 1024;
constexpr std::chrono::seconds kGrace(10);  // between SIGTERM and SIGKILL

struct LaunchOptions {
  int processes = 0;
  int master_port = 0;
  bool prefix = false;
  std::vector<std::string> command;
};

struct Child {
  pid_t pid = -1;
  bool running = false;
  int output = -1;  // what it writes, with --prefix
  int errors = -1;
};

// Variables of launchers around this one: their ranks are not those of its processes.
const std::vector<std::string> kOtherLaunchers = {"RANK",
                                                  "WORLD_SIZE",
                                                  "LOCAL_RANK",
                                                  "LOCAL_WORLD_SIZE",
                                                  "MASTER_ADDR",
                                                  "MASTER_PORT",
                                                  "PMI_RANK",
                                                  "PMI_SIZE",
                                                  "OMPI_COMM_WORLD_RANK",
                                                  "OMPI_COMM_WORLD_SIZE",
                                                  "SLURM_PROCID"};

bool names_variable(const std::string& entry, const std::string& name) {
  return entry.compare(0, name.size(), name) == 0 && entry.size() > name.size() &&
         entry[name.size()] == '=';
}

std::vector<std::string> child_environment(int rank, int size, int port, int listener) {
  std::vector<std::string> entries;
  bool has_threads = false;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const bool foreign =
        text.rfind("VIZOO_", 0) == 0 ||
        std::any_of(kOtherLaunchers.begin(), kOtherLaunchers.end(), [&](const std::string& name) {
          return names_variable(text, name);
        });
    has_threads = has_threads || names_variable(text, "OMP_NUM_THREADS");
    if (!foreign) entries.push_back(text);
  }
  const auto add = [&](const std::string& name, int value) {
    entries.push_back(name + "=" + std::to_string(value));
  };
  add("VIZOO_RANK", rank);
  add("VIZOO_WORLD_SIZE", size);
  add("VIZOO_LOCAL_RANK", rank);
  add("VIZOO_LOCAL_WORLD_SIZE", size);
  add("VIZOO_MASTER_PORT", port);
  entries.emplace_back("VIZOO_MASTER_ADDR=127.0.0.1");
  if (rank == 0) add("VIZOO_LISTEN_FD", listener);
  if (!has_threads) {
    const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    add("OMP_NUM_THREADS", std::max(1, cores / size));
  }
  return entries;
}

// What execvpe takes; points into `texts`.
std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (auto& text : texts) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

struct Pipe {
  Socket read;
  Socket write;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    throw Error("launch", "pipe", "a new one", std::strerror(errno));
  }
  return {Socket(ends[0]), Socket(ends[1])};
}

class Launcher {
 public:
  explicit Launcher(LaunchOptions options) : options_(std::move(options)) {
    sigemptyset(&handled_);
    for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGUSR1, SIGHUP}) {
      sigaddset(&handled_, signal);
    }
  }

  int run() {
    auto listener = listen_at("127.0.0.1", options_.master_port);
    const int port = listening_port(listener.descriptor(), "--master-port");
    sigprocmask(SIG_BLOCK, &handled_, &mask_before_);
    for (int rank = 0; rank < options_.processes; ++rank) start(rank, port, listener.descriptor());
    listener = Socket();
    forward_output();
    watch();
    for (auto& thread : readers_) thread.join();
    return exit_code();
  }

 private:
  void start(int rank, int port, int listener) {
    auto environment = child_environment(rank, options_.processes, port, listener);
    auto command = options_.command;
    const auto environment_pointers = pointers(environment);
    const auto command_pointers = pointers(command);
    auto problem = make_pipe();  // closed by a successful exec
    std::optional<Pipe> output;
    std::optional<Pipe> errors;
    if (options_.prefix) {
      output = make_pipe();
      errors = make_pipe();
    }
    const pid_t launcher = getpid();
    const pid_t pid = fork();
    if (pid == 0) {
      setpgid(0, 0);
      prctl(PR_SET_PDEATHSIG, SIGTERM);
      if (getppid() != launcher) _exit(1);
      signal(SIGPIPE, SIG_DFL);
      signal(SIGINT, SIG_DFL);
      sigprocmask(SIG_SETMASK, &mask_before_, nullptr);
      const int nothing = open("/dev/null", O_RDONLY);
      dup2(nothing, STDIN_FILENO);
      if (output) dup2(output->write.descriptor(), STDOUT_FILENO);
      if (errors) dup2(errors->write.descriptor(), STDERR_FILENO);
      if (rank == 0) fcntl(listener, F_SETFD, 0);
      execvpe(command_pointers[0], command_pointers.data(), environment_pointers.data());
      const int number = errno;
      (void)!write(problem.write.descriptor(), &number, sizeof(number));
      _exit(127);
    }
    const int fork_problem = errno;
    problem.write = Socket();
    int number = 0;
    if (pid < 0) number = fork_problem;
    if (pid > 0 && read(problem.read.descriptor(), &number, sizeof(number)) <= 0) number = 0;
    if (number != 0) {
      if (pid > 0) waitpid(pid, nullptr, 0);
      signal_all(SIGKILL);
      throw UsageError("launch",
                       quote(options_.command.front()),
                       "a program that can be started",
                       std::strerror(number));
    }
    setpgid(pid, pid);
    children_.push_back({pid, true, -1, -1});
    if (output) children_.back().output = output->read.release();
    if (errors) children_.back().errors = errors->read.release();
  }

  // Every line of every process with its rank before it, whole lines at a time.
  void forward_output() {
    for (std::size_t rank = 0; rank < children_.size(); ++rank) {
      const auto forward = [this, rank](int from, int to) {
        if (from < 0) return;
        readers_.emplace_back([this, rank, from, to] {
          const Socket closes(from);
          copy_lines(from, to, "[" + std::to_string(rank) + "] ");
        });
      };
      forward(children_[rank].output, STDOUT_FILENO);
      forward(children_[rank].errors, STDERR_FILENO);
    }
  }

  void copy_lines(int from, int to, const std::string& prefix) {
    std::string pending;
    std::array<char, 4096> buffer{};
    const auto put = [&](std::string text) {
      const std::lock_guard<std::mutex> lock(output_);
      while (!text.empty()) {
        const auto written = write(to, text.data(), text.size());
        if (written <= 0) return;
        text.erase(0, static_cast<std::size_t>(written));
      }
    };
    for (ssize_t count; (count = read(from, buffer.data(), buffer.size())) > 0;) {
      pending.append(buffer.data(), static_cast<std::size_t>(count));
      std::string lines;
      std::size_t begin = 0;
      for (auto end = pending.find('\n'); end != std::string::npos;
           end = pending.find('\n', begin)) {
        lines += prefix + pending.substr(begin, end + 1 - begin);
        begin = end + 1;
      }
      pending.erase(0, begin);
      put(std::move(lines));
    }
    if (!pending.empty()) put(prefix + pending + "\n");
  }

  // Returns when all processes have ended.
  void watch() {
    while (running() > 0) {
      const timespec second{1, 0};
      const int signal = sigtimedwait(&handled_, nullptr, &second);
      if (signal > 0 && signal != SIGCHLD) pass_on(signal);
      collect();
      if (kill_at_ && Clock::now() >= *kill_at_) {
        signal_all(SIGKILL);
        kill_at_.reset();
      }
    }
  }

  void pass_on(int signal) {
    // Who asks a second time does not want to wait for files to be saved.
    const bool again = signal == SIGINT && stopped_by_ == SIGINT;
    if (signal != SIGUSR1) stopped_by_ = signal;
    signal_all(again ? SIGKILL : signal);
  }

  void collect() {
    int status = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
      const auto child = std::find_if(
          children_.begin(), children_.end(), [&](const Child& one) { return one.pid == pid; });
      if (child == children_.end()) continue;
      child->running = false;
      if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
      const auto rank = static_cast<int>(child - children_.begin());
      if (!failed_ && !(stopped_by_ != 0 && was_interrupted(status))) fail(rank, status);
      all_well_ = false;
    }
  }

  // Whether a process ended as one that was asked to.
  bool was_interrupted(int status) const {
    if (WIFSIGNALED(status)) return WTERMSIG(status) == stopped_by_ || WTERMSIG(status) == SIGKILL;
    return WEXITSTATUS(status) == kInterrupted;
  }

  void fail(int rank, int status) {
    failed_ = true;
    const auto how = WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status)) + " (" +
                                               strsignal(WTERMSIG(status)) + ")"
                                         : "exit code " + std::to_string(WEXITSTATUS(status));
    const auto others = running();
    const std::lock_guard<std::mutex> lock(output_);
    const Error error("launch",
                      "rank " + std::to_string(rank),
                      "exit code 0",
                      how,
                      others == 0 ? "" : "The others are ended");
    std::cerr << std::string(error.what()) + "\n" << std::flush;  // in one piece: others write too
    signal_all(SIGTERM);
    kill_at_ = Clock::now() + kGrace;
  }

  // To each process and what it has started itself.
  void signal_all(int signal) {
    for (const auto& child : children_) {
      if (child.running) kill(-child.pid, signal);
    }
  }

  std::ptrdiff_t running() const {
    return std::count_if(
        children_.begin(), children_.end(), [](const Child& child) { return child.running; });
  }

  int exit_code() const {
    if (failed_) return kFailed;
    return all_well_ ? kOk : kInterrupted;
  }

  LaunchOptions options_;
  sigset_t handled_{};
  sigset_t mask_before_{};
  std::vector<Child> children_;
  std::vector<std::thread> readers_;
  std::mutex output_;
  std::optional<Clock::time_point> kill_at_;
  int stopped_by_ = 0;  // the last signal that asks to stop
  bool failed_ = false;
  bool all_well_ = true;
};

int launch(const LaunchOptions& options) {
  if (options.processes < 1 || options.processes > kMostProcesses) {
    throw UsageError("usage",
                     "--nproc",
                     "1 to " + std::to_string(kMostProcesses),
                     std::to_string(options.processes));
  }
  if (options.master_port < 0 || options.master_port > 65535) {
    throw UsageError("usage", "--master-port", "1 to 65535", std::to_string(options.master_port));
  }
  if (options.processes > 1 && process_backends().empty()) {
    throw UsageError("usage",
                     "--nproc",
                     "1, since this build of vizoo has no distributed training",
                     std::to_string(options.processes),
                     "Install libgloo-dev and build again");
  }
  return Launcher(options).run();
}

}  // namespace

void add_launch(CLI::App& program, Run& run) {
  auto* command = program.add_subcommand("launch", "Start a command in several processes");
  auto options = std::make_shared<LaunchOptions>();
  command->add_option("--nproc", options->processes, "Processes, 1 to 1024")->required();
  command->add_option("--master-port",
                      options->master_port,
                      "Port of 127.0.0.1 where they meet (default: one that is free)");
  command->add_flag("--prefix", options->prefix, "Put [rank] before every line that they print");
  command->add_option("command", options->command, "Program and arguments, after --")->required();
  command->footer(
      "Each process gets VIZOO_RANK, VIZOO_WORLD_SIZE and so on, and, unless it is set,\n"
      "OMP_NUM_THREADS: its part of the cores. SIGTERM, SIGINT and SIGUSR1 are passed on.\n"
      "If one fails, the others are ended and the exit code is 1.\n"
      "Example: vizoo launch --nproc 2 -- vizoo train --help");
  command->callback([&run, options] { run = [options] { return launch(*options); }; });
}

}  // namespace vizoo::app
