#include "vizoo/ops/parallel.h"

#include <atomic>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "test/support/catch.h"
#include "test/support/na2d_case.h"

using vizoo::test::Threads;

namespace {

TEST_CASE("parallel_for covers the range once, in no more parts than the grain allows", "[ops]") {
  for (const int threads : {1, 2, 3}) {
    const Threads guard(threads);
    for (const int64_t count : {0, 1, 2, 7, 64, 1001}) {
      for (const int64_t grain : {1, 5, 64}) {
        std::vector<std::atomic<int>> visits(static_cast<std::size_t>(count));
        std::atomic<int64_t> parts{0};
        vizoo::ops::parallel_for(count, grain, [&](int64_t first, int64_t last) {
          ++parts;
          for (int64_t i = first; i < last; ++i) ++visits[static_cast<std::size_t>(i)];
        });
        for (const auto& visit : visits) CHECK(visit == 1);
        CHECK(parts <= (count + grain - 1) / grain);
        CHECK(parts <= threads);
      }
    }
  }
}

TEST_CASE("parallel_for uses as many threads as LibTorch is told to", "[ops]") {
  for (const int threads : {1, 2, 3}) {
    const Threads guard(threads);
    std::mutex mutex;
    std::set<std::thread::id> ids;
    vizoo::ops::parallel_for(12, 1, [&](int64_t, int64_t) {
      const std::lock_guard<std::mutex> lock(mutex);
      ids.insert(std::this_thread::get_id());
    });
    CHECK(ids.size() == static_cast<std::size_t>(threads));
  }
}

TEST_CASE("parallel_for rethrows, and runs in place inside of itself", "[ops]") {
  const Threads guard(2);
  CHECK_THROWS_AS(vizoo::ops::parallel_for(
                      4, 1, [](int64_t, int64_t) { throw std::runtime_error("from a part"); }),
                  std::runtime_error);
  std::atomic<int> inner_parts{0};
  vizoo::ops::parallel_for(2, 1, [&](int64_t, int64_t) {
    vizoo::ops::parallel_for(10, 1, [&](int64_t, int64_t) { ++inner_parts; });
  });
  CHECK(inner_parts == 2);
}

}  // namespace
