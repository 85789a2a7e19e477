#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vizoo/io/file.h"

namespace vizoo {

/// Limits of what is read: a model has some thousand entries with names of some dozen bytes.
inline constexpr std::size_t kMaxZipEntries = 200'000;
inline constexpr std::size_t kMaxZipNameBytes = 4'096;

/// One file of an archive; both views point into the bytes of the archive.
struct ZipEntry {
  std::string_view name;  ///< with its folders, separated by `/`
  std::string_view bytes;
};

/// What is done with entries that are compressed.
enum class ZipCompression {
  refuse,    ///< CheckpointError: `torch.save` writes none
  leave_out  ///< not among the entries: a TorchScript file's code is compressed, its data is not
};

/// The entries of the zip archive whose whole bytes are `file`, sorted by name.
///
/// Only what torch writes is read (`torch.save`, `torch::jit::Module::save`): entries that are
/// stored, not compressed (but see ZipCompression) and not encrypted, in one file without comments,
/// whose central directory is followed by the end records and nothing else; zip64 records where
/// they stand directly in front of the end record. Every number is checked against the size of the
/// file before it is used; no name occurs twice, and no two entries share bytes. Time is O(n log n)
/// in the number n of entries, and memory stays below 16 MiB.
///
/// Checksums are not compared: they guard against accidents only, safetensors has none, torch
/// does not look at them either, and reading every byte of a large file first would double the
/// time that loading takes.
///
/// `source` is the file's name in messages. Throws CheckpointError.
std::vector<ZipEntry> parse_zip_directory(std::string_view file,
                                          const std::string& source,
                                          ZipCompression compression = ZipCompression::refuse);

/// A zip archive as torch writes it, mapped read-only (rules: `parse_zip_directory`). What the
/// entries hold is not looked at, so opening an archive runs no code that it contains.
class ZipArchive {
 public:
  /// Throws CheckpointError naming the file, and the entry where there is one.
  static ZipArchive open(const std::filesystem::path& path,
                         ZipCompression compression = ZipCompression::refuse);

  const std::filesystem::path& path() const { return path_; }

  // Views of a temporary archive would dangle at once: those overloads do not exist.

  /// All entries, sorted by name.
  const std::vector<ZipEntry>& entries() const& { return entries_; }
  const std::vector<ZipEntry>& entries() const&& = delete;

  /// The bytes of the entry called `name`, or nothing. O(log n).
  std::optional<std::string_view> find(std::string_view name) const&;
  std::optional<std::string_view> find(std::string_view name) const&& = delete;

  /// The folder in which all entries lie, without `/`: torch names it after the file as it was
  /// called when it was saved. Empty if there is no such folder.
  std::string_view top_folder() const&;
  std::string_view top_folder() const&& = delete;

  /// The mapping, for giving memory back (MappedFile::release).
  const MappedFile& file() const { return file_; }

 private:
  ZipArchive(std::filesystem::path path, MappedFile file, ZipCompression compression);

  std::filesystem::path path_;
  MappedFile file_;
  std::vector<ZipEntry> entries_;
};

/// The entry called `name` in a list that `parse_zip_directory` made, or null. O(log n).
const ZipEntry* find_zip_entry(const std::vector<ZipEntry>& entries, std::string_view name);

/// `ZipArchive::top_folder` of such a list.
std::string_view zip_top_folder(const std::vector<ZipEntry>& entries);

}  // namespace vizoo
