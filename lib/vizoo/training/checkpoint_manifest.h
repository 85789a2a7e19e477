#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace vizoo {

/// manifest.json of a checkpoint: what files it has, written when all of them are there.
struct CheckpointManifest {
  struct File {
    std::string name;  ///< relative to the checkpoint's folder, `/` between folders
    int64_t size = 0;  ///< bytes
    std::string sha256;

    template <class Self, class Visitor>
    static void fields(Self& self, Visitor&& visit) {
      visit("name", self.name);
      visit("size", self.size);
      visit("sha256", self.sha256);
    }
  };

  static constexpr const char* kFileName = "manifest.json";
  static constexpr int64_t kFormatVersion = 1;

  int64_t format_version = kFormatVersion;
  int64_t step = -1;
  std::optional<double> metric;
  std::vector<File> files;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("format_version", self.format_version);
    visit("step", self.step);
    visit("metric", self.metric);
    visit("files", self.files);
  }
};

/// The manifest of all files below `folder`, after each of them and each folder has been synced.
/// Throws CheckpointError.
CheckpointManifest sync_and_describe(const std::filesystem::path& folder);

/// Writes `folder/manifest.json` and syncs it and the folder. Throws CheckpointError.
void write_manifest(const std::filesystem::path& folder, const CheckpointManifest& manifest);

/// Reads `folder/manifest.json`. Throws CheckpointError if it is missing, damaged, of a later
/// version, or names files outside the folder.
CheckpointManifest read_manifest(const std::filesystem::path& folder);

/// Compares sizes, then digests. Throws CheckpointError naming the first file that differs.
void verify_files(const std::filesystem::path& folder, const CheckpointManifest& manifest);

}  // namespace vizoo
