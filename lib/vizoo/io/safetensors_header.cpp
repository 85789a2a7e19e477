#include "vizoo/io/safetensors_header.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <tuple>

#include "vizoo/core/error.h"
#include "vizoo/io/json_scanner.h"

namespace vizoo {
namespace {

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kMaxNesting = 4;  // header, tensor, shape: one to spare for unknown keys

constexpr std::string_view kPointer = "version https://git-lfs.github.com/";

using Entry = SafetensorsHeader::Entry;

bool multiply(uint64_t a, uint64_t b, uint64_t& product) {
  return !__builtin_mul_overflow(a, b, &product);
}

const char* event_name(JsonEvent event) {
  switch (event) {
    case JsonEvent::object_begin:
      return "an object";
    case JsonEvent::array_begin:
      return "an array";
    case JsonEvent::string:
      return "a string";
    case JsonEvent::boolean:
      return "a boolean";
    case JsonEvent::null:
      return "null";
    default:
      return "a number";
  }
}

bool is_number(JsonEvent event) {
  return event == JsonEvent::integer || event == JsonEvent::unsigned_integer ||
         event == JsonEvent::number;
}

class HeaderParser {
 public:
  HeaderParser(std::string_view json, const std::string& source)
      : json_(json), source_(source), scanner_(json, kMaxNesting, kMaxSafetensorsEscaped) {}

  void parse(SafetensorsHeader& header) {
    header_ = &header;
    try {
      const JsonEvent event = scanner_.next();
      if (event != JsonEvent::object_begin) fail_got("", "a header that is an object", event);
      parse_members();
      scanner_.next();  // the end, or an error
    } catch (const JsonScanError& error) {
      fail("header byte " + std::to_string(error.offset),
           "expected " + error.expected + ", got " + error.got);
    }
  }

  [[noreturn]] void fail(const std::string& where, const std::string& problem) const {
    const std::string subject =
        where.empty() ? printable(source_) : printable(source_) + ": " + where;
    throw CheckpointError(Error::describe("checkpoint", subject, problem));
  }

  static std::string tensor_label(std::string_view name) { return "tensor " + quote(name); }

 private:
  [[noreturn]] void fail_got(const std::string& where,
                             const std::string& expected,
                             JsonEvent event) const {
    std::string got = event_name(event);
    if (is_number(event)) got = printable(scanner_.text(), 40);
    if (event == JsonEvent::string) got = quote(scanner_.text());
    fail(where, "expected " + expected + ", got " + got);
  }

  void parse_members() {
    bool metadata_seen = false;
    while (scanner_.next() == JsonEvent::key) {
      if (scanner_.text() == "__metadata__") {
        if (metadata_seen) fail("__metadata__", "expected every key once, got it again");
        metadata_seen = true;
        parse_metadata();
      } else {
        parse_tensor();
      }
    }
  }

  void parse_metadata() {
    const JsonEvent event = scanner_.next();
    if (event == JsonEvent::null) return;  // as if it were not there
    if (event != JsonEvent::object_begin) fail_got("__metadata__", "an object", event);
    SafetensorsMetadata& metadata = header_->metadata.emplace();
    std::size_t bytes = 0;  // keys can be as long as values: both are counted before a copy
    while (scanner_.next() == JsonEvent::key) {
      if (metadata.size() == kMaxSafetensorsMetadata) {
        fail("__metadata__",
             "expected at most " + std::to_string(kMaxSafetensorsMetadata) + " keys, got more");
      }
      bytes += scanner_.text().size();
      check_metadata_bytes(bytes);
      metadata.emplace_back(scanner_.text(), std::string());
      const JsonEvent value = scanner_.next();
      if (value != JsonEvent::string) {
        fail_got("__metadata__: key " + quote(metadata.back().first), "a string", value);
      }
      bytes += scanner_.text().size();
      check_metadata_bytes(bytes);
      metadata.back().second = scanner_.text();
    }
    check_metadata_keys(metadata);
  }

  void check_metadata_bytes(std::size_t bytes) const {
    if (bytes > kMaxSafetensorsMetadataBytes) {
      fail("__metadata__", "expected at most " + std::to_string(kMaxSafetensorsMetadataBytes) +
                               " bytes of keys and values, got more");
    }
  }

  void check_metadata_keys(const SafetensorsMetadata& metadata) const {
    std::vector<std::string_view> keys;
    keys.reserve(metadata.size());
    for (const auto& member : metadata) keys.emplace_back(member.first);
    std::sort(keys.begin(), keys.end());
    const auto twice = std::adjacent_find(keys.begin(), keys.end());
    if (twice != keys.end()) {
      fail("__metadata__", "expected every key once, got " + quote(*twice) + " again");
    }
  }

  // The current key, kept for the life of the header.
  std::string_view keep_text() {
    if (!scanner_.text_is_unescaped()) return scanner_.text();
    return header_->unescaped_names.emplace_back(scanner_.text());
  }

  void parse_tensor() {
    if (header_->entries.size() == kMaxSafetensorsTensors) {
      fail("", "expected at most " + std::to_string(kMaxSafetensorsTensors) + " tensors, got more");
    }
    Entry entry;
    entry.name = keep_text();
    const auto label = [&] { return tensor_label(entry.name); };
    JsonEvent event = scanner_.next();
    if (event != JsonEvent::object_begin) fail_got(label(), "an object", event);
    bool has_dtype = false;
    bool has_shape = false;
    bool has_offsets = false;
    const auto once = [&](bool& seen, const char* key) {
      if (seen) fail(label(), std::string("expected every key once, got \"") + key + "\" again");
      seen = true;
    };
    while (scanner_.next() == JsonEvent::key) {
      const std::string_view key = scanner_.text();
      if (key == "dtype") {
        once(has_dtype, "dtype");
        parse_dtype(entry);
      } else if (key == "shape") {
        once(has_shape, "shape");
        parse_shape(entry);
      } else if (key == "data_offsets") {
        once(has_offsets, "data_offsets");
        parse_offsets(entry);
      } else {
        skip_value();
      }
    }
    const char* missing = nullptr;
    if (!has_offsets) missing = "data_offsets";
    if (!has_shape) missing = "shape";
    if (!has_dtype) missing = "dtype";
    if (missing != nullptr) {
      fail(label(), std::string("expected a key \"") + missing + "\", got none");
    }
    header_->entries.push_back(entry);
  }

  void parse_dtype(Entry& entry) {
    const JsonEvent event = scanner_.next();
    const auto where = [&] { return tensor_label(entry.name) + ": dtype"; };
    if (event != JsonEvent::string) fail_got(where(), "a string", event);
    const auto dtype = dtype_from_name(scanner_.text());
    if (!dtype) fail_got(where(), "a type of the safetensors format", event);
    entry.dtype = *dtype;
  }

  void parse_shape(Entry& entry) {
    const auto where = [&] { return tensor_label(entry.name) + ": shape"; };
    const JsonEvent begin = scanner_.next();
    if (begin != JsonEvent::array_begin) fail_got(where(), "an array", begin);
    entry.first_dimension = header_->dimensions.size();
    JsonEvent event = scanner_.next();
    for (; event != JsonEvent::array_end; event = scanner_.next()) {
      constexpr auto kLargest = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
      if (event != JsonEvent::unsigned_integer) fail_got(where(), "non-negative integers", event);
      if (scanner_.unsigned_integer() > kLargest) {
        fail_got(where(), "sizes of at most " + std::to_string(kLargest), event);
      }
      if (header_->dimensions.size() == kMaxSafetensorsDimensions) {
        fail("",
             "expected at most " + std::to_string(kMaxSafetensorsDimensions) +
                 " dimensions in all shapes together, got more");
      }
      header_->dimensions.push_back(static_cast<int64_t>(scanner_.unsigned_integer()));
      ++entry.rank;
    }
  }

  void parse_offsets(Entry& entry) {
    const auto where = [&] { return tensor_label(entry.name) + ": data_offsets"; };
    const JsonEvent begin = scanner_.next();
    if (begin != JsonEvent::array_begin) fail_got(where(), "an array", begin);
    for (uint64_t* const offset : {&entry.begin, &entry.end}) {
      const JsonEvent event = scanner_.next();
      if (event == JsonEvent::array_end) fail(where(), "expected two offsets, got fewer");
      if (event != JsonEvent::unsigned_integer) fail_got(where(), "non-negative integers", event);
      *offset = scanner_.unsigned_integer();
    }
    if (scanner_.next() != JsonEvent::array_end) fail(where(), "expected two offsets, got more");
  }

  void skip_value() {
    const std::size_t depth = scanner_.depth();
    do {
      scanner_.next();
      if (++skipped_ > kMaxSafetensorsUnknown) {
        fail("",
             "expected at most " + std::to_string(kMaxSafetensorsUnknown) +
                 " values under unknown keys, got more");
      }
    } while (scanner_.depth() > depth);
  }

  std::string_view json_;
  const std::string& source_;
  JsonScanner scanner_;
  SafetensorsHeader* header_ = nullptr;
  std::size_t skipped_ = 0;
};

// Offsets must agree with dtype and shape, and follow each other from 0 to the end of the file.
void check_layout(const SafetensorsHeader& header,
                  uint64_t data_bytes,
                  const HeaderParser& parser) {
  uint64_t expected_begin = 0;
  for (const Entry& entry : header.entries) {
    const auto fail = [&](const std::string& problem) {
      parser.fail(HeaderParser::tensor_label(entry.name), problem);
    };
    const auto offsets = [&] {
      return "[" + std::to_string(entry.begin) + ", " + std::to_string(entry.end) + "]";
    };
    if (entry.begin != expected_begin) {
      const char* const why = expected_begin == 0 ? "" : ", where the tensor before it ends";
      fail("expected data that begins at " + std::to_string(expected_begin) + why +
           ", got data_offsets " + offsets());
    }
    uint64_t bits = 1;
    bool fits = true;
    for (uint32_t i = 0; i < entry.rank && fits; ++i) {
      const auto size = static_cast<uint64_t>(header.dimensions[entry.first_dimension + i]);
      fits = multiply(bits, size, bits);
    }
    fits = fits && multiply(bits, dtype_bits(entry.dtype), bits);
    const auto what = [&] {
      return std::string(dtype_name(entry.dtype)) + " " + header.shape_text(entry);
    };
    if (!fits) fail("expected a number of bits below 2^64, got " + what());
    if (bits % 8 != 0) fail("expected a whole number of bytes, got " + what());
    if (entry.end < entry.begin || entry.end - entry.begin != bits / 8) {
      fail("expected " + std::to_string(bits / 8) + " bytes for " + what() + ", got data_offsets " +
           offsets());
    }
    if (entry.end > data_bytes) {
      fail("expected data within the " + std::to_string(data_bytes) +
           " bytes that follow the header, got data_offsets " + offsets());
    }
    expected_begin = entry.end;
  }
  if (expected_begin != data_bytes) {
    parser.fail("",
                "expected " + std::to_string(expected_begin) + " bytes of tensors, got " +
                    std::to_string(data_bytes) + " after the header");
  }
}

void check_names(SafetensorsHeader& header, const HeaderParser& parser) {
  header.by_name.reserve(header.entries.size());
  for (std::size_t i = 0; i < header.entries.size(); ++i) {
    header.by_name.push_back({std::hash<std::string_view>()(header.entries[i].name), i});
  }
  using NameHash = SafetensorsHeader::NameHash;
  const auto name = [&](const NameHash& hashed) { return header.entries[hashed.index].name; };
  std::sort(
      header.by_name.begin(), header.by_name.end(), [&](const NameHash& a, const NameHash& b) {
        return a.hash != b.hash ? a.hash < b.hash : name(a) < name(b);
      });
  const auto twice = std::adjacent_find(
      header.by_name.begin(), header.by_name.end(), [&](const NameHash& a, const NameHash& b) {
        return a.hash == b.hash && name(a) == name(b);
      });
  if (twice != header.by_name.end()) {
    parser.fail("", "expected every tensor once, got " + quote(name(*twice)) + " again");
  }
}

}  // namespace

const SafetensorsHeader::Entry* SafetensorsHeader::find(std::string_view name) const {
  const std::size_t hash = std::hash<std::string_view>()(name);
  const auto found = std::lower_bound(
      by_name.begin(), by_name.end(), name, [&](const NameHash& hashed, std::string_view wanted) {
        return hashed.hash != hash ? hashed.hash < hash : entries[hashed.index].name < wanted;
      });
  if (found == by_name.end() || entries[found->index].name != name) return nullptr;
  return &entries[found->index];
}

std::string SafetensorsHeader::shape_text(const Entry& entry) const {
  constexpr uint32_t kShown = 8;
  std::string text = "[";
  for (uint32_t i = 0; i < entry.rank && i < kShown; ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(dimensions[entry.first_dimension + i]);
  }
  if (entry.rank > kShown) text += ", ...";
  return text + "]";
}

SafetensorsHeader parse_safetensors_header(std::string_view file, const std::string& source) {
  const auto fail = [&](const std::string& expected, const std::string& got) {
    const bool is_pointer = file.substr(0, kPointer.size()) == kPointer;
    throw CheckpointError("checkpoint",
                          printable(source),
                          expected,
                          got,
                          is_pointer ? "This is a pointer of git-lfs: run `git lfs pull`"
                                     : "The file is damaged or in another format");
  };
  if (file.size() < kLengthBytes) {
    fail("a safetensors file of at least 8 bytes", std::to_string(file.size()));
  }
  uint64_t length = 0;
  for (std::size_t i = kLengthBytes; i > 0; --i) {
    length = (length << 8U) | static_cast<unsigned char>(file[i - 1]);
  }
  if (length > kMaxSafetensorsHeaderBytes) {
    fail("a safetensors header of at most " + std::to_string(kMaxSafetensorsHeaderBytes) + " bytes",
         std::to_string(length));
  }
  if (length > file.size() - kLengthBytes) {
    fail("a safetensors header within the file's " + std::to_string(file.size()) + " bytes",
         "one of " + std::to_string(length));
  }
  SafetensorsHeader header;
  header.data_begin = kLengthBytes + length;
  HeaderParser parser(file.substr(kLengthBytes, length), source);
  parser.parse(header);
  // Stable: empty tensors at one place keep the order of the header.
  const auto by_offsets = [](const Entry& a, const Entry& b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
  };
  if (!std::is_sorted(header.entries.begin(), header.entries.end(), by_offsets)) {
    std::stable_sort(header.entries.begin(), header.entries.end(), by_offsets);
  }
  check_names(header, parser);
  check_layout(header, file.size() - header.data_begin, parser);
  return header;
}

}  // namespace vizoo
