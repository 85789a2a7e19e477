#include "vizoo/training/sampler.h"

#include <algorithm>
#include <numeric>

#include "test/support/catch.h"
#include "vizoo/core/error.h"

namespace vizoo {
namespace {

EpochSampler sampler(int64_t size, int64_t batch, int64_t rank = 0, int64_t world_size = 1) {
  return EpochSampler(size,
                      EpochSamplerOptions().batch(batch).rank(rank).world_size(world_size).seed(5));
}

std::vector<int64_t> counting(int64_t size) {
  std::vector<int64_t> indices(static_cast<std::size_t>(size));
  std::iota(indices.begin(), indices.end(), int64_t{0});
  return indices;
}

TEST_CASE("parts are contiguous, complete and as even as can be") {
  for (const int64_t size : {0, 1, 2, 7, 8, 100}) {
    for (const int64_t parts : {1, 2, 3, 8, 11}) {
      CAPTURE(size, parts);
      int64_t position = 40;
      for (int64_t part = 0; part < parts; ++part) {
        const auto range = even_part({40, 40 + size}, part, parts);
        CHECK(range.begin == position);
        CHECK((range.size() == size / parts || range.size() == (size + parts - 1) / parts));
        position = range.end;
      }
      CHECK(position == 40 + size);
    }
  }
  CHECK_THROWS_AS(even_part({0, 4}, 2, 2), UsageError);
  CHECK_THROWS_AS(even_part({0, 4}, -1, 2), UsageError);
  CHECK_THROWS_AS(even_part({4, 0}, 0, 2), UsageError);
}

TEST_CASE("an epoch's order is a permutation that seed and epoch decide") {
  const auto one = sampler(1000, 8);
  const auto order = one.order(3);
  CHECK(order != counting(1000));
  auto sorted = order;
  std::sort(sorted.begin(), sorted.end());
  CHECK(sorted == counting(1000));
  CHECK(sampler(1000, 17, 2, 4).order(3) == order);
  CHECK(one.order(4) != order);
  CHECK(EpochSampler(1000, EpochSamplerOptions().seed(6)).order(3) != order);
  CHECK(EpochSampler(9, EpochSamplerOptions().shuffle(false)).order(3) == counting(9));
}

TEST_CASE("every sample comes once, whatever the batch and the number of processes") {
  for (const int64_t size : {1, 5, 64, 67}) {
    for (const int64_t batch : {1, 4, 10, 100}) {
      for (const int64_t world_size : {1, 2, 3, 7}) {
        CAPTURE(size, batch, world_size);
        std::vector<int64_t> seen;
        int64_t position = 0;
        int64_t steps = 0;
        while (position < size) {
          const auto step = sampler(size, batch).step(position);
          for (int64_t rank = 0; rank < world_size; ++rank) {
            const auto slice = sampler(size, batch, rank, world_size).slice(position);
            for (int64_t i = slice.begin; i < slice.end; ++i) seen.push_back(i);
          }
          CHECK(step.size() == std::min(batch, size - position));
          position = step.end;
          ++steps;
        }
        CHECK(seen == counting(size));
        CHECK(steps == sampler(size, batch).steps());
      }
    }
  }
}

TEST_CASE("an epoch goes on from any position with another batch") {
  const auto eight = sampler(50, 8);
  CHECK(eight.steps(16) == 5);
  CHECK(eight.steps(50) == 0);
  CHECK(sampler(50, 20).steps(16) == 2);
  CHECK(sampler(50, 20).step(16) == SampleRange{16, 36});
  CHECK(sampler(50, 20).step(36) == SampleRange{36, 50});
  CHECK(sampler(50, 20).step(50) == SampleRange{50, 50});
}

TEST_CASE("samplers refuse what makes no sense") {
  CHECK_THROWS_AS(sampler(-1, 8), UsageError);
  CHECK_THROWS_AS(sampler(10, 0), UsageError);
  CHECK_THROWS_AS(sampler(10, 8, 2, 2), UsageError);
  CHECK_THROWS_AS(sampler(10, 8, -1, 2), UsageError);
  CHECK_THROWS_AS(sampler(10, 8, 0, 0), UsageError);
  CHECK_THROWS_AS(sampler(10, 8).step(11), UsageError);
  CHECK_THROWS_AS(sampler(10, 8).slice(-1), UsageError);
}

}  // namespace
}  // namespace vizoo
