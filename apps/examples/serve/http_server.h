#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <thread>

#include "batch_queue.h"
#include "metrics.h"

namespace vizoo::serve {

/// The HTTP side: reads requests, puts them into the queue and writes what comes of them.
///
///   POST /classify?top_k=5   an image file as the body; {"predictions": [...]} or {"error": "..."}
///   GET  /healthz            {"status": "ok"}
///   GET  /metrics            counters, batch sizes and latencies in Prometheus' text format
///
/// 400: no image that can be read; 413: the body is too large; 503 with Retry-After: the queue is
/// full; 504: no answer before the deadline, which the header X-Deadline-Ms may bring forward.
///
/// Each connection has one request, as a thread is kept for it meanwhile.
class HttpServer {
 public:
  struct Options {
    int port = 8080;                             ///< on 127.0.0.1; 0 takes any that is free
    std::size_t max_body = 10 << 20;             ///< bytes
    std::chrono::milliseconds deadline{10'000};  ///< for an answer
    std::size_t threads = 64;                    ///< requests that are read or wait at a time
  };

  /// Binds the port. Throws UsageError if that cannot be had.
  HttpServer(const Options& options, BatchQueue& queue, Metrics& metrics);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// Answers requests from now on, on threads of its own. Returns the port.
  int start();

  /// Accepts no more connections and waits until those that it has are answered. Once, after start.
  void stop();

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace vizoo::serve
