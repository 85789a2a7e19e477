#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace vizoo {

/// What a file is for: decides the type of the exception and the `[where]` of its message.
enum class FileKind {
  checkpoint,  ///< CheckpointError, `[checkpoint]`
  config,      ///< ConfigError, `[config]`
  image,       ///< ImageError, `[image]`
  tokenizer,   ///< TokenizerError, `[tokenizer]`
};

/// Throws the exception of `kind`: `[where] subject: <problem>. <hint>`.
[[noreturn]] void throw_file_problem(FileKind kind,
                                     std::string_view subject,
                                     std::string_view problem,
                                     std::string_view hint = {});

/// Throws the exception of `kind`: `[where] path: expected <expected>, got <got>. <hint>`.
[[noreturn]] void throw_file_error(FileKind kind,
                                   const std::filesystem::path& path,
                                   std::string_view expected,
                                   std::string_view got,
                                   std::string_view hint = {});

/// The bytes of a regular file. Throws the exception of `kind` if it is missing, unreadable, not a
/// regular file, or longer than `max_bytes`; never allocates more than the file's size.
std::string read_file(const std::filesystem::path& path,
                      std::size_t max_bytes,
                      FileKind kind = FileKind::checkpoint);

/// A regular file mapped read-only; the bytes stay valid as long as the object lives.
///
/// An empty file is valid and has no bytes. If another process shortens the file meanwhile, reading
/// the lost pages ends the process (SIGBUS), as with any mapping: files are replaced by renaming.
class MappedFile {
 public:
  MappedFile() = default;

  /// Throws CheckpointError if the file is missing, unreadable or not a regular file.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

  /// Gives the memory of a part that has been read back to the system; reading it again is correct
  /// but goes to the file. `part` must lie within the mapping.
  void release(const std::byte* part, std::size_t size) const;

  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Receives the bytes of a file that is being written.
class FileWriter {
 public:
  virtual ~FileWriter() = default;

  /// Appends `size` bytes, all or none. Throws CheckpointError.
  virtual void write(const void* data, std::size_t size) = 0;
  void write(std::string_view text) { write(text.data(), text.size()); }
};

/// Replaces or creates `path` so that at every moment, power loss included, the path holds either
/// the old bytes or all of the new: a temporary file in the same folder is written by `content`,
/// synced, renamed over `path`, and the folder is synced. A symbolic link at `path` is replaced,
/// not followed; a folder, device, pipe or socket is refused. Throws the exception of `kind` with
/// the system's reason (or whatever `content` throws); then the temporary file is gone and `path`
/// is as it was.
void write_file_atomically(const std::filesystem::path& path,
                           const std::function<void(FileWriter&)>& content,
                           FileKind kind = FileKind::checkpoint);
void write_file_atomically(const std::filesystem::path& path,
                           std::string_view content,
                           FileKind kind = FileKind::checkpoint);

}  // namespace vizoo
