#include "vizoo/training/sampler.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "vizoo/core/error.h"
#include "vizoo/training/random_stream.h"

namespace vizoo {
namespace {

[[noreturn]] void refuse_option(const char* subject, const std::string& expected, int64_t got) {
  throw UsageError("training", subject, expected, std::to_string(got));
}

}  // namespace

SampleRange even_part(const SampleRange& range, int64_t part, int64_t parts) {
  if (part < 0 || part >= parts) {
    refuse_option("part", "0 to " + std::to_string(parts) + ", exclusive", part);
  }
  if (range.size() < 0) refuse_option("range", "a size of at least 0", range.size());
  const int64_t least = range.size() / parts;
  const int64_t longer = range.size() % parts;
  const int64_t begin = range.begin + least * part + std::min(part, longer);
  return {begin, begin + least + (part < longer ? 1 : 0)};
}

EpochSampler::EpochSampler(int64_t size, const EpochSamplerOptions& options)
    : size_(size), options_(options) {
  if (size < 0) refuse_option("data set", "a size of at least 0", size);
  if (options.batch() < 1) refuse_option("batch", "at least 1", options.batch());
  if (options.world_size() < 1) refuse_option("world_size", "at least 1", options.world_size());
  if (options.rank() < 0 || options.rank() >= options.world_size()) {
    refuse_option(
        "rank", "0 to " + std::to_string(options.world_size()) + ", exclusive", options.rank());
  }
}

std::vector<int64_t> EpochSampler::order(int64_t epoch) const {
  std::vector<int64_t> indices(static_cast<std::size_t>(size_));
  std::iota(indices.begin(), indices.end(), int64_t{0});
  if (!options_.shuffle()) return indices;
  RandomStream random(options_.seed(), static_cast<uint64_t>(epoch), 0, RandomPurpose::permutation);
  for (std::size_t i = indices.size(); i > 1; --i) {
    const auto other = static_cast<std::size_t>(random.integer(static_cast<int64_t>(i)));
    std::swap(indices[i - 1], indices[other]);
  }
  return indices;
}

int64_t EpochSampler::steps(int64_t position) const {
  const int64_t left = size_ - position;
  return left / options_.batch() + (left % options_.batch() != 0 ? 1 : 0);
}

SampleRange EpochSampler::step(int64_t position) const {
  if (position < 0 || position > size_) {
    refuse_option("position", "0 to " + std::to_string(size_), position);
  }
  return {position, position + std::min(options_.batch(), size_ - position)};
}

SampleRange EpochSampler::slice(int64_t position) const {
  return even_part(step(position), options_.rank(), options_.world_size());
}

}  // namespace vizoo
