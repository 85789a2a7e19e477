#include <algorithm>
#include <cstdint>
#include <limits>
#include <set>

#include "vizoo/core/error.h"
#include "vizoo/io/safetensors.h"
#include "vizoo/io/utf8.h"

namespace vizoo {
namespace {

// As serde_json writes strings: only what JSON demands is escaped.
void append_json_string(std::string& text, std::string_view value) {
  static constexpr char kHex[] = "0123456789abcdef";
  static constexpr std::string_view kSpecial = "\"\\\b\f\n\r\t";
  static constexpr std::string_view kLetter = "\"\\bfnrt";
  text += '"';
  for (const char c : value) {
    const std::size_t special = kSpecial.find(c);
    const auto byte = static_cast<unsigned char>(c);
    if (special != std::string_view::npos) {
      text += '\\';
      text += kLetter[special];
    } else if (byte < 0x20) {
      text += "\\u00";
      text += kHex[byte >> 4U];
      text += kHex[byte & 15U];
    } else {
      text += c;
    }
  }
  text += '"';
}

std::string tensor_subject(std::string_view name) { return "tensor " + quote(name); }

void append_tensor(std::string& text, const TensorToWrite& tensor, uint64_t begin, uint64_t end) {
  append_json_string(text, tensor.name);
  text.append(":{\"dtype\":\"").append(dtype_name(tensor.dtype)).append("\",\"shape\":[");
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
    if (i > 0) text += ',';
    text += std::to_string(tensor.shape[i]);
  }
  text.append("],\"data_offsets\":[").append(std::to_string(begin)).append(",");
  text.append(std::to_string(end)).append("]}");
}

// Passes bytes on and counts them.
class CountingWriter : public FileWriter {
 public:
  explicit CountingWriter(FileWriter& writer) : writer_(writer) {}

  void write(const void* data, std::size_t size) override {
    writer_.write(data, size);
    count_ += size;
  }

  std::size_t count() const { return count_; }

 private:
  FileWriter& writer_;
  std::size_t count_ = 0;
};

class HeaderBuilder {
 public:
  explicit HeaderBuilder(const std::filesystem::path& path) : path_(path) {}

  [[noreturn]] void fail(const std::string& subject,
                         const std::string& expected,
                         const std::string& got) const {
    const std::string where = printable(path_.native()) + (subject.empty() ? "" : ": " + subject);
    throw CheckpointError("checkpoint", where, expected, got);
  }

  // Text of the header with the 8 bytes of its length in front.
  std::string build(const std::vector<const TensorToWrite*>& tensors,
                    const std::optional<SafetensorsMetadata>& metadata) const {
    std::string text(8, '\0');
    text += '{';
    if (metadata) append_metadata(text, *metadata);
    uint64_t begin = 0;
    for (const TensorToWrite* tensor : tensors) {
      const uint64_t bytes = tensor_bytes(*tensor);
      if (bytes > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) - begin) {
        fail(tensor_subject(tensor->name), "less than 2^63 bytes in all tensors", "more");
      }
      if (text.back() != '{') text += ',';
      append_tensor(text, *tensor, begin, begin + bytes);
      begin += bytes;
    }
    text += '}';
    while (text.size() % 8 != 0) text += ' ';
    uint64_t length = text.size() - 8;
    if (length > kMaxSafetensorsHeaderBytes) {
      fail("",
           "a header of at most " + std::to_string(kMaxSafetensorsHeaderBytes) + " bytes",
           std::to_string(length));
    }
    for (int i = 0; i < 8; ++i, length >>= 8U) text[i] = static_cast<char>(length & 0xFFU);
    return text;
  }

  void check(const std::vector<TensorToWrite>& tensors) const {
    if (tensors.size() > kMaxSafetensorsTensors) {
      fail("",
           "at most " + std::to_string(kMaxSafetensorsTensors) + " tensors",
           std::to_string(tensors.size()));
    }
    std::set<std::string_view> names;
    std::size_t dimensions = 0;
    for (const TensorToWrite& tensor : tensors) {
      const std::string subject = tensor_subject(tensor.name);
      if (tensor.name == "__metadata__") fail(subject, "another name", "the key of the metadata");
      check_utf8(subject, tensor.name);
      if (!names.insert(tensor.name).second) fail(subject, "every name once", "it again");
      if (tensor.data == nullptr && !tensor.produce && tensor_bytes(tensor) > 0) {
        fail(subject, "data", "none");
      }
      dimensions += tensor.shape.size();
    }
    if (dimensions > kMaxSafetensorsDimensions) {
      fail("",
           "at most " + std::to_string(kMaxSafetensorsDimensions) +
               " dimensions in all shapes together",
           std::to_string(dimensions));
    }
  }

 private:
  void check_utf8(const std::string& subject, std::string_view text) const {
    if (find_invalid_utf8(text) != text.size()) fail(subject, "valid UTF-8", quote(text));
  }

  void append_metadata(std::string& text, const SafetensorsMetadata& metadata) const {
    if (metadata.size() > kMaxSafetensorsMetadata) {
      fail("__metadata__",
           "at most " + std::to_string(kMaxSafetensorsMetadata) + " keys",
           std::to_string(metadata.size()));
    }
    std::size_t bytes = 0;
    for (const auto& [key, value] : metadata) bytes += key.size() + value.size();
    if (bytes > kMaxSafetensorsMetadataBytes) {
      fail("__metadata__",
           "at most " + std::to_string(kMaxSafetensorsMetadataBytes) + " bytes of keys and values",
           std::to_string(bytes));
    }
    std::set<std::string_view> keys;
    text += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) {
      const std::string subject = "__metadata__: key " + quote(key);
      if (!keys.insert(key).second) fail(subject, "every key once", "it again");
      check_utf8(subject, key);
      check_utf8(subject, value);
      if (keys.size() > 1) text += ',';
      append_json_string(text, key);
      text += ':';
      append_json_string(text, value);
    }
    text += '}';
  }

  const std::filesystem::path& path_;
};

}  // namespace

std::size_t tensor_bytes(const TensorToWrite& tensor) {
  const auto fail = [&](const char* expected, const std::string& got) {
    throw CheckpointError("checkpoint", tensor_subject(tensor.name), expected, got);
  };
  uint64_t bits = 1;
  bool fits = true;
  for (const int64_t size : tensor.shape) {
    if (size < 0) fail("sizes of at least 0", std::to_string(size));
    fits = fits && !__builtin_mul_overflow(bits, static_cast<uint64_t>(size), &bits);
  }
  fits = fits && !__builtin_mul_overflow(bits, dtype_bits(tensor.dtype), &bits);
  if (!fits) fail("a number of bits below 2^64", "more");
  if (bits % 8 != 0) fail("a whole number of bytes", std::to_string(bits) + " bits");
  return bits / 8;
}

void write_safetensors(const std::filesystem::path& path,
                       const std::vector<TensorToWrite>& tensors,
                       const std::optional<SafetensorsMetadata>& metadata) {
  const HeaderBuilder builder(path);
  builder.check(tensors);
  std::vector<const TensorToWrite*> ordered;
  ordered.reserve(tensors.size());
  for (const TensorToWrite& tensor : tensors) ordered.push_back(&tensor);
  std::sort(ordered.begin(), ordered.end(), [](const TensorToWrite* a, const TensorToWrite* b) {
    return a->dtype != b->dtype ? a->dtype > b->dtype : a->name < b->name;
  });
  const std::string header = builder.build(ordered, metadata);
  write_file_atomically(path, [&](FileWriter& writer) {
    writer.write(header);
    for (const TensorToWrite* tensor : ordered) {
      const std::size_t bytes = tensor_bytes(*tensor);
      if (tensor->produce) {
        CountingWriter counter(writer);
        tensor->produce(counter);
        if (counter.count() != bytes) {
          builder.fail(tensor_subject(tensor->name),
                       std::to_string(bytes) + " bytes",
                       std::to_string(counter.count()));
        }
      } else if (bytes > 0) {
        writer.write(tensor->data, bytes);
      }
    }
  });
}

}  // namespace vizoo
