#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vizoo {

class AppendFile;

/// CRC-32C (Castagnoli: polynomial 0x1EDC6F41, reflected; RFC 3720 B.4).
uint32_t crc32c(std::string_view bytes);

/// An event file that TensorBoard shows: scalars over steps.
///
/// TFRecord framing (length, masked CRC-32C of it, data, masked CRC-32C of them) around Event
/// protocol buffers with `simple_value`s (TensorFlow's tfrecord_writer and event.proto). What has
/// been added is in the file at once, so a killed run loses nothing of it.
class EventFile {
 public:
  /// Makes `folder/events.out.tfevents.<seconds>.<host>` (`.1`, `.2`, ... behind it if that is
  /// taken), the folder too. `wall_time`: seconds since 1970. `resumed_step`: tells TensorBoard to
  /// forget what earlier files of the folder have beyond this step. Throws Error if the system
  /// fails.
  EventFile(const std::filesystem::path& folder,
            double wall_time,
            std::optional<int64_t> resumed_step = std::nullopt);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  /// Appends values of one step, {"loss/train", 0.53}; they are stored in float32. Throws Error if
  /// the system fails; the file then ends with the last whole event.
  void add_scalars(int64_t step,
                   const std::vector<std::pair<std::string, double>>& values,
                   double wall_time);

  const std::filesystem::path& path() const { return path_; }

 private:
  void append(const std::string& event);

  std::filesystem::path path_;
  std::unique_ptr<AppendFile> file_;
};

}  // namespace vizoo
