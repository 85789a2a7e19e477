#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "vizoo/io/file.h"
#include "vizoo/io/safetensors_dtype.h"

namespace vizoo {

/// The tensors of one file may have this many times its bytes, and kMaxTorchFixedBytes more. Tied
/// weights and expanded tensors are stored once and read several times; without a limit a file of
/// a hundred bytes could ask for any amount of memory.
inline constexpr uint64_t kMaxTorchExpansion = 16;
inline constexpr uint64_t kMaxTorchFixedBytes = 1U << 20U;

/// A tensor of a file that `torch.save` wrote. Views point into the file.
struct StridedTensorView {
  std::string_view name;
  SafetensorsDtype dtype = SafetensorsDtype::U8;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;     ///< in elements, at least 0; several tensors may share bytes
  const std::byte* data = nullptr;  ///< the first element, not necessarily aligned
  std::size_t extent = 0;           ///< bytes of the file from the first to past the last element
  std::size_t bytes = 0;            ///< of the elements in C order

  /// Whether the bytes from `data` on are the elements in C order.
  bool is_contiguous() const;
};

/// Writes the elements of `tensor` in C order to `target`, which has `tensor.bytes` bytes.
void copy_elements(const StridedTensorView& tensor, void* target);

/// What a file of `torch.save` holds.
struct TorchState {
  std::vector<StridedTensorView> tensors;  ///< in the order of the state dict
  std::vector<std::string> ignored;        ///< names of what is no tensor, at most 100
};

/// Reads the state dict of `file`, the whole bytes of a zip archive as `torch.save` has written it
/// since torch 1.6: `<folder>/data.pkl` (read_pickled_state) and `<folder>/data/<key>` for each
/// storage, little-endian.
///
/// No code in it is run, whatever it holds. Every tensor lies within the bytes of its storage,
/// whose entry has just as many as the pickle says; all together have at most kMaxTorchExpansion
/// times the bytes of the file. Older files (a bare pickle, or a tar archive) and TorchScript
/// programs are refused with a hint. `source` is the file's name in messages. Throws
/// CheckpointError.
TorchState parse_torch_checkpoint(std::string_view file, const std::string& source);

/// A weight file such as `pytorch_model.bin`, mapped read-only (rules: `parse_torch_checkpoint`).
class TorchCheckpointFile {
 public:
  /// Throws CheckpointError naming the file, and the tensor where there is one.
  static TorchCheckpointFile open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }

  // Views of a temporary file object would dangle at once: those overloads do not exist.

  /// All tensors, in the order of the state dict.
  const std::vector<StridedTensorView>& tensors() const& { return state_.tensors; }
  const std::vector<StridedTensorView>& tensors() const&& = delete;

  /// Names of values that are no tensors, at most 100.
  const std::vector<std::string>& ignored() const { return state_.ignored; }

  /// Gives the memory of a tensor that has been copied back to the system (MappedFile::release).
  void release(const StridedTensorView& tensor) const { file_.release(tensor.data, tensor.extent); }

 private:
  TorchCheckpointFile(std::filesystem::path path, MappedFile file);

  std::filesystem::path path_;
  MappedFile file_;
  TorchState state_;
};

/// Opens all shards of `pytorch_model.bin.index.json`, by the rules of `open_safetensors_shards`.
/// Throws CheckpointError.
std::vector<TorchCheckpointFile> open_torch_shards(const std::filesystem::path& index_path);

}  // namespace vizoo
