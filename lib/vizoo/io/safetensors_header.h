#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vizoo/io/safetensors_dtype.h"

namespace vizoo {

/// Keys and values of `__metadata__`, in the order of the file.
using SafetensorsMetadata = std::vector<std::pair<std::string, std::string>>;

/// Limits of what is read and written. The first is the format's; the others bound memory: a model
/// has some thousand tensors of rank at most 6.
inline constexpr std::size_t kMaxSafetensorsHeaderBytes = 100'000'000;
inline constexpr std::size_t kMaxSafetensorsTensors = 250'000;
inline constexpr std::size_t kMaxSafetensorsDimensions = 2'000'000;  ///< of all tensors together
inline constexpr std::size_t kMaxSafetensorsMetadata = 100'000;      ///< entries
inline constexpr std::size_t kMaxSafetensorsMetadataBytes = 32U << 20U;  ///< keys and values
inline constexpr std::size_t kMaxSafetensorsEscaped = 8U << 20U;  ///< bytes of an escaped string
inline constexpr std::size_t kMaxSafetensorsUnknown = 1'000'000;  ///< values of unknown keys

/// A parsed header. Names point into the text that was parsed or into `unescaped_names`.
struct SafetensorsHeader {
  struct Entry {
    std::string_view name;
    uint64_t begin = 0;            ///< first byte, counted from `data_begin`
    uint64_t end = 0;              ///< past the last byte
    uint64_t first_dimension = 0;  ///< index into `dimensions`
    uint32_t rank = 0;
    SafetensorsDtype dtype = SafetensorsDtype::U8;
  };

  // Names are compared by hash first: thousands of long names may differ in their last byte only.
  struct NameHash {
    std::size_t hash = 0;
    std::size_t index = 0;
  };

  std::vector<Entry> entries;       ///< in the order of the data
  std::vector<int64_t> dimensions;  ///< the shapes of all tensors
  std::vector<NameHash> by_name;    ///< `entries` in the order of hash and name
  std::optional<SafetensorsMetadata> metadata;
  uint64_t data_begin = 0;  ///< offset of the first tensor byte in the file
  std::deque<std::string> unescaped_names;

  /// The entry called `name`, or null. O(log n).
  const Entry* find(std::string_view name) const;

  /// `[2, 3]`, for messages.
  std::string shape_text(const Entry& entry) const;
};

/// Parses and checks the header of `file`, which holds the bytes of a whole safetensors file.
///
/// Enforced as by the reference implementation: at least 8 bytes; a header of at most 100,000,000
/// bytes that lies within the file; UTF-8 and JSON (white space around it is allowed); metadata
/// from string to string; known dtypes; sizes whose product, and that times the bits of the dtype,
/// fits 64 bits and is a multiple of 8 bits; `data_offsets` that agree with it; tensors that cover
/// the rest of the file without overlap, hole or trailing bytes. Scalars and empty tensors are
/// fine, and keys of a tensor that the format does not know are ignored.
///
/// Stricter than it: no key twice in one object, no more than 4 levels of nesting, sizes below
/// 2^63, the limits above. So time is O(n log n) in the number n of tensors and memory stays below
/// 64 MiB plus the length of the header, whatever the header says.
///
/// `source` is the file's name in messages. Throws CheckpointError.
SafetensorsHeader parse_safetensors_header(std::string_view file, const std::string& source);

}  // namespace vizoo
