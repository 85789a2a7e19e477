#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace vizoo::serve {

/// What the server counts. All functions may be called by many threads.
class Metrics {
 public:
  /// One request has its answer.
  void count_answer(int status, std::chrono::nanoseconds latency);

  /// The model has run on so many pictures together.
  void count_batch(std::size_t pictures);

  /// All of it in Prometheus' text format, with the number of requests that wait now.
  std::string text(std::size_t waiting) const;

  /// `200: 1950, 400: 50`.
  std::string answers() const;

 private:
  double quantile_seconds(double q) const;

  mutable std::mutex mutex_;
  std::map<int, int64_t> answers_;          // by status
  std::map<std::size_t, int64_t> batches_;  // by number of pictures
  std::vector<double> latencies_;           // of the latest answers with 200, in seconds
  std::size_t next_latency_ = 0;
};

}  // namespace vizoo::serve
