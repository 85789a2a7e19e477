#include "vizoo/training/data_loader.h"

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>

#include "vizoo/core/error.h"
#include "vizoo/core/thread.h"

namespace vizoo {
namespace {

constexpr std::size_t kNamedSkips = 3;
constexpr int64_t kMaxWorkers = 1024;

// LibTorch keeps the number of threads for each thread, and one for those that have not asked yet.
// Setting the former sets the latter too, so a short-lived thread sets it back.
void use_one_thread() {
  static thread_local bool done = false;
  if (done) return;
  static std::mutex mutex;
  const std::lock_guard<std::mutex> lock(mutex);
  const int others = at::get_num_threads();
  at::set_num_threads(1);
  std::thread([others] { at::set_num_threads(others); }).join();
  done = true;
}

EpochSamplerOptions sampler_options(const DataLoaderOptions& options) {
  return EpochSamplerOptions()
      .batch(options.batch())
      .rank(options.rank())
      .world_size(options.world_size())
      .seed(options.seed())
      .shuffle(options.shuffle());
}

void check_loader_range(int64_t value, const char* name, int64_t least, int64_t most) {
  if (value >= least && value <= most) return;
  throw UsageError("training",
                   name,
                   most == INT64_MAX ? "at least " + std::to_string(least)
                                     : std::to_string(least) + " to " + std::to_string(most),
                   std::to_string(value));
}

std::string percent(double share) {
  std::string text = std::to_string(share * 100.0);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text + " %";
}

}  // namespace

// Samples of one process in the order of an epoch's steps.
class DataLoader::Producer {
 public:
  struct Result {
    int64_t index = 0;
    Sample sample;
    bool failed = false;
    std::string message;
  };

  Producer(std::shared_ptr<const Dataset> dataset,
           std::vector<int64_t> indices,
           uint64_t seed,
           int64_t epoch,
           std::size_t workers,
           std::size_t window)
      : dataset_(std::move(dataset)),
        indices_(std::move(indices)),
        seed_(seed),
        epoch_(static_cast<uint64_t>(epoch)) {
    if (workers == 0 || indices_.empty()) return;
    prefetch_ = std::make_unique<OrderedPrefetch<Result>>(
        indices_.size(), workers, window, [this](std::size_t i) {
          use_one_thread();
          return make(i);
        });
  }

  Result next() { return prefetch_ ? prefetch_->next() : make(taken_++); }

 private:
  Result make(std::size_t i) const {
    Result result;
    result.index = indices_[i];
    RandomStream random(seed_, epoch_, static_cast<uint64_t>(result.index), RandomPurpose::sample);
    const torch::NoGradGuard no_grad;
    try {
      result.sample = dataset_->get(result.index, random);
    } catch (const Error& error) {
      result.failed = true;
      result.message = error.what();
    }
    return result;
  }

  std::shared_ptr<const Dataset> dataset_;
  std::vector<int64_t> indices_;
  uint64_t seed_;
  uint64_t epoch_;
  std::size_t taken_ = 0;
  std::unique_ptr<OrderedPrefetch<Result>> prefetch_;  // last: its threads use the others
};

DataLoader::DataLoader(std::shared_ptr<const Dataset> dataset, const DataLoaderOptions& options)
    : dataset_(std::move(dataset)),
      options_(options),
      sampler_(dataset_->size(), sampler_options(options)) {
  check_loader_range(dataset_->size(), "data set", 1, INT64_MAX);
  check_loader_range(options.accumulation(), "accumulation", 1, INT64_MAX);
  check_loader_range(options.workers(), "workers", 0, kMaxWorkers);
  check_loader_range(options.prefetch(), "prefetch", 1, INT64_MAX);
  if (!(options.max_skipped() >= 0.0 && options.max_skipped() <= 1.0)) {
    throw UsageError(
        "training", "max_skipped", "a number from 0 to 1", std::to_string(options.max_skipped()));
  }
}

DataLoader::~DataLoader() = default;

void DataLoader::start(int64_t epoch, int64_t position) {
  check_loader_range(epoch, "epoch", 0, INT64_MAX);
  check_loader_range(position, "position", 0, size());
  producer_.reset();
  epoch_ = epoch;
  position_ = position;
  indices_.clear();

  const auto order = sampler_.order(epoch);
  std::vector<int64_t> own;
  for (int64_t begin = position; begin < size(); begin = sampler_.step(begin).end) {
    const auto slice = sampler_.slice(begin);
    own.insert(own.end(), order.begin() + slice.begin, order.begin() + slice.end);
  }
  const int64_t longest = even_part(sampler_.step(position), 0, options_.world_size()).size();
  const auto count = static_cast<int64_t>(own.size());
  const int64_t steps = std::min(options_.prefetch(), sampler_.steps(position));
  producer_ = std::make_unique<Producer>(dataset_,
                                         std::move(own),
                                         options_.seed(),
                                         epoch,
                                         static_cast<std::size_t>(options_.workers()),
                                         static_cast<std::size_t>(std::clamp<int64_t>(
                                             steps * longest, 1, std::max<int64_t>(count, 1))));
}

std::optional<std::vector<Batch>> DataLoader::next() {
  if (!producer_) {
    throw UsageError("training", "data loader", "start() before next()", "next() alone");
  }
  indices_.clear();
  if (position_ >= size()) return std::nullopt;
  const auto slice = sampler_.slice(position_);
  std::vector<Batch> parts;
  try {
    for (int64_t part = 0; part < options_.accumulation(); ++part) {
      parts.push_back(take_part(even_part(slice, part, options_.accumulation())));
    }
  } catch (...) {
    producer_.reset();
    throw;
  }
  position_ = sampler_.step(position_).end;
  return parts;
}

Batch DataLoader::take_part(const SampleRange& range) {
  std::vector<Sample> samples;
  indices_.emplace_back();
  for (int64_t i = 0; i < range.size(); ++i) {
    auto result = producer_->next();
    if (result.failed) {
      skip(result.index, result.message);
      continue;
    }
    samples.push_back(std::move(result.sample));
    indices_.back().push_back(result.index);
  }
  if (samples.empty()) return {};
  auto batch = collate(samples);
  batch.indices = indices_.back();
  return batch;
}

void DataLoader::skip(int64_t index, const std::string& message) {
  if (!skipped_indices_.insert(index).second) return;
  skipped_.push_back({index, message});
  const auto count = skipped_.size();
  if (count <= 1 ||
      static_cast<double>(count) <= options_.max_skipped() * static_cast<double>(size())) {
    return;
  }
  std::string got = std::to_string(count) + ": ";
  for (std::size_t i = 0; i < std::min(count, kNamedSkips); ++i) {
    got += (i == 0 ? "" : ", ") + printable(dataset_->describe(skipped_[i].index));
  }
  if (count > kNamedSkips) got += " and " + std::to_string(count - kNamedSkips) + " more";
  throw Error("training",
              "data set",
              "at most " + percent(options_.max_skipped()) + " of " + std::to_string(size()) +
                  " samples that cannot be read",
              got,
              "The first one: " + skipped_.front().message);
}

}  // namespace vizoo
