#pragma once

#include <cstdint>
#include <string>

#include "vizoo/training/batch.h"
#include "vizoo/training/random_stream.h"

namespace vizoo {

/// Samples by number. All members may be called from several threads at once.
class Dataset {
 public:
  virtual ~Dataset() = default;

  /// Number of samples.
  virtual int64_t size() const = 0;

  /// Sample `index`, 0 <= index < size(). All that is random about it comes from `random`, so that
  /// the same stream gives the same sample, bit for bit. Throws an Error for one that cannot be
  /// read, which a DataLoader skips, counts and names.
  virtual Sample get(int64_t index, RandomStream& random) const = 0;

  /// What a message calls a sample: the name of its file, or file and line.
  virtual std::string describe(int64_t index) const = 0;
};

}  // namespace vizoo
