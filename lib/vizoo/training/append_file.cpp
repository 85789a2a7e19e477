#include "vizoo/training/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "vizoo/core/error.h"

namespace vizoo {
namespace {

[[noreturn]] void fail_at(const std::filesystem::path& path, int error) {
  throw Error("log",
              printable(path.native()),
              "a file that can be written",
              quote(std::generic_category().message(error)));
}

void make_parent(const std::filesystem::path& path) {
  const auto parent = path.parent_path();
  if (parent.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(parent, error);
  if (error) fail_at(path, error.value());
}

// O_NONBLOCK: opening a named pipe that nobody reads must not hang.
int open_to_append(const std::filesystem::path& path, int flags) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK;
  return ::open(path.c_str(), kFlags | flags, 0666);
}

}  // namespace

AppendFile::AppendFile(const std::filesystem::path& path)
    : AppendFile(path, (make_parent(path), open_to_append(path, 0))) {
  if (file_ < 0) fail(errno);
  struct stat status = {};
  if (::fstat(file_, &status) != 0) fail(errno);
  if (!S_ISREG(status.st_mode)) {
    throw Error("log", printable(path.native()), "a regular file", "a folder, device or pipe");
  }
  size_ = status.st_size;
}

AppendFile::AppendFile(std::filesystem::path path, int file)
    : path_(std::move(path)), file_(file) {}

std::unique_ptr<AppendFile> AppendFile::make_new(const std::filesystem::path& path) {
  make_parent(path);
  const int file = open_to_append(path, O_EXCL);
  if (file < 0 && errno == EEXIST) return nullptr;
  if (file < 0) fail_at(path, errno);
  return std::unique_ptr<AppendFile>(new AppendFile(path, file));
}

AppendFile::~AppendFile() {
  if (file_ >= 0) ::close(file_);
}

void AppendFile::append(std::string_view record) {
  std::size_t written = 0;
  while (written < record.size()) {
    const ssize_t count = ::write(file_, record.data() + written, record.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      const int error = count < 0 ? errno : ENOSPC;
      // If this fails too, the half record stays; readers leave it out.
      if (written > 0 && ::ftruncate(file_, size_) != 0) fail(error);
      fail(error);
    }
    written += static_cast<std::size_t>(count);
  }
  size_ += static_cast<int64_t>(record.size());
}

void AppendFile::truncate(int64_t size) {
  if (size >= size_) return;
  if (::ftruncate(file_, size) != 0 || ::fsync(file_) != 0) fail(errno);
  size_ = size;
}

void AppendFile::fail(int error) const { fail_at(path_, error); }

}  // namespace vizoo
