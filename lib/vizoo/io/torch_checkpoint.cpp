#include "vizoo/io/torch_checkpoint.h"

#include <cstring>
#include <utility>

#include "vizoo/core/error.h"
#include "vizoo/io/pickle_reader.h"
#include "vizoo/io/safetensors_index.h"
#include "vizoo/io/zip_archive.h"

namespace vizoo {
namespace {

constexpr const char* kResave =
    "Write it again with torch 1.6 or later: torch.save(torch.load(path, weights_only=True), path)";
constexpr const char* kExport =
    "It holds code: a state file is written by torch.save(model.state_dict(), path)";

bool begins_with(std::string_view text, std::string_view beginning) {
  return text.substr(0, beginning.size()) == beginning;
}

class CheckpointParser : private TorchFileReader {
 public:
  CheckpointParser(std::string_view file, const std::string& source)
      : TorchFileReader(source), file_(file) {}

  TorchState parse() {
    check_format();
    // The code of TorchScript is compressed; nothing of a state file may be.
    entries_ = parse_zip_directory(file_, source_, ZipCompression::leave_out);
    folder_ = std::string(zip_top_folder(entries_));
    if (find("constants.pkl") != nullptr) {
      fail("", "a state file", "a TorchScript program", kExport);
    }
    entries_ = parse_zip_directory(file_, source_);
    folder_ = std::string(zip_top_folder(entries_));
    const ZipEntry* const pickle = find("data.pkl");
    if (pickle == nullptr) {
      fail("", "a file that torch.save wrote", "an archive without data.pkl");
    }
    const ZipEntry* const order = find("byteorder");
    if (order != nullptr && order->bytes != "little") {
      fail("byteorder", "\"little\"", quote(order->bytes), "Write it on a little-endian machine");
    }
    PickledState state = read_pickled_state(pickle->bytes, source_);
    TorchState result;
    result.tensors.reserve(state.tensors.size());
    const uint64_t most = file_.size() * kMaxTorchExpansion + kMaxTorchFixedBytes;
    uint64_t total = 0;
    for (PickledTensor& tensor : state.tensors) {
      result.tensors.push_back(place(tensor));
      const auto bytes = static_cast<uint64_t>(tensor.bytes);
      if (bytes > most - total) {
        fail("",
             "tensors of at most " + std::to_string(most) + " bytes, " +
                 std::to_string(kMaxTorchExpansion) + " times the file",
             "more",
             "They repeat the same bytes: save expanded tensors by contiguous()");
      }
      total += bytes;
    }
    for (const std::string_view name : state.ignored) result.ignored.push_back(printable(name));
    if (state.ignored_count > state.ignored.size()) result.ignored.emplace_back("...");
    return result;
  }

 private:
  // What can be told from the first bytes, for better words than "no zip archive".
  void check_format() const {
    constexpr const char* kExpected = "a zip archive as torch.save writes it";
    constexpr std::size_t kTarMagic = 257;
    if (begins_with(file_, "PK\x03\x04") || begins_with(file_, "PK\x05\x06")) return;
    if (begins_with(file_, "\x80\x02") || file_.substr(0, 2) == std::string_view("\x80\x03", 2)) {
      fail("", kExpected, "a pickle without one, as torch wrote before 1.6", kResave);
    }
    if (file_.size() > kTarMagic && begins_with(file_.substr(kTarMagic), "ustar")) {
      fail("", kExpected, "a tar archive, as torch wrote before 0.2", kResave);
    }
    if (begins_with(file_, "version https://git-lfs.github.com/")) {
      fail("", kExpected, "a pointer of git-lfs", "Run `git lfs pull`");
    }
    if (begins_with(file_, "\x89HDF")) fail("", kExpected, "TensorFlow weights");
    fail("",
         kExpected,
         file_.empty() ? "an empty file" : "other bytes",
         "The file is damaged or in another format");
  }

  // Of the archive's folder.
  const ZipEntry* find(std::string_view name) const {
    std::string path = folder_.empty() ? std::string() : folder_ + "/";
    path.append(name);
    return find_zip_entry(entries_, path);
  }

  StridedTensorView place(PickledTensor& tensor) const {
    const auto subject = [&] { return "tensor " + quote(tensor.name); };
    const ZipEntry* entry = nullptr;
    if (tensor.storage.size() <= kMaxZipNameBytes) {
      entry = find("data/" + std::string(tensor.storage));
    }
    if (entry == nullptr) {
      fail(subject(), "its storage, data/" + printable(tensor.storage, 40), "none in the archive");
    }
    const std::string_view bytes = entry->bytes;
    if (bytes.size() != static_cast<uint64_t>(tensor.storage_bytes)) {
      fail(subject(),
           "a storage of " + std::to_string(tensor.storage_bytes) + " bytes, as the pickle says",
           std::to_string(bytes.size()));
    }
    // The pickle's reader has checked that this lies within the storage.
    const uint64_t element = dtype_bits(tensor.dtype) / 8;
    StridedTensorView view;
    view.name = tensor.name;
    view.dtype = tensor.dtype;
    view.extent = static_cast<uint64_t>(tensor.extent) * element;
    view.bytes = static_cast<uint64_t>(tensor.bytes);
    view.data = reinterpret_cast<const std::byte*>(bytes.data());
    if (view.bytes != 0) view.data += static_cast<uint64_t>(tensor.offset) * element;
    view.shape = std::move(tensor.shape);
    view.strides = std::move(tensor.strides);
    return view;
  }

  std::string_view file_;
  std::vector<ZipEntry> entries_;
  std::string folder_;
};

}  // namespace

bool StridedTensorView::is_contiguous() const {
  if (bytes == 0) return true;
  int64_t expected = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    if (shape[i] != 1 && strides[i] != expected) return false;
    expected *= shape[i];
  }
  return true;
}

void copy_elements(const StridedTensorView& tensor, void* target) {
  if (tensor.bytes == 0) return;
  auto* out = static_cast<std::byte*>(target);
  const std::size_t element = dtype_bits(tensor.dtype) / 8;
  // Strides of sizes of 1 may be anything.
  std::vector<std::size_t> sizes;
  std::vector<std::size_t> steps;
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
    if (tensor.shape[i] == 1) continue;
    sizes.push_back(static_cast<std::size_t>(tensor.shape[i]));
    steps.push_back(static_cast<std::size_t>(tensor.strides[i]) * element);
  }
  // The last dimensions that lie in C order are copied at once.
  std::size_t run = element;
  while (!sizes.empty() && steps.back() == run) {
    run *= sizes.back();
    sizes.pop_back();
    steps.pop_back();
  }
  std::vector<std::size_t> index(sizes.size(), 0);
  const std::byte* from = tensor.data;
  for (;;) {
    std::memcpy(out, from, run);
    out += run;
    std::size_t axis = sizes.size();
    for (; axis > 0; --axis) {
      if (++index[axis - 1] < sizes[axis - 1]) {
        from += steps[axis - 1];
        break;
      }
      from -= steps[axis - 1] * (sizes[axis - 1] - 1);
      index[axis - 1] = 0;
    }
    if (axis == 0) return;
  }
}

TorchState parse_torch_checkpoint(std::string_view file, const std::string& source) {
  return CheckpointParser(file, source).parse();
}

TorchCheckpointFile::TorchCheckpointFile(std::filesystem::path path, MappedFile file)
    : path_(std::move(path)), file_(std::move(file)) {
  state_ = parse_torch_checkpoint(file_.text(), path_.string());
}

TorchCheckpointFile TorchCheckpointFile::open(const std::filesystem::path& path) {
  return {path, MappedFile(path)};
}

std::vector<TorchCheckpointFile> open_torch_shards(const std::filesystem::path& index_path) {
  const SafetensorsIndex index = read_safetensors_index(index_path);
  std::vector<TorchCheckpointFile> shards;
  std::vector<ShardTensors> tensors;
  std::size_t count = 0;
  std::size_t dimensions = 0;
  for (const std::string& name : index.shards()) {
    const auto& shard =
        shards.emplace_back(TorchCheckpointFile::open(index_path.parent_path() / name));
    tensors.push_back({name, {}});
    for (const StridedTensorView& tensor : shard.tensors()) {
      tensors.back().names.push_back(tensor.name);
      dimensions += tensor.shape.size();
    }
    count += shard.tensors().size();
    if (count > kMaxSafetensorsTensors || dimensions > kMaxSafetensorsDimensions) {
      throw CheckpointError("checkpoint",
                            printable(index_path.native()) + ": shards",
                            "at most " + std::to_string(kMaxSafetensorsTensors) + " tensors and " +
                                std::to_string(kMaxSafetensorsDimensions) +
                                " dimensions in all of them",
                            "more");
    }
  }
  check_weight_map(index, tensors, index_path.string());
  return shards;
}

}  // namespace vizoo
