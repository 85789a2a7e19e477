#pragma once

#include <cstddef>

namespace vizoo::test {

/// Counts what operator new hands out: the most that was held at once since the construction, above
/// what was held then. Sanitizers bring their own operator new; then `measures()` is false.
class MemoryMeter {
 public:
  MemoryMeter();
  static bool measures();
  std::size_t peak_bytes() const;

 private:
  std::size_t begin_;
};

}  // namespace vizoo::test
