#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vizoo/io/safetensors.h"
#include "vizoo/nn/torch.h"

namespace vizoo {

/// The weights in a folder that Transformers' `save_pretrained` wrote: one `model.safetensors`, or
/// the shards that `model.safetensors.index.json` lists. Files stay mapped while it lives.
class Checkpoint {
 public:
  struct Tensor {
    std::string name;
    TensorView view;
    std::filesystem::path file;
    std::size_t file_index;
  };

  /// `variant` is inserted before the last dot of the file names (`model.fp16.safetensors`). Throws
  /// CheckpointError if there are no weights, they are of a kind that is not read (pickles,
  /// TensorFlow, Flax: the message says how to convert), or the files break the format's rules.
  explicit Checkpoint(const std::filesystem::path& folder, const std::string& variant = "");

  /// All tensors, sorted by name.
  const std::vector<Tensor>& tensors() const { return tensors_; }

  /// A copy of a tensor's values (load_tensor); the pages of the file are given back, so that a
  /// checkpoint is not in memory twice.
  torch::Tensor take(const Tensor& tensor) const;

  /// The file that was opened first: the weights or the index; for messages.
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::vector<Tensor> tensors_;
};

/// LibTorch's type for a dtype of the format; nothing where it has none (F4, F6).
std::optional<at::ScalarType> scalar_type(SafetensorsDtype dtype);

/// LibTorch's type of a tensor. Throws CheckpointError, naming the tensor, where it has none.
at::ScalarType scalar_type(const std::filesystem::path& file, const TensorView& tensor);

/// The format's type for a type of LibTorch; nothing for complex double, quantised types and such.
std::optional<SafetensorsDtype> safetensors_dtype(at::ScalarType type);

/// A copy of the tensor's values in its own dtype, on the CPU. Throws CheckpointError as
/// `scalar_type` does.
torch::Tensor load_tensor(const std::filesystem::path& file, const TensorView& tensor);

/// A shape for a message: `[96, 3, 4, 4]`.
std::string describe_shape(at::IntArrayRef shape);

}  // namespace vizoo
