#pragma once

#include <array>
#include <cstdint>

namespace vizoo {

/// What random numbers are for. Streams of different purposes are independent of each other.
enum class RandomPurpose : uint64_t {
  permutation = 1,  ///< order of an epoch's samples
  sample = 2,       ///< augmentation and masking of one sample
  mixup = 3,        ///< mixup and cutmix of one step
  evaluation = 4,   ///< what an evaluation draws, the same each time
};

/// A stream of random numbers that is known from its key alone: nothing has to be stored to go on
/// after a restart, and who draws first makes no difference.
///
/// Philox 4x32-10 of Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"
/// (https://doi.org/10.1145/2063384.2063405). Its 64-bit key is hashed from seed, epoch and purpose
/// with the finaliser of splitmix64 (Steele et al. 2014, https://doi.org/10.1145/2660193.2660195);
/// its 128-bit counter is the index and the number of the block. Integers are the same on every
/// machine; floating-point numbers as far as its logarithm and cosine are.
class RandomStream {
 public:
  RandomStream(uint64_t seed, uint64_t epoch, uint64_t index, RandomPurpose purpose);

  /// The next 32 and 64 random bits.
  uint32_t bits32();
  uint64_t bits64();

  /// Uniform in [0, 1), a multiple of 2^-53.
  double uniform();
  /// Uniform in [low, high). Throws UsageError unless low <= high and both are finite.
  double uniform(double low, double high);

  /// Uniform in [0, bound), without bias. Throws UsageError unless bound >= 1.
  int64_t integer(int64_t bound);

  /// True with this probability; 0 and less never, 1 and more always.
  bool chance(double probability);

  /// Standard normal (Box and Muller 1958).
  double normal();

  /// Gamma distribution of scale 1 (Marsaglia and Tsang 2000,
  /// https://doi.org/10.1145/358407.358414). Throws UsageError unless shape > 0 and finite.
  double gamma(double shape);

  /// Beta distribution on [0, 1]. Throws UsageError unless both are above 0 and finite.
  double beta(double alpha, double beta);

 private:
  std::array<uint32_t, 2> key_;
  uint64_t index_;
  uint64_t block_ = 0;
  std::array<uint32_t, 4> words_{};
  int used_ = 4;
};

/// One block of Philox 4x32-10.
std::array<uint32_t, 4> philox_4x32_10(std::array<uint32_t, 4> counter,
                                       std::array<uint32_t, 2> key);

}  // namespace vizoo
