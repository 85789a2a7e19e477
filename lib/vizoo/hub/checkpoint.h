#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vizoo/io/safetensors.h"
#include "vizoo/io/torch_checkpoint.h"
#include "vizoo/nn/torch.h"

namespace vizoo {

/// The weights in a folder that Transformers' `save_pretrained` wrote: what there is first of
/// `model.safetensors`, the shards that `model.safetensors.index.json` lists, `pytorch_model.bin`,
/// and the shards that `pytorch_model.bin.index.json` lists. Files stay mapped while it lives.
///
/// `.bin` files are read by a reader of tensors that runs no code (parse_torch_checkpoint), and
/// give what the same tensors in safetensors would.
class Checkpoint {
 public:
  struct Tensor {
    std::string name;
    TensorView view;  ///< `data` is null if the elements do not lie in C order: `take` copies them
    std::filesystem::path file;
    std::size_t file_index;
    std::size_t index;  ///< in its file
  };

  /// `variant` is inserted before the last dot of the file names (`model.fp16.safetensors`). Throws
  /// CheckpointError if there are no weights, they are of a kind that is not read (TensorFlow,
  /// Flax: the message says how to convert), or the files break the format's rules.
  explicit Checkpoint(const std::filesystem::path& folder, const std::string& variant = "");

  /// One weight file: safetensors if its name ends in `.safetensors`, else what `torch.save` wrote.
  /// Throws CheckpointError.
  static Checkpoint open_file(const std::filesystem::path& file);

  /// All tensors, sorted by name.
  const std::vector<Tensor>& tensors() const { return tensors_; }

  /// Names of what is in a `.bin` file beside tensors, at most 100 of each file.
  const std::vector<std::string>& ignored() const { return ignored_; }

  /// A copy of a tensor's values in C order (load_tensor); the pages of the file are given back, so
  /// that a checkpoint is not in memory twice.
  torch::Tensor take(const Tensor& tensor) const;

  /// Gives the memory of a tensor that has been read back to the system.
  void release(const Tensor& tensor) const;

  /// The file that was opened first: the weights or the index; for messages.
  const std::filesystem::path& path() const { return path_; }

 private:
  Checkpoint() = default;
  void add(SafetensorsFile file);
  void add(TorchCheckpointFile file);
  void sort();

  std::filesystem::path path_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;        // of one kind or the other,
  std::vector<std::unique_ptr<TorchCheckpointFile>> pickles_;  // by Tensor::file_index
  std::vector<Tensor> tensors_;
  std::vector<std::string> ignored_;
};

/// LibTorch's type for a dtype of the format; nothing where it has none (F4, F6).
std::optional<at::ScalarType> scalar_type(SafetensorsDtype dtype);

/// LibTorch's type of a tensor. Throws CheckpointError, naming the tensor, where it has none.
at::ScalarType scalar_type(const std::filesystem::path& file, const TensorView& tensor);

/// The format's type for a type of LibTorch; nothing for complex double, quantised types and such.
std::optional<SafetensorsDtype> safetensors_dtype(at::ScalarType type);

/// The name of a floating-point type in config.json's `torch_dtype`, such as "bfloat16"; "float32"
/// for types that are none of the four that models have.
std::string torch_dtype_name(at::ScalarType type);

/// A copy of the tensor's values in its own dtype, on the CPU. Throws CheckpointError as
/// `scalar_type` does, and if the view has no data.
torch::Tensor load_tensor(const std::filesystem::path& file, const TensorView& tensor);

/// A shape for a message: `[96, 3, 4, 4]`.
std::string describe_shape(at::IntArrayRef shape);

}  // namespace vizoo
