#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "vizoo/io/json.h"

namespace vizoo {

class AppendFile;

/// The log of a run: one JSON object a line, each in the file as soon as it is written.
class LogFile {
 public:
  /// Opens or makes a file to append to, its folder too. A last line without its newline, which a
  /// killed run may leave, is cut off. `resumed_step`: also cut off everything from the first line
  /// on whose "step" is greater, so that what is done again is not in the log twice. Throws Error
  /// if the system fails or an earlier line is not JSON.
  explicit LogFile(const std::filesystem::path& path,
                   std::optional<int64_t> resumed_step = std::nullopt);
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  /// Appends an object; numbers that are not finite become null. Throws UsageError for anything but
  /// an object, Error if the system fails; the file then ends with the last whole line.
  void write(const Json& line);

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::unique_ptr<AppendFile> file_;
};

/// All lines of a log; a last line without its newline is left out if it is not whole. Throws Error
/// that names the line for one that is no JSON object, and for a file that is missing, unreadable
/// or longer than 1 GiB.
std::vector<Json> read_log(const std::filesystem::path& path);

}  // namespace vizoo
