#include "vizoo/io/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "vizoo/core/error.h"

namespace vizoo {
namespace {

constexpr const char* kUnchanged = "What was there before is unchanged";

std::string reason(int error) { return quote(std::generic_category().message(error)); }

// Owns a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return value_; }

  // False, with errno set, if the system reports a late error (network file systems do).
  bool close() {
    const int value = std::exchange(value_, -1);
    if (value < 0) return true;
    // After EINTR the descriptor is closed on Linux: closing again could hit another file.
    return ::close(value) == 0 || errno == EINTR;
  }

 private:
  int value_;
};

std::string describe_mode(mode_t mode) {
  return S_ISDIR(mode) ? "a folder" : "a device, pipe or socket";
}

// Renaming over a device (as root over /dev/null!) would replace it for everybody.
void refuse_special_file(const std::filesystem::path& path, FileKind kind) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0 || S_ISREG(status.st_mode)) return;
  throw_file_error(kind, path, "a file that can be written", describe_mode(status.st_mode));
}

// Opens a regular file for reading and stores its size.
int open_regular(const std::filesystem::path& path, FileKind kind, std::size_t& size) {
  // O_NONBLOCK: opening a named pipe that nobody writes to must not hang.
  int file = -1;
  do {
    file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  } while (file < 0 && errno == EINTR);
  if (file < 0) throw_file_error(kind, path, "a readable file", reason(errno));
  struct stat status = {};
  const bool known = ::fstat(file, &status) == 0;
  if (known && S_ISREG(status.st_mode)) {
    size = static_cast<std::size_t>(status.st_size);
    return file;
  }
  const int error = errno;
  ::close(file);
  throw_file_error(
      kind, path, "a readable file", known ? describe_mode(status.st_mode) : reason(error));
}

// Some file systems cannot sync (EINVAL, ENOSYS, ENOTSUP): then there is nothing to wait for.
bool sync(int file) {
  int result = 0;
  do {
    result = ::fsync(file);
  } while (result != 0 && errno == EINTR);
  return result == 0 || errno == EINVAL || errno == ENOSYS || errno == ENOTSUP;
}

class DescriptorWriter : public FileWriter {
 public:
  DescriptorWriter(int file, const std::filesystem::path& path, FileKind kind)
      : file_(file), path_(path), kind_(kind) {}

  void write(const void* data, std::size_t size) override {
    // Linux writes at most 0x7ffff000 bytes a call; smaller pieces keep the page cache busy.
    constexpr std::size_t kPiece = std::size_t{64} << 20U;
    const char* next = static_cast<const char*>(data);
    while (size > 0) {
      const ssize_t written = ::write(file_, next, size < kPiece ? size : kPiece);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) {
        const int error = written < 0 ? errno : ENOSPC;
        throw_file_error(kind_, path_, "a file that can be written", reason(error), kUnchanged);
      }
      next += written;
      size -= static_cast<std::size_t>(written);
    }
  }

 private:
  int file_;
  const std::filesystem::path& path_;
  FileKind kind_;
};

// Creates a file with a name that nobody uses, in `folder`.
int create_temporary(const std::filesystem::path& folder, std::filesystem::path& temporary) {
  static std::atomic<uint64_t> counter{0};
  int file = -1;
  do {
    temporary = folder / (".vizoo-" + std::to_string(::getpid()) + "-" +
                          std::to_string(counter.fetch_add(1)) + ".tmp");
    file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
  } while (file < 0 && (errno == EEXIST || errno == EINTR));
  return file;
}

}  // namespace

void throw_file_problem(FileKind kind,
                        std::string_view subject,
                        std::string_view problem,
                        std::string_view hint) {
  switch (kind) {
    case FileKind::config:
      throw ConfigError(Error::describe("config", subject, problem, hint));
    case FileKind::image:
      throw ImageError(Error::describe("image", subject, problem, hint));
    case FileKind::tokenizer:
      throw TokenizerError(Error::describe("tokenizer", subject, problem, hint));
    case FileKind::checkpoint:
      break;
  }
  throw CheckpointError(Error::describe("checkpoint", subject, problem, hint));
}

void throw_file_error(FileKind kind,
                      const std::filesystem::path& path,
                      std::string_view expected,
                      std::string_view got,
                      std::string_view hint) {
  const std::string problem = "expected " + std::string(expected) + ", got " + std::string(got);
  throw_file_problem(kind, printable(path.native()), problem, hint);
}

std::string read_file(const std::filesystem::path& path, std::size_t max_bytes, FileKind kind) {
  std::size_t size = 0;
  const Descriptor file(open_regular(path, kind, size));
  if (size > max_bytes) {
    throw_file_error(
        kind, path, "at most " + std::to_string(max_bytes) + " bytes", std::to_string(size));
  }
  std::string content(size, '\0');
  std::size_t filled = 0;
  while (filled < size) {
    const ssize_t count = ::read(file.get(), content.data() + filled, size - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_file_error(kind, path, "a readable file", reason(errno));
    if (count == 0) break;  // shortened meanwhile: what is left is what the file holds now
    filled += static_cast<std::size_t>(count);
  }
  content.resize(filled);
  return content;
}

MappedFile::MappedFile(const std::filesystem::path& path) {
  const Descriptor file(open_regular(path, FileKind::checkpoint, size_));
  if (size_ == 0) return;  // mmap refuses an empty range
  void* const address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) {
    throw_file_error(FileKind::checkpoint, path, "a file that can be mapped", reason(errno));
  }
  data_ = static_cast<const std::byte*>(address);
}

void MappedFile::release(const std::byte* part, std::size_t size) const {
  if (size == 0) return;
  // Whole pages only: what else lies on the first and the last page may still be wanted.
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const auto offset = static_cast<std::size_t>(part - data_);
  const std::size_t begin = (offset + page - 1) / page * page;
  const std::size_t end = (offset + size) / page * page;
  if (begin >= end) return;
  ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void write_file_atomically(const std::filesystem::path& path,
                           const std::function<void(FileWriter&)>& content,
                           FileKind kind) {
  const auto fail = [&](int error, std::string_view hint) {
    throw_file_error(kind, path, "a file that can be written", reason(error), hint);
  };
  refuse_special_file(path, kind);
  const std::filesystem::path parent = path.parent_path();
  const std::filesystem::path folder = parent.empty() ? "." : parent;
  std::filesystem::path temporary;
  Descriptor file(create_temporary(folder, temporary));
  if (file.get() < 0) fail(errno, kUnchanged);
  try {
    DescriptorWriter writer(file.get(), path, kind);
    content(writer);
    if (!sync(file.get())) fail(errno, kUnchanged);
    if (!file.close()) fail(errno, kUnchanged);
    if (::rename(temporary.c_str(), path.c_str()) != 0) fail(errno, kUnchanged);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  // Until the folder is synced a power loss may bring the old file back: that is an error too.
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0 || !sync(directory.get())) {
    fail(errno, "The new file is in place, but may not survive a power loss");
  }
}

void write_file_atomically(const std::filesystem::path& path,
                           std::string_view content,
                           FileKind kind) {
  write_file_atomically(
      path, [&](FileWriter& writer) { writer.write(content); }, kind);
}

}  // namespace vizoo
