#pragma once

// The one place that knows which major version of Catch2 is there: Debian 12 ships 2.13, Ubuntu
// 24.04 ships 3. A test program's main() comes from test/support/catch_main.cpp.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#include <iostream>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#include <iostream>
#endif

/// Ends the running test case without a verdict and says why; the line `SKIPPED <test>: <reason>`
/// on stderr is what the list of allowed skips is checked against (Catch2 2.13 has no SKIP).
#define VIZOO_SKIP(reason)                                                              \
  do {                                                                                  \
    std::cerr << "SKIPPED " << ::Catch::getResultCapture().getCurrentTestName() << ": " \
              << (reason) << std::endl;                                                 \
    SUCCEED("skipped");                                                                 \
    return;                                                                             \
  } while (false)
