// The zip format: APPNOTE.TXT 6.3.10 of PKWARE, sections 4.3 and 4.5.3.
#include "vizoo/io/zip_archive.h"

#include <algorithm>
#include <utility>

#include "vizoo/core/error.h"

namespace vizoo {
namespace {

constexpr uint32_t kLocalHeader = 0x04034b50;
constexpr uint32_t kCentralHeader = 0x02014b50;
constexpr uint32_t kEnd = 0x06054b50;
constexpr uint32_t kEnd64 = 0x06064b50;
constexpr uint32_t kEnd64Locator = 0x07064b50;

constexpr uint64_t kLocalHeaderBytes = 30;
constexpr uint64_t kCentralHeaderBytes = 46;
constexpr uint64_t kEndBytes = 22;
constexpr uint64_t kEnd64Bytes = 56;
constexpr uint64_t kEnd64LocatorBytes = 20;

// In place of a number that does not fit: it stands in a zip64 record.
constexpr uint32_t kElsewhere16 = 0xFFFF;
constexpr uint32_t kElsewhere32 = 0xFFFFFFFF;

constexpr uint16_t kZip64Extra = 1;
// Sizes follow the data (bit 3), the name is UTF-8 (bit 11), hints for compression (bits 1 and 2).
constexpr uint32_t kHarmlessFlags = 0x0808 | 0x0006;

struct Directory {
  uint64_t begin = 0;
  uint64_t end = 0;
  uint64_t count = 0;
};

// An entry with its place: local header and data.
struct Placed {
  ZipEntry entry;
  uint64_t begin = 0;
  uint64_t end = 0;
};

class DirectoryParser {
 public:
  DirectoryParser(std::string_view file, const std::string& source, ZipCompression compression)
      : file_(file), source_(source), compression_(compression) {}

  std::vector<ZipEntry> parse() {
    const Directory directory = find_directory();
    std::vector<Placed> placed = read_entries(directory);
    check_overlap(placed);
    std::vector<ZipEntry> entries;
    entries.reserve(placed.size());
    for (const Placed& one : placed) entries.push_back(one.entry);
    std::sort(entries.begin(), entries.end(), [](const ZipEntry& a, const ZipEntry& b) {
      return a.name < b.name;
    });
    const auto twice = std::adjacent_find(
        entries.begin(), entries.end(), [](const ZipEntry& a, const ZipEntry& b) {
          return a.name == b.name;
        });
    if (twice != entries.end())
      fail("expected every name once, got " + quote(twice->name) + " again");
    entries.erase(std::remove_if(entries.begin(), entries.end(), is_compressed), entries.end());
    return entries;
  }

 private:
  [[noreturn]] void fail(const std::string& problem, const std::string& hint = {}) const {
    throw CheckpointError(
        Error::describe("checkpoint", printable(source_) + ": zip archive", problem, hint));
  }

  [[noreturn]] void fail_entry(std::string_view name, const std::string& problem) const {
    fail("entry " + quote(name) + ": " + problem);
  }

  // Of stored entries even no bytes are at some place.
  static bool is_compressed(const ZipEntry& entry) { return entry.bytes.data() == nullptr; }

  // Callers have checked that the bytes lie within the file.
  uint64_t number(uint64_t at, unsigned bytes) const {
    uint64_t value = 0;
    for (unsigned i = bytes; i-- > 0;) {
      value = (value << 8U) | static_cast<unsigned char>(file_[at + i]);
    }
    return value;
  }
  uint32_t u16(uint64_t at) const { return static_cast<uint32_t>(number(at, 2)); }
  uint32_t u32(uint64_t at) const { return static_cast<uint32_t>(number(at, 4)); }
  uint64_t u64(uint64_t at) const { return number(at, 8); }

  Directory find_directory() const {
    if (file_.size() < kEndBytes || u32(file_.size() - kEndBytes) != kEnd) {
      fail("expected its end record at the end of the file, got other bytes",
           "The file is cut short, damaged, or in another format");
    }
    const uint64_t end = file_.size() - kEndBytes;
    if (u16(end + 20) != 0) fail("expected no comment, got one");
    Directory directory;
    directory.count = u16(end + 10);
    uint64_t size = u32(end + 12);
    directory.begin = u32(end + 16);
    directory.end = end;
    bool one_disk = u16(end + 4) == 0 && u16(end + 6) == 0 && u16(end + 8) == u16(end + 10);
    const uint64_t locator = end - kEnd64LocatorBytes;
    if (end >= kEnd64LocatorBytes + kEnd64Bytes && u32(locator) == kEnd64Locator) {
      directory.end = locator - kEnd64Bytes;
      const uint64_t record = directory.end;
      if (u64(locator + 8) != record || u32(record) != kEnd64 || u64(record + 4) != 44) {
        fail("expected its zip64 record in front of the end record, got other bytes");
      }
      const auto agree = [](uint64_t plain, uint64_t wide, uint64_t elsewhere) {
        return plain == wide || plain == elsewhere;
      };
      const bool same = agree(directory.count, u64(record + 32), kElsewhere16) &&
                        agree(size, u64(record + 40), kElsewhere32) &&
                        agree(directory.begin, u64(record + 48), kElsewhere32);
      if (!same) fail("expected the same numbers in both end records, got different ones");
      one_disk = one_disk && u32(locator + 4) == 0 && u32(locator + 16) == 1 &&
                 u32(record + 16) == 0 && u32(record + 20) == 0 &&
                 u64(record + 24) == u64(record + 32);
      directory.count = u64(record + 32);
      size = u64(record + 40);
      directory.begin = u64(record + 48);
    }
    if (!one_disk) fail("expected one file, got a part of an archive in several");
    if (size > directory.end || directory.begin != directory.end - size) {
      fail("expected a directory of " + std::to_string(size) + " bytes right in front of the " +
           "end record at byte " + std::to_string(directory.end) + ", got one at byte " +
           std::to_string(directory.begin));
    }
    if (directory.count > kMaxZipEntries || directory.count > size / kCentralHeaderBytes) {
      fail("expected at most " +
           std::to_string(std::min<uint64_t>(kMaxZipEntries, size / kCentralHeaderBytes)) +
           " entries, got " + std::to_string(directory.count));
    }
    return directory;
  }

  std::vector<Placed> read_entries(const Directory& directory) const {
    std::vector<Placed> placed;
    placed.reserve(directory.count);
    uint64_t at = directory.begin;
    for (uint64_t i = 0; i < directory.count; ++i) {
      const uint64_t left = directory.end - at;
      if (left < kCentralHeaderBytes || u32(at) != kCentralHeader) {
        fail("expected " + std::to_string(directory.count) + " entries in the directory, got " +
             std::to_string(i));
      }
      const uint64_t name_bytes = u16(at + 28);
      const uint64_t extra_bytes = u16(at + 30);
      const uint64_t header_bytes = kCentralHeaderBytes + name_bytes + extra_bytes + u16(at + 32);
      if (header_bytes > left) fail("expected a whole directory, got one cut short");
      placed.push_back(read_entry(at, directory.begin));
      at += header_bytes;
    }
    if (at != directory.end) fail("expected nothing between directory and end, got more bytes");
    return placed;
  }

  // The entry whose header in the directory begins at `at`; data ends before `data_end`.
  Placed read_entry(uint64_t at, uint64_t data_end) const {
    Placed placed;
    ZipEntry& entry = placed.entry;
    entry.name = file_.substr(at + kCentralHeaderBytes, u16(at + 28));
    if (entry.name.empty() || entry.name.size() > kMaxZipNameBytes) {
      fail("expected names of 1 to " + std::to_string(kMaxZipNameBytes) + " bytes, got one of " +
           std::to_string(entry.name.size()));
    }
    const bool compressed = u16(at + 10) != 0;
    if (compressed && compression_ == ZipCompression::refuse) {
      fail_entry(entry.name,
                 "expected stored bytes, got compression method " + std::to_string(u16(at + 10)));
    }
    if ((u16(at + 8) & ~kHarmlessFlags) != 0) {
      fail_entry(entry.name, "expected plain bytes, got encrypted or patched ones");
    }
    uint64_t stored = u32(at + 20);
    uint64_t size = u32(at + 24);
    placed.begin = u32(at + 42);
    read_zip64_extra(at, entry.name, size, stored, placed.begin);
    if (compressed) {
      size = stored;
    } else if (stored != size) {
      fail_entry(entry.name,
                 "expected as many bytes stored as there are, " + std::to_string(size) + ", got " +
                     std::to_string(stored));
    }
    if (data_end < kLocalHeaderBytes || placed.begin > data_end - kLocalHeaderBytes ||
        u32(placed.begin) != kLocalHeader) {
      fail_entry(entry.name,
                 "expected its header at byte " + std::to_string(placed.begin) + ", got none");
    }
    const uint64_t local_name = u16(placed.begin + 26);
    const uint64_t data = placed.begin + kLocalHeaderBytes + local_name + u16(placed.begin + 28);
    if (data > data_end || size > data_end - data) {
      fail_entry(entry.name,
                 "expected bytes in front of the directory, got " + std::to_string(size) +
                     " from byte " + std::to_string(data));
    }
    if (u16(placed.begin + 8) != u16(at + 10) ||
        file_.substr(placed.begin + kLocalHeaderBytes, local_name) != entry.name) {
      fail_entry(entry.name, "expected its header to agree with the directory, got another");
    }
    if (!compressed) entry.bytes = file_.substr(data, size);
    placed.end = data + size;
    return placed;
  }

  // Numbers that do not fit the directory's fields, in this order, each only if it does not fit.
  void read_zip64_extra(
      uint64_t at, std::string_view name, uint64_t& size, uint64_t& stored, uint64_t& begin) const {
    uint64_t* const wanted[] = {&size, &stored, &begin};
    const bool any = std::any_of(std::begin(wanted), std::end(wanted), [](const uint64_t* value) {
      return *value == kElsewhere32;
    });
    if (!any) return;
    uint64_t extra = at + kCentralHeaderBytes + u16(at + 28);
    const uint64_t end = extra + u16(at + 30);
    while (end - extra >= 4) {
      const uint64_t bytes = u16(extra + 2);
      if (bytes > end - extra - 4) break;
      const uint64_t field = extra + 4;
      extra = field + bytes;
      if (u16(field - 4) != kZip64Extra) continue;
      uint64_t next = field;
      bool complete = true;
      for (uint64_t* const value : wanted) {
        if (*value != kElsewhere32) continue;
        complete = complete && extra - next >= 8;
        if (!complete) break;
        *value = u64(next);
        next += 8;
      }
      if (complete) return;
      break;
    }
    fail_entry(name, "expected a zip64 field with its large numbers, got none");
  }

  void check_overlap(std::vector<Placed>& placed) const {
    std::sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) {
      return a.begin < b.begin;
    });
    const auto overlap =
        std::adjacent_find(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) {
          return b.begin < a.end;
        });
    if (overlap != placed.end()) {
      fail_entry(
          overlap->entry.name,
          "expected bytes of its own, got some shared with " + quote((overlap + 1)->entry.name));
    }
  }

  std::string_view file_;
  const std::string& source_;
  ZipCompression compression_;
};

}  // namespace

std::vector<ZipEntry> parse_zip_directory(std::string_view file,
                                          const std::string& source,
                                          ZipCompression compression) {
  return DirectoryParser(file, source, compression).parse();
}

const ZipEntry* find_zip_entry(const std::vector<ZipEntry>& entries, std::string_view name) {
  const auto found = std::lower_bound(
      entries.begin(), entries.end(), name, [](const ZipEntry& entry, std::string_view wanted) {
        return entry.name < wanted;
      });
  return found != entries.end() && found->name == name ? &*found : nullptr;
}

std::string_view zip_top_folder(const std::vector<ZipEntry>& entries) {
  if (entries.empty()) return {};
  const std::string_view first = entries.front().name;
  const std::string_view prefix = first.substr(0, first.find('/') + 1);
  // Sorted: what the first and the last begin with, all begin with.
  if (prefix.empty() || entries.back().name.substr(0, prefix.size()) != prefix) return {};
  return prefix.substr(0, prefix.size() - 1);
}

ZipArchive::ZipArchive(std::filesystem::path path, MappedFile file, ZipCompression compression)
    : path_(std::move(path)), file_(std::move(file)) {
  entries_ = parse_zip_directory(file_.text(), path_.string(), compression);
}

ZipArchive ZipArchive::open(const std::filesystem::path& path, ZipCompression compression) {
  return {path, MappedFile(path), compression};
}

std::optional<std::string_view> ZipArchive::find(std::string_view name) const& {
  const ZipEntry* const entry = find_zip_entry(entries_, name);
  if (entry == nullptr) return std::nullopt;
  return entry->bytes;
}

std::string_view ZipArchive::top_folder() const& { return zip_top_folder(entries_); }

}  // namespace vizoo
