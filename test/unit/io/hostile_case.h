#pragma once

#include <functional>
#include <string>
#include <vector>

#include "memory_meter.h"
#include "support/catch.h"
#include "vizoo/core/error.h"

namespace vizoo::test {

/// One bad input and the whole message that it must give.
struct HostileCase {
  std::string name;
  std::string bytes;
  std::string message;
};

/// What `read` throws for each case must be an `E` with exactly the message of the row, and reading
/// must not take more than 64 MiB besides the bytes themselves.
template <class E>
void check_hostile_cases(const std::vector<HostileCase>& cases,
                         const std::function<void(const HostileCase&)>& read) {
  for (const HostileCase& row : cases) {
    INFO("case: " << row.name);
    std::string message = "accepted";
    const MemoryMeter meter;
    try {
      read(row);
    } catch (const E& error) {
      message = error.what();
    }
    if (MemoryMeter::measures()) {
      CHECK(meter.peak_bytes() <= row.bytes.size() + (std::size_t{64} << 20U));
    }
    CHECK(message == row.message);
  }
}

}  // namespace vizoo::test
