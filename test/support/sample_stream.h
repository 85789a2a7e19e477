#pragma once

#include "vizoo/training/random_stream.h"

namespace vizoo::test {

/// What a data set draws from for a sample of the first epoch.
inline RandomStream sample_stream(uint64_t index = 0) {
  return RandomStream(0, 0, index, RandomPurpose::sample);
}

}  // namespace vizoo::test
