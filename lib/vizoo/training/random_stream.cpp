#include "vizoo/training/random_stream.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "vizoo/core/error.h"

namespace vizoo {
namespace {

constexpr int kRounds = 10;
constexpr double kTwoPi = 6.283185307179586476925286766559;

// Finaliser of splitmix64: a bijection in which every bit depends on every other.
uint64_t mix(uint64_t value) {
  value += 0x9E3779B97F4A7C15U;
  value = (value ^ (value >> 30U)) * 0xBF58476D1CE4E5B9U;
  value = (value ^ (value >> 27U)) * 0x94D049BB133111EBU;
  return value ^ (value >> 31U);
}

uint32_t low_word(uint64_t value) { return static_cast<uint32_t>(value); }
uint32_t high_word(uint64_t value) { return static_cast<uint32_t>(value >> 32U); }

void check_above_zero(double value, const char* name) {
  if (value > 0.0 && std::isfinite(value)) return;
  throw UsageError("random", name, "a number above 0", std::to_string(value));
}

}  // namespace

std::array<uint32_t, 4> philox_4x32_10(std::array<uint32_t, 4> counter,
                                       std::array<uint32_t, 2> key) {
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t first = uint64_t{0xD2511F53U} * counter[0];
    const uint64_t second = uint64_t{0xCD9E8D57U} * counter[2];
    counter = {high_word(second) ^ counter[1] ^ key[0],
               low_word(second),
               high_word(first) ^ counter[3] ^ key[1],
               low_word(first)};
    key[0] += 0x9E3779B9U;
    key[1] += 0xBB67AE85U;
  }
  return counter;
}

RandomStream::RandomStream(uint64_t seed, uint64_t epoch, uint64_t index, RandomPurpose purpose)
    : index_(index) {
  const uint64_t key = mix(mix(mix(seed) ^ epoch) ^ static_cast<uint64_t>(purpose));
  key_ = {low_word(key), high_word(key)};
}

uint32_t RandomStream::bits32() {
  if (used_ == 4) {
    words_ = philox_4x32_10(
        {low_word(block_), high_word(block_), low_word(index_), high_word(index_)}, key_);
    ++block_;
    used_ = 0;
  }
  return words_[static_cast<std::size_t>(used_++)];
}

uint64_t RandomStream::bits64() {
  const uint64_t high = bits32();
  return high << 32U | bits32();
}

double RandomStream::uniform() { return static_cast<double>(bits64() >> 11U) * 0x1p-53; }

double RandomStream::uniform(double low, double high) {
  if (!std::isfinite(low) || !std::isfinite(high) || low > high) {
    throw UsageError("random",
                     "uniform",
                     "finite limits, low <= high",
                     std::to_string(low) + " and " + std::to_string(high));
  }
  const double value = low + (high - low) * uniform();
  return value < high || low == high ? value : low;
}

int64_t RandomStream::integer(int64_t bound) {
  if (bound < 1) throw UsageError("random", "bound", "at least 1", std::to_string(bound));
  // Values below 2^64 mod bound come once more often than the others.
  const auto limit = static_cast<uint64_t>(bound);
  const uint64_t surplus = (uint64_t{0} - limit) % limit;
  while (true) {
    const uint64_t value = bits64();
    if (value >= surplus) return static_cast<int64_t>(value % limit);
  }
}

bool RandomStream::chance(double probability) { return uniform() < probability; }

double RandomStream::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(kTwoPi * uniform());
}

double RandomStream::gamma(double shape) {
  check_above_zero(shape, "shape");
  if (shape < 1.0) {
    const double value = gamma(shape + 1.0);
    return value * std::pow(1.0 - uniform(), 1.0 / shape);
  }
  const double d = shape - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  while (true) {
    const double x = normal();
    const double root = 1.0 + c * x;
    if (root <= 0.0) continue;
    const double v = root * root * root;
    if (std::log(1.0 - uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

double RandomStream::beta(double alpha, double beta) {
  check_above_zero(alpha, "alpha");
  check_above_zero(beta, "beta");
  while (true) {
    const double first = gamma(alpha);
    const double sum = first + gamma(beta);
    // Both underflow for parameters far below 1.
    if (sum > 0.0) return first / sum;
    if (std::max(alpha, beta) < 0.1) return chance(alpha / (alpha + beta)) ? 1.0 : 0.0;
  }
}

}  // namespace vizoo
