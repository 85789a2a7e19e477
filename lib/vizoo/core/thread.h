#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

namespace vizoo {

/// Computes function(0), function(1), ... on worker threads and hands the results out in order.
///
/// At most `window` results wait or are under way, so memory stays bounded however slow the taker
/// is. Destroying it earlier waits only for the calls under way.
template <class Result>
class OrderedPrefetch {
 public:
  OrderedPrefetch(std::size_t count,
                  std::size_t workers,
                  std::size_t window,
                  std::function<Result(std::size_t)> function)
      : count_(count), window_(std::max<std::size_t>(window, 1)), function_(std::move(function)) {
    workers = std::max<std::size_t>(std::min(workers, count), 1);
    for (std::size_t i = 0; i < workers; ++i) threads_.emplace_back([this] { work(); });
  }

  ~OrderedPrefetch() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  OrderedPrefetch(const OrderedPrefetch&) = delete;
  OrderedPrefetch& operator=(const OrderedPrefetch&) = delete;

  /// Whether all results have been taken.
  bool done() const { return taken_ == count_; }

  /// Waits for the next result in order. Rethrows what the function threw for it; the results after
  /// it can still be taken. Must not be called once `done()`.
  Result next() {
    Outcome outcome;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [&] { return outcomes_.count(taken_) != 0; });
      const auto found = outcomes_.find(taken_);
      outcome = std::move(found->second);
      outcomes_.erase(found);
      ++taken_;
    }
    changed_.notify_all();
    if (auto* error = std::get_if<std::exception_ptr>(&outcome)) std::rethrow_exception(*error);
    return std::move(std::get<Result>(outcome));
  }

 private:
  using Outcome = std::variant<std::exception_ptr, Result>;

  void work() {
    while (true) {
      std::size_t index = 0;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(
            lock, [&] { return stopped_ || started_ == count_ || started_ < taken_ + window_; });
        if (stopped_ || started_ == count_) return;
        index = started_++;
      }
      Outcome outcome;
      try {
        outcome = function_(index);
      } catch (...) {
        outcome = std::current_exception();
      }
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        outcomes_.emplace(index, std::move(outcome));
      }
      changed_.notify_all();
    }
  }

  const std::size_t count_;
  const std::size_t window_;
  const std::function<Result(std::size_t)> function_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::size_t, Outcome> outcomes_;
  std::size_t started_ = 0;
  std::size_t taken_ = 0;
  bool stopped_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace vizoo
