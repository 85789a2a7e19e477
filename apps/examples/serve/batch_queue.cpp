#include "batch_queue.h"

#include <algorithm>
#include <utility>

namespace vizoo::serve {

Answer failure(int status, const std::string& message) { return {status, {{"error", message}}}; }

bool BatchQueue::push(std::unique_ptr<Request> request) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (waiting_.size() >= limits_.capacity) return false;
    waiting_.push_back(std::move(request));
  }
  changed_.notify_all();
  return true;
}

Batch BatchQueue::pop() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    if (waiting_.empty()) {
      if (closed_) return {};
      changed_.wait(lock);
      continue;
    }
    const auto start = waiting_.front()->arrived + limits_.max_wait;
    if (hurried_ || waiting_.size() >= limits_.max_batch || Clock::now() >= start) break;
    changed_.wait_until(lock, start);
  }
  Batch batch;
  const auto count = std::min(waiting_.size(), limits_.max_batch);
  for (std::size_t i = 0; i < count; ++i) {
    batch.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return batch;
}

void BatchQueue::hurry() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    hurried_ = true;
  }
  changed_.notify_all();
}

void BatchQueue::close() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    hurried_ = true;
    closed_ = true;
  }
  changed_.notify_all();
}

std::size_t BatchQueue::size() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return waiting_.size();
}

}  // namespace vizoo::serve
