#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "vizoo/io/safetensors_dtype.h"

namespace vizoo {

/// Longest pickle that is read: that of some 80,000 tensors.
inline constexpr std::size_t kMaxPickleBytes = 16U << 20U;
/// Longest name of a tensor in it.
inline constexpr std::size_t kMaxPickledNameBytes = 512;
/// Sizes of all tensors of one pickle together.
inline constexpr std::size_t kMaxPickledDimensions = 500'000;

/// What a pickle says of one tensor. Views point into the pickle.
struct PickledTensor {
  std::string_view name;
  SafetensorsDtype dtype = SafetensorsDtype::U8;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;  ///< in elements, as many as sizes, at least 0
  std::string_view storage;      ///< key of the storage: the entry data/<key> of the archive
  int64_t storage_bytes = 0;     ///< that the storage is said to have; the tensor lies within them
  int64_t offset = 0;            ///< of the first element, in elements
  int64_t extent = 0;            ///< elements from the first to past the last; 0 if there are none
  int64_t bytes = 0;             ///< of its elements, each once: fits, whatever the sizes are
};

/// A state dict.
struct PickledState {
  std::vector<PickledTensor> tensors;     ///< in the order of the dict
  std::vector<std::string_view> ignored;  ///< names of what is no tensor, at most 100
  std::size_t ignored_count = 0;
};

/// Reads `data.pkl` of a file that `torch.save` wrote: a dict from names to tensors.
///
/// If the outer dict holds no tensor, the state dict is looked for one level deeper: under
/// "state_dict", "model_state_dict", "model" or "module" if just one of these holds a dict with
/// tensors, else under whatever name does if only one does. What is no tensor is ignored and
/// listed. Tensors may be parameters, share storages, and be views with any strides.
///
/// The pickle is run by PickleMachine, which has a fixed list of opcodes and of globals, so no code
/// is ever run; the limits above and of pickle_machine.h bound the memory at 64 MiB and the time at
/// a fraction of a second. `source` is the file's name in messages. Throws CheckpointError.
PickledState read_pickled_state(std::string_view pickle, const std::string& source);

/// What the readers of files of `torch.save` share: how they say what is wrong.
class TorchFileReader {
 protected:
  /// `source`: the file's name in messages; must live as long as this.
  explicit TorchFileReader(const std::string& source) : source_(source) {}

  /// Throws CheckpointError about `subject` in the file, about the file itself if it is empty.
  [[noreturn]] void fail(const std::string& subject,
                         const std::string& expected,
                         const std::string& got,
                         const std::string& hint = {}) const;

  const std::string& source_;
};

}  // namespace vizoo
