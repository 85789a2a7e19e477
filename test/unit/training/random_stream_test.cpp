#include "vizoo/training/random_stream.h"

#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <set>
#include <vector>

#include "test/support/catch.h"
#include "vizoo/core/error.h"

namespace vizoo {
namespace {

constexpr int kDraws = 200000;

RandomStream numbered_stream(uint64_t index = 0) {
  return RandomStream(7, 3, index, RandomPurpose::sample);
}

struct Moments {
  double mean = 0.0;
  double variance = 0.0;
};

Moments moments(const std::function<double()>& draw) {
  double sum = 0.0;
  double squares = 0.0;
  for (int i = 0; i < kDraws; ++i) {
    const double value = draw();
    sum += value;
    squares += value * value;
  }
  const double mean = sum / kDraws;
  return {mean, squares / kDraws - mean * mean};
}

// Within five standard errors of a mean with this variance.
bool near_mean(double got, double expected, double variance) {
  return std::abs(got - expected) < 5.0 * std::sqrt(variance / kDraws);
}

TEST_CASE("Philox gives the known answers of Random123") {
  using Words = std::array<uint32_t, 4>;
  CHECK(philox_4x32_10({0, 0, 0, 0}, {0, 0}) ==
        Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  const uint32_t ones = 0xffffffff;
  CHECK(philox_4x32_10({ones, ones, ones, ones}, {ones, ones}) ==
        Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(
      philox_4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
      Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("a stream is known from its key, and every part of the key counts") {
  const auto first = [](RandomStream random) { return random.bits64(); };
  const std::vector<RandomStream> streams = {
      RandomStream(1, 2, 3, RandomPurpose::sample),
      RandomStream(2, 2, 3, RandomPurpose::sample),
      RandomStream(1, 3, 3, RandomPurpose::sample),
      RandomStream(2, 1, 3, RandomPurpose::sample),
      RandomStream(1, 2, 4, RandomPurpose::sample),
      RandomStream(1, 2, uint64_t{3} << 32U, RandomPurpose::sample),
      RandomStream(1, 2, 3, RandomPurpose::mixup)};
  std::set<uint64_t> seen;
  for (const auto& random : streams) seen.insert(first(random));
  CHECK(seen.size() == streams.size());
  auto one = streams[0];
  auto other = RandomStream(1, 2, 3, RandomPurpose::sample);
  for (int i = 0; i < 20; ++i) CHECK(one.bits32() == other.bits32());
}

TEST_CASE("uniform numbers fill [0, 1) evenly") {
  auto random = numbered_stream();
  std::vector<int> counts(10, 0);
  const auto got = moments([&] {
    const double value = random.uniform();
    if (value < 0.0 || value >= 1.0) FAIL(value);
    ++counts[static_cast<std::size_t>(value * 10)];
    return value;
  });
  CHECK(near_mean(got.mean, 0.5, 1.0 / 12));
  double chi_squared = 0.0;
  const double expected = kDraws / 10.0;
  for (const int count : counts) chi_squared += std::pow(count - expected, 2) / expected;
  CHECK(chi_squared < 27.9);  // 9 degrees of freedom, 0.1 %
  CHECK(random.uniform(2.0, 2.0) == 2.0);
  for (int i = 0; i < 1000; ++i) {
    const double value = random.uniform(-3.0, -1.0);
    CHECK((value >= -3.0 && value < -1.0));
  }
}

TEST_CASE("integers are below their bound, each as often") {
  auto random = numbered_stream(1);
  std::vector<int> counts(7, 0);
  for (int i = 0; i < kDraws; ++i) ++counts[static_cast<std::size_t>(random.integer(7))];
  double chi_squared = 0.0;
  const double expected = kDraws / 7.0;
  for (const int count : counts) chi_squared += std::pow(count - expected, 2) / expected;
  CHECK(chi_squared < 22.5);  // 6 degrees of freedom, 0.1 %
  CHECK(random.integer(1) == 0);
  const int64_t largest = std::numeric_limits<int64_t>::max();
  for (int i = 0; i < 100; ++i) {
    const int64_t value = random.integer(largest);
    CHECK((value >= 0 && value < largest));
  }
}

TEST_CASE("normal, gamma and beta numbers have their moments") {
  auto random = numbered_stream(2);
  const auto normal = moments([&] { return random.normal(); });
  CHECK(near_mean(normal.mean, 0.0, 1.0));
  CHECK(std::abs(normal.variance - 1.0) < 5.0 * std::sqrt(2.0 / kDraws));
  for (const double shape : {0.2, 0.8, 1.0, 5.5}) {
    CAPTURE(shape);
    const auto gamma = moments([&] { return random.gamma(shape); });
    CHECK(near_mean(gamma.mean, shape, shape));
    // The fourth central moment of the gamma distribution is 3 k^2 + 6 k.
    CHECK(near_mean(gamma.variance, shape, 2 * shape * shape + 6 * shape));
  }
  struct Case {
    double alpha;
    double beta;
  };
  for (const auto& [a, b] : {Case{0.8, 0.8}, Case{1.0, 1.0}, Case{2.0, 5.0}, Case{0.1, 0.4}}) {
    CAPTURE(a, b);
    const auto beta = moments([&, a = a, b = b] { return random.beta(a, b); });
    const double variance = a * b / ((a + b) * (a + b) * (a + b + 1));
    CHECK(near_mean(beta.mean, a / (a + b), variance));
    CHECK(beta.variance == Approx(variance).epsilon(0.03));
  }
}

TEST_CASE("a beta distribution of tiny parameters is a coin") {
  auto random = numbered_stream(3);
  int ones = 0;
  for (int i = 0; i < 1000; ++i) {
    const double value = random.beta(1e-300, 1e-300);
    CHECK((value == 0.0 || value == 1.0));
    ones += value == 1.0 ? 1 : 0;
  }
  CHECK((ones > 400 && ones < 600));
}

TEST_CASE("chances of 0 and 1 are certain") {
  auto random = numbered_stream(4);
  for (int i = 0; i < 100; ++i) {
    CHECK_FALSE(random.chance(0.0));
    CHECK(random.chance(1.0));
  }
}

TEST_CASE("random numbers of impossible distributions are refused") {
  auto random = numbered_stream();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_AS(random.integer(0), UsageError);
  CHECK_THROWS_AS(random.uniform(1.0, 0.0), UsageError);
  CHECK_THROWS_AS(random.uniform(0.0, nan), UsageError);
  CHECK_THROWS_AS(random.gamma(0.0), UsageError);
  CHECK_THROWS_AS(random.beta(1.0, -1.0), UsageError);
  CHECK_THROWS_AS(random.beta(nan, 1.0), UsageError);
}

}  // namespace
}  // namespace vizoo
