#include "vizoo/hub/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "vizoo/core/error.h"
#include "vizoo/io/safetensors_index.h"

namespace vizoo {
namespace {

namespace fs = std::filesystem;

constexpr std::pair<SafetensorsDtype, at::ScalarType> kScalarTypes[] = {
    {SafetensorsDtype::BOOL, at::kBool},
    {SafetensorsDtype::U8, at::kByte},
    {SafetensorsDtype::I8, at::kChar},
    {SafetensorsDtype::F8_E5M2, at::kFloat8_e5m2},
    {SafetensorsDtype::F8_E4M3, at::kFloat8_e4m3fn},
    {SafetensorsDtype::F8_E8M0, at::kFloat8_e8m0fnu},
    {SafetensorsDtype::F8_E4M3FNUZ, at::kFloat8_e4m3fnuz},
    {SafetensorsDtype::F8_E5M2FNUZ, at::kFloat8_e5m2fnuz},
    {SafetensorsDtype::I16, at::kShort},
    {SafetensorsDtype::U16, at::kUInt16},
    {SafetensorsDtype::F16, at::kHalf},
    {SafetensorsDtype::BF16, at::kBFloat16},
    {SafetensorsDtype::I32, at::kInt},
    {SafetensorsDtype::U32, at::kUInt32},
    {SafetensorsDtype::F32, at::kFloat},
    {SafetensorsDtype::C64, at::kComplexFloat},
    {SafetensorsDtype::F64, at::kDouble},
    {SafetensorsDtype::I64, at::kLong},
    {SafetensorsDtype::U64, at::kUInt64},
};

// Before the last dot: model.safetensors -> model.fp16.safetensors, and for an index
// model.safetensors.index.json -> model.safetensors.index.fp16.json.
std::string with_variant(const std::string& name, const std::string& variant) {
  if (variant.empty()) return name;
  const auto dot = name.rfind('.');
  return name.substr(0, dot) + "." + variant + name.substr(dot);
}

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

[[noreturn]] void throw_no_weights(const fs::path& folder, const std::string& expected) {
  constexpr std::pair<const char*, const char*> kOthers[] = {
      {"tf_model.h5", "TensorFlow weights"},
      {"model.ckpt.index", "TensorFlow weights"},
      {"flax_model.msgpack", "Flax weights"},
  };
  for (const auto& [name, what] : kOthers) {
    if (!is_there(folder / name)) continue;
    throw CheckpointError("checkpoint",
                          printable(folder.string()),
                          expected,
                          std::string(name) + ", " + what,
                          "Convert it with Transformers: "
                          "AutoModel.from_pretrained(folder).save_pretrained(folder, "
                          "safe_serialization=True)");
  }
  throw CheckpointError("checkpoint",
                        printable(folder.string()),
                        expected,
                        is_there(folder) ? "a folder without weights" : "no such folder");
}

}  // namespace

Checkpoint::Checkpoint(const fs::path& folder, const std::string& variant) {
  const auto exists = [&](const char* name) {
    path_ = folder / with_variant(name, variant);
    return is_there(path_);
  };
  if (exists("model.safetensors")) {
    add(SafetensorsFile::open(path_));
  } else if (exists("model.safetensors.index.json")) {
    for (auto& file : open_safetensors_shards(path_)) add(std::move(file));
  } else if (exists("pytorch_model.bin")) {
    add(TorchCheckpointFile::open(path_));
  } else if (exists("pytorch_model.bin.index.json")) {
    for (auto& file : open_torch_shards(path_)) add(std::move(file));
  } else {
    throw_no_weights(folder,
                     with_variant("model.safetensors", variant) + ", " +
                         with_variant("pytorch_model.bin", variant) + " or the index of either");
  }
  sort();
}

Checkpoint Checkpoint::open_file(const fs::path& file) {
  Checkpoint checkpoint;
  checkpoint.path_ = file;
  if (file.extension() == ".safetensors") {
    checkpoint.add(SafetensorsFile::open(file));
  } else {
    checkpoint.add(TorchCheckpointFile::open(file));
  }
  checkpoint.sort();
  return checkpoint;
}

void Checkpoint::add(SafetensorsFile opened) {
  const auto& file = *files_.emplace_back(std::make_unique<SafetensorsFile>(std::move(opened)));
  for (std::size_t i = 0; i < file.size(); ++i) {
    auto view = file.tensor(i);
    std::string name(view.name);
    tensors_.push_back({std::move(name), std::move(view), file.path(), files_.size() - 1, i});
  }
}

void Checkpoint::add(TorchCheckpointFile opened) {
  const auto& file =
      *pickles_.emplace_back(std::make_unique<TorchCheckpointFile>(std::move(opened)));
  for (std::size_t i = 0; i < file.tensors().size(); ++i) {
    const auto& tensor = file.tensors()[i];
    const auto* const data = tensor.is_contiguous() ? tensor.data : nullptr;
    tensors_.push_back({std::string(tensor.name),
                        {tensor.name, tensor.dtype, tensor.shape, data, tensor.bytes},
                        file.path(),
                        pickles_.size() - 1,
                        i});
  }
  ignored_.insert(ignored_.end(), file.ignored().begin(), file.ignored().end());
}

void Checkpoint::sort() {
  std::sort(tensors_.begin(), tensors_.end(), [](const Tensor& a, const Tensor& b) {
    return a.name < b.name;
  });
}

torch::Tensor Checkpoint::take(const Tensor& tensor) const {
  torch::Tensor values;
  if (tensor.view.data != nullptr) {
    values = load_tensor(tensor.file, tensor.view);
  } else {
    values = torch::empty(tensor.view.shape, scalar_type(tensor.file, tensor.view));
    copy_elements(pickles_[tensor.file_index]->tensors()[tensor.index], values.data_ptr());
  }
  release(tensor);
  return values;
}

void Checkpoint::release(const Tensor& tensor) const {
  if (!files_.empty()) return files_[tensor.file_index]->release(tensor.view);
  const auto& file = *pickles_[tensor.file_index];
  file.release(file.tensors()[tensor.index]);
}

std::optional<at::ScalarType> scalar_type(SafetensorsDtype dtype) {
  for (const auto& [candidate, type] : kScalarTypes) {
    if (candidate == dtype) return type;
  }
  return std::nullopt;
}

at::ScalarType scalar_type(const fs::path& file, const TensorView& tensor) {
  if (const auto type = scalar_type(tensor.dtype)) return *type;
  throw CheckpointError("checkpoint",
                        printable(file.string()) + ": " + printable(tensor.name),
                        "a dtype that LibTorch has",
                        dtype_name(tensor.dtype));
}

std::optional<SafetensorsDtype> safetensors_dtype(at::ScalarType type) {
  for (const auto& [dtype, candidate] : kScalarTypes) {
    if (candidate == type) return dtype;
  }
  return std::nullopt;
}

std::string torch_dtype_name(at::ScalarType type) {
  switch (type) {
    case torch::kFloat64:
      return "float64";
    case torch::kFloat16:
      return "float16";
    case torch::kBFloat16:
      return "bfloat16";
    default:
      return "float32";
  }
}

torch::Tensor load_tensor(const fs::path& file, const TensorView& tensor) {
  auto copy = torch::empty(tensor.shape, scalar_type(file, tensor));
  if (tensor.bytes != 0 && tensor.data == nullptr) {
    throw CheckpointError("checkpoint",
                          printable(file.string()) + ": " + printable(tensor.name),
                          "elements in C order",
                          "a view with other strides");
  }
  // By bytes: the file does not promise that data is aligned for its type.
  if (tensor.bytes != 0) std::memcpy(copy.data_ptr(), tensor.data, tensor.bytes);
  return copy;
}

std::string describe_shape(at::IntArrayRef shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + "]";
}

}  // namespace vizoo
