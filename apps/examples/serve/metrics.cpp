#include "metrics.h"

#include <algorithm>
#include <cmath>
#include <sstream>

namespace vizoo::serve {
namespace {

// Quantiles are taken over so many of the latest answers.
constexpr std::size_t kLatencies = 4096;

}  // namespace

void Metrics::count_answer(int status, std::chrono::nanoseconds latency) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++answers_[status];
  if (status != 200) return;
  const double seconds = std::chrono::duration<double>(latency).count();
  if (latencies_.size() < kLatencies) {
    latencies_.push_back(seconds);
  } else {
    latencies_[next_latency_] = seconds;
    next_latency_ = (next_latency_ + 1) % kLatencies;
  }
}

void Metrics::count_batch(std::size_t pictures) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++batches_[pictures];
}

std::string Metrics::text(std::size_t waiting) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::ostringstream out;
  out << "# TYPE serve_requests_total counter\n";
  for (const auto& [status, count] : answers_) {
    out << "serve_requests_total{code=\"" << status << "\"} " << count << '\n';
  }
  out << "# TYPE serve_queue_length gauge\nserve_queue_length " << waiting << '\n';
  out << "# TYPE serve_batch_size histogram\n";
  int64_t batches = 0, pictures = 0;
  for (const auto& [size, count] : batches_) {
    batches += count;
    pictures += static_cast<int64_t>(size) * count;
    out << "serve_batch_size_bucket{le=\"" << size << "\"} " << batches << '\n';
  }
  out << "serve_batch_size_bucket{le=\"+Inf\"} " << batches << '\n'
      << "serve_batch_size_sum " << pictures << '\n'
      << "serve_batch_size_count " << batches << '\n';
  out << "# TYPE serve_latency_seconds summary\n";
  for (const double q : {0.5, 0.99}) {
    out << "serve_latency_seconds{quantile=\"" << q << "\"} " << quantile_seconds(q) << '\n';
  }
  return out.str();
}

std::string Metrics::answers() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::string text;
  for (const auto& [status, count] : answers_) {
    text += (text.empty() ? "" : ", ") + std::to_string(status) + ": " + std::to_string(count);
  }
  return text;
}

double Metrics::quantile_seconds(double q) const {
  if (latencies_.empty()) return 0;
  auto sorted = latencies_;
  const auto rank = std::ceil(q * static_cast<double>(sorted.size()));
  const auto place = sorted.begin() + static_cast<std::ptrdiff_t>(rank) - 1;
  std::nth_element(sorted.begin(), place, sorted.end());
  return *place;
}

}  // namespace vizoo::serve
