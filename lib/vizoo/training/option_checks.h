#pragma once

#include <sstream>
#include <string>

#include "vizoo/core/error.h"

namespace vizoo {

/// Throws UsageError `[where] subject: expected ..., got ...` unless the value of an option fits.
template <class Value>
void expect_option(bool fits,
                   const char* where,
                   const std::string& subject,
                   const std::string& expected,
                   const Value& got) {
  if (fits) return;
  std::ostringstream text;
  text << got;
  throw UsageError(where, subject, expected, text.str());
}

}  // namespace vizoo
