#include "vizoo/core/thread.h"

#include <atomic>
#include <stdexcept>

#include "test/support/catch.h"

using vizoo::OrderedPrefetch;

TEST_CASE("results come in order whatever the workers do", "[thread]") {
  for (const std::size_t workers : {1, 2, 5}) {
    OrderedPrefetch<std::size_t> prefetch(
        100, workers, 7, [](std::size_t i) { return i % 3 == 0 ? i * i : i * i + 0; });
    for (std::size_t i = 0; i < 100; ++i) {
      REQUIRE_FALSE(prefetch.done());
      REQUIRE(prefetch.next() == i * i);
    }
    CHECK(prefetch.done());
  }
}

TEST_CASE("never more than the window is started ahead of the taker", "[thread]") {
  std::atomic<std::size_t> taken{0};
  std::atomic<bool> too_far{false};
  OrderedPrefetch<int> prefetch(50, 3, 4, [&](std::size_t i) {
    if (i >= taken + 1 + 4) too_far = true;  // the taker counts just after taking
    return static_cast<int>(i);
  });
  while (!prefetch.done()) {
    prefetch.next();
    ++taken;
  }
  CHECK_FALSE(too_far);
}

TEST_CASE("an exception belongs to its item alone", "[thread]") {
  OrderedPrefetch<int> prefetch(3, 2, 2, [](std::size_t i) {
    if (i == 1) throw std::runtime_error("bad item");
    return static_cast<int>(i);
  });
  CHECK(prefetch.next() == 0);
  CHECK_THROWS_WITH(prefetch.next(), "bad item");
  CHECK(prefetch.next() == 2);
}

TEST_CASE("destruction does not wait for items nobody took", "[thread]") {
  std::atomic<int> calls{0};
  {
    OrderedPrefetch<int> prefetch(1000, 2, 3, [&](std::size_t) { return ++calls; });
    prefetch.next();
  }
  CHECK(calls <= 4 + 2);
  OrderedPrefetch<int> nothing(0, 2, 3, [](std::size_t) { return 0; });
  CHECK(nothing.done());
}
