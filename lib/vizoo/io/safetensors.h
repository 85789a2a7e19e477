#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vizoo/io/file.h"
#include "vizoo/io/safetensors_dtype.h"
#include "vizoo/io/safetensors_header.h"

namespace vizoo {

/// One tensor of an open file; `name` and `data` live as long as the SafetensorsFile.
struct TensorView {
  std::string_view name;
  SafetensorsDtype dtype = SafetensorsDtype::U8;
  std::vector<int64_t> shape;       ///< empty for a scalar; sizes may be 0
  const std::byte* data = nullptr;  ///< little-endian, C order, not necessarily aligned
  std::size_t bytes = 0;            ///< exactly the size that dtype and shape ask for
};

/// A weight file in the safetensors format, mapped read-only. Everything about the header is
/// checked by `open` (rules: `parse_safetensors_header`); the values of the tensors are not looked
/// at.
class SafetensorsFile {
 public:
  /// Throws CheckpointError naming the file, and the tensor where there is one.
  static SafetensorsFile open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }

  /// Number of tensors.
  std::size_t size() const { return header_.entries.size(); }

  // Views of a temporary file object would dangle at once: those overloads do not exist.

  /// The tensor at `index < size()`, in the order of the data.
  TensorView tensor(std::size_t index) const&;
  TensorView tensor(std::size_t index) const&& = delete;

  /// All tensors, in the order of the data.
  std::vector<TensorView> tensors() const&;
  std::vector<TensorView> tensors() const&& = delete;

  /// Gives the memory of a tensor that has been copied back to the system (MappedFile::release).
  void release(const TensorView& tensor) const { file_.release(tensor.data, tensor.bytes); }

  /// The tensor called `name`, or nothing. O(log size()).
  std::optional<TensorView> find(std::string_view name) const&;
  std::optional<TensorView> find(std::string_view name) const&& = delete;

  /// The tensor called `name`. Throws CheckpointError if there is none.
  TensorView at(std::string_view name) const&;
  TensorView at(std::string_view name) const&& = delete;

  /// `__metadata__` in the order of the file; nothing if the file has none.
  const std::optional<SafetensorsMetadata>& metadata() const { return header_.metadata; }

  /// The metadata value of `key`, such as "pt" for "format", or nothing.
  std::optional<std::string> metadata_value(std::string_view key) const;

  const SafetensorsHeader& header() const { return header_; }

 private:
  SafetensorsFile(std::filesystem::path path, MappedFile file, SafetensorsHeader header);

  std::filesystem::path path_;
  MappedFile file_;
  SafetensorsHeader header_;
};

/// A tensor for `write_safetensors`: contiguous, C order, little-endian.
struct TensorToWrite {
  std::string name;
  SafetensorsDtype dtype = SafetensorsDtype::F32;
  std::vector<int64_t> shape;
  const void* data = nullptr;  ///< may be null if a size is 0 or `produce` is set
  /// Writes the bytes when their turn comes, so that not all tensors need be in memory at once.
  std::function<void(FileWriter&)> produce = nullptr;
};

/// Bytes that a tensor takes. Throws CheckpointError for negative sizes, overflow, and a number of
/// bits that is no multiple of 8.
std::size_t tensor_bytes(const TensorToWrite& tensor);

/// Writes a safetensors file atomically (`write_file_atomically`) without copying the tensors.
///
/// The bytes are those of the reference implementation 0.8.0: tensors ordered by dtype (last of
/// SafetensorsDtype first) and name, header padded by spaces to a multiple of 8, `__metadata__`
/// first and in the given order (none if nullopt). Transformers wants {{"format", "pt"}}. Throws
/// CheckpointError for names that are given twice, not UTF-8 or "__metadata__", for what
/// `parse_safetensors_header` would refuse, for a `produce` that writes another number of bytes,
/// and if the file cannot be written.
void write_safetensors(const std::filesystem::path& path,
                       const std::vector<TensorToWrite>& tensors,
                       const std::optional<SafetensorsMetadata>& metadata);

}  // namespace vizoo
