#pragma once

#include <filesystem>
#include <string>

#include "vizoo/core/error.h"

namespace vizoo {

/// Folders within each other that a data set may have: links may form a circle.
constexpr int kMaxFolderDepth = 32;

/// Throws UsageError about a file or folder of a data set.
[[noreturn]] inline void fail_data_path(const std::filesystem::path& path,
                                        const std::string& expected,
                                        const std::string& got,
                                        const std::string& hint = "") {
  throw UsageError("training", printable(path.string()), expected, got, hint);
}

}  // namespace vizoo
