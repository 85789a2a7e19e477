#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>

namespace vizoo {

/// A file that grows by whole records: what has been appended is in the file, and a record that
/// cannot be written leaves no half of itself.
class AppendFile {
 public:
  /// Opens or makes a file, its folder too. Throws Error (`[log]`) if the system fails, and for
  /// what is no regular file.
  explicit AppendFile(const std::filesystem::path& path);

  /// The same for a name that is not in use. Nothing if it is.
  static std::unique_ptr<AppendFile> make_new(const std::filesystem::path& path);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  /// Throws Error (`[log]`) if the system fails; the file is then as it was.
  void append(std::string_view record);

  /// Cuts the file off after `size` bytes, at most what it has. Throws Error (`[log]`).
  void truncate(int64_t size);

 private:
  AppendFile(std::filesystem::path path, int file);
  [[noreturn]] void fail(int error) const;

  std::filesystem::path path_;
  int file_;
  int64_t size_ = 0;  // bytes of whole records
};

}  // namespace vizoo
