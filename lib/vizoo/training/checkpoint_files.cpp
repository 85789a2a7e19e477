#include "vizoo/training/checkpoint_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "vizoo/core/error.h"
#include "vizoo/io/file.h"

namespace vizoo {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_file(const fs::path& path, int error, const char* expected) {
  throw_file_error(
      FileKind::checkpoint, path, expected, quote(std::generic_category().message(error)));
}

int open_for_reading(const fs::path& path, int flags = 0) {
  int file = -1;
  do {
    file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags);
  } while (file < 0 && errno == EINTR);
  return file;
}

fs::path parent_of(const fs::path& path) {
  const auto parent = path.parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

bool can_exchange(int error) { return error != EINVAL && error != ENOSYS && error != ENOTSUP; }

// Renames `to` out of the way first; for a moment there is none.
void replace_in_two_steps(const fs::path& from, const fs::path& to, const fs::path& spare) {
  remove_tree(spare);
  rename_folder(to, spare);
  if (::rename(from.c_str(), to.c_str()) == 0) return rename_folder(spare, from);
  const int error = errno;
  ::rename(spare.c_str(), to.c_str());
  fail_file(from, error, "a folder that can be renamed");
}

}  // namespace

void make_folder(const fs::path& folder) {
  if (::mkdir(folder.c_str(), 0777) != 0) fail_file(folder, errno, "a folder that can be made");
}

void make_folders(const fs::path& folder) {
  const auto path = folder.filename().empty() ? folder.parent_path() : folder;  // a/b/
  std::error_code error;
  if (path.empty() || fs::is_directory(path, error)) return;
  make_folders(path.parent_path());
  if (::mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) {
    fail_file(path, errno, "a folder that can be made");
  }
  if (!fs::is_directory(path, error)) {
    throw_file_error(FileKind::checkpoint, path, "a folder", "a file");
  }
  sync_to_disk(parent_of(path));
}

void sync_to_disk(const fs::path& path) {
  const int file = open_for_reading(path);
  if (file < 0) fail_file(path, errno, "a file or folder that can be synced");
  int result = 0;
  do {
    result = ::fsync(file);
  } while (result != 0 && errno == EINTR);
  const int error = result == 0 ? 0 : errno;
  ::close(file);
  if (error != 0 && error != EINVAL && error != ENOSYS && error != ENOTSUP) {
    fail_file(path, error, "a file or folder that can be synced");
  }
}

bool rename_or_exchange(const fs::path& from, const fs::path& to, const fs::path& spare) {
  std::error_code ignored;
  if (!fs::exists(fs::symlink_status(to, ignored))) {
    rename_folder(from, to);
    return false;
  }
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) return true;
  if (can_exchange(errno)) fail_file(from, errno, "a folder that can be renamed");
  replace_in_two_steps(from, to, spare);
  return true;
}

void rename_folder(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    fail_file(from, errno, "a folder that can be renamed");
  }
}

void remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) fail_file(path, error.value(), "a folder that can be removed");
}

FolderContent list_folder(const fs::path& folder) {
  FolderContent content;
  std::error_code error;
  auto entry = fs::recursive_directory_iterator(folder, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    const auto status = entry->symlink_status(error);
    if (error) break;
    if (fs::is_directory(status)) {
      content.folders.push_back(entry->path());
    } else if (fs::is_regular_file(status)) {
      content.files.push_back(entry->path().lexically_relative(folder).generic_string());
    } else {
      throw_file_error(FileKind::checkpoint, entry->path(), "a regular file", "a link or device");
    }
  }
  if (error) fail_file(folder, error.value(), "a folder that can be read");
  std::sort(content.files.begin(), content.files.end());
  std::reverse(content.folders.begin(), content.folders.end());  // inner ones first
  content.folders.push_back(folder);
  return content;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  auto entry = fs::directory_iterator(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    fail_file(folder, error.value(), "a folder that can be read");
  }
  return names;
}

int lock_folder(const fs::path& folder) {
  const int file = open_for_reading(folder, O_DIRECTORY);
  if (file < 0) fail_file(folder, errno, "a folder that can be read");
  if (::flock(file, LOCK_EX | LOCK_NB) == 0) return file;
  const int error = errno;
  ::close(file);
  if (error != EWOULDBLOCK) return -1;
  throw_file_error(FileKind::checkpoint,
                   folder,
                   "a folder for this run alone",
                   "one that another process saves to",
                   "Wait for it to end, or choose another folder");
}

}  // namespace vizoo
