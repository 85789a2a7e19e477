// A batch server for image classifiers that `vizoo export` wrote.
//
//   vizoo export --model weights/dinat-digits --output dinat.pt
//   serve --trust-code --model dinat.pt --port 8080
//   curl --data-binary @digit.png 'http://127.0.0.1:8080/classify?top_k=3'
//
// Connections have a thread each (http_server.h), which puts the picture into a bounded queue
// (batch_queue.h) and waits. Workers take batches from the queue, decode the pictures and run the
// model (workers.h, classifier.h); when the queue is full, clients are asked to come again later.
// SIGTERM or SIGINT ends it: no more connections, and answers for all requests that were accepted.
//
// It is an example to start from. It listens on this machine only; in front of others it wants a
// proxy, which also keeps slow clients from holding its threads.
//
// It is built with vizoo if cpp-httplib is there (Debian: libcpp-httplib-dev).
#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstddef>
#include <exception>
#include <iostream>
#include <string>
#include <thread>

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <pthread.h>

#include "batch_queue.h"
#include "classifier.h"
#include "http_server.h"
#include "metrics.h"
#include "vizoo/core/error.h"
#include "workers.h"

namespace vizoo::serve {
namespace {

struct Options {
  std::string model;
  bool trust_code = false;
  int port = 8080;
  int workers = 0;
  std::size_t max_batch = 8;
  std::size_t queue = 64;
  int64_t max_wait_ms = 2;
  int64_t deadline_ms = 10'000;
  std::size_t max_body_kib = 10 * 1024;
};

// Signals that end the server. Blocked in all threads, so that none is interrupted by them; the
// main thread waits for one.
sigset_t ending_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

// A forward pass frees its activations and the next one asks for as much again: keep it at hand.
void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 512 << 20);
#endif
}

void serve(const Options& options) {
  keep_freed_memory();
  const auto signals = ending_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a client that leaves early

  // Throughput comes from workers side by side, each with as many threads within an operator as
  // there are cores for it. A traced model has nothing that runs between operators.
  const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  const int workers = options.workers > 0 ? options.workers : cores;
  at::set_num_interop_threads(1);
  at::set_num_threads(std::max(1, cores / workers));

  const Classifier classifier(options.model, options.trust_code);
  classifier.warm_up(static_cast<int64_t>(options.max_batch));

  Metrics metrics;
  BatchQueue queue(
      {options.queue, options.max_batch, std::chrono::milliseconds(options.max_wait_ms)});
  HttpServer::Options http;
  http.port = options.port;
  http.max_body = options.max_body_kib << 10;
  http.deadline = std::chrono::milliseconds(options.deadline_ms);
  // Enough to fill the queue and the workers, so that it is the queue that says when it is enough,
  // and some more for /healthz, /metrics and whom is told to come again.
  http.threads = options.queue + static_cast<std::size_t>(workers) * options.max_batch + 8;
  HttpServer server(http, queue, metrics);
  const Workers threads(workers, std::max(1, cores / workers), queue, classifier, metrics);
  const int port = server.start();
  std::cout << "listening on http://127.0.0.1:" << port << std::endl;

  int signal = 0;
  sigwait(&signals, &signal);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);  // a second one ends the program at once
  queue.hurry();
  server.stop();
  std::cout << "stopped; answers: " << metrics.answers() << std::endl;
}

int run(int argc, char** argv) {
  CLI::App program("Serves an exported image classifier over HTTP on this machine.", "serve");
  Options options;
  program.add_option("--model", options.model, "File that vizoo export wrote")->required();
  program.add_flag("--trust-code", options.trust_code, "Loading TorchScript executes what it says");
  program.add_option("--port", options.port, "Port, 0 for any that is free")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  program.add_option("--workers", options.workers, "Batches that run at a time (default: cores)")
      ->check(CLI::Range(1, 1024));
  program.add_option("--max-batch", options.max_batch, "Pictures that run together")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  program.add_option("--max-wait-ms", options.max_wait_ms, "How long a request waits for others")
      ->check(CLI::Range(0, 3'600'000))
      ->capture_default_str();
  program
      .add_option("--queue", options.queue, "Requests that may wait; more are answered with 503")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  program.add_option("--deadline-ms", options.deadline_ms, "Longest time for an answer")
      ->check(CLI::Range(1, 3'600'000))
      ->capture_default_str();
  program.add_option("--max-body-kib", options.max_body_kib, "Largest image file")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  try {
    program.parse(argc, argv);
    serve(options);
    return 0;
  } catch (const CLI::Success& success) {
    return program.exit(success);
  } catch (const CLI::ParseError& error) {
    std::cerr << "[usage] " << error.what() << ". serve --help lists the options.\n";
    return 2;
  } catch (const UsageError& error) {
    std::cerr << error.what() << '\n';
    return 2;
  } catch (const std::exception& error) {
    const std::string message = error.what();
    std::cerr << message.substr(0, message.find('\n')) << '\n';
    return 1;
  }
}

}  // namespace
}  // namespace vizoo::serve

int main(int argc, char** argv) { return vizoo::serve::run(argc, argv); }
