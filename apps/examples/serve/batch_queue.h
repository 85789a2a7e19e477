#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "vizoo/io/json.h"

namespace vizoo::serve {

using Clock = std::chrono::steady_clock;

/// What a client gets: an HTTP status and a JSON object.
struct Answer {
  int status = 200;
  Json body;
};

/// `{"error": message}` under a status.
Answer failure(int status, const std::string& message);

/// A picture on its way to the model. Whoever takes it from the queue fulfils `answer`.
struct Request {
  std::string image;  ///< bytes of an image file
  int64_t top_k = 5;
  Clock::time_point arrived = Clock::now();
  Clock::time_point deadline;  ///< nobody waits for an answer after it
  std::promise<Answer> answer;
};

using Batch = std::vector<std::unique_ptr<Request>>;

/// A bounded queue whose requests leave in batches. All functions may be called by many threads.
class BatchQueue {
 public:
  struct Limits {
    std::size_t capacity = 64;             ///< requests that may wait
    std::size_t max_batch = 8;             ///< requests that leave together
    std::chrono::milliseconds max_wait{};  ///< how long a request may wait for others to join it
  };

  explicit BatchQueue(const Limits& limits) : limits_(limits) {}

  /// Whether there was room; if not, the request is dropped.
  bool push(std::unique_ptr<Request> request);

  /// The oldest requests, as soon as there are max_batch of them or the oldest has waited max_wait.
  /// Empty once the queue is closed and nothing is left.
  Batch pop();

  /// From now on no request waits for others to join it.
  void hurry();

  /// Nothing more will be pushed: `pop` gives what is left, then nothing.
  void close();

  std::size_t size() const;
  const Limits& limits() const { return limits_; }

 private:
  const Limits limits_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<Request>> waiting_;
  bool hurried_ = false;
  bool closed_ = false;
};

}  // namespace vizoo::serve
