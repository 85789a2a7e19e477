#include "vizoo/training/checkpoint_manifest.h"

#include <algorithm>
#include <set>
#include <system_error>

#include "vizoo/core/error.h"
#include "vizoo/io/config_json.h"
#include "vizoo/io/file.h"
#include "vizoo/io/json.h"
#include "vizoo/io/sha256.h"
#include "vizoo/training/checkpoint_files.h"

namespace vizoo {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxManifestBytes = std::size_t{16} << 20U;
constexpr std::size_t kDigestLength = 64;  // hexadecimal digits of SHA-256

int64_t size_of(const fs::path& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  if (!error) return static_cast<int64_t>(size);
  throw_file_error(FileKind::checkpoint, path, "a readable file", quote(error.message()));
}

// A hostile manifest must not lead out of the folder.
bool is_inside(const std::string& name) {
  const fs::path path(name);
  if (name.empty() || name.find('\0') != std::string::npos || path.is_absolute()) return false;
  return std::none_of(path.begin(), path.end(), [](const fs::path& part) {
    return part.empty() || part == "." || part == "..";
  });
}

bool is_digest(const std::string& text) {
  return text.size() == kDigestLength &&
         text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

void check_manifest(const CheckpointManifest& manifest, const std::string& source) {
  ConfigProblems problems;
  if (manifest.step < 0) problems.add("/step", "at least 0", std::to_string(manifest.step));
  std::set<std::string> names;
  for (std::size_t i = 0; i < manifest.files.size(); ++i) {
    const auto& file = manifest.files[i];
    const auto path = "/files/" + std::to_string(i);
    if (!is_inside(file.name)) {
      problems.add(path + "/name", "a file in this folder", quote(file.name));
    }
    if (!names.insert(file.name).second) {
      problems.add(path + "/name", "every file once", quote(file.name) + " again");
    }
    if (file.size < 0) problems.add(path + "/size", "at least 0", std::to_string(file.size));
    if (!is_digest(file.sha256)) {
      problems.add(path + "/sha256", "64 hexadecimal digits", quote(file.sha256));
    }
  }
  if (manifest.files.empty()) problems.add("/files", "at least one file", "none");
  problems.throw_if_any(source);
}

}  // namespace

CheckpointManifest sync_and_describe(const fs::path& folder) {
  CheckpointManifest manifest;
  const auto content = list_folder(folder);
  for (const auto& name : content.files) {
    sync_to_disk(folder / name);
    manifest.files.push_back({name, size_of(folder / name), sha256_of_file(folder / name)});
  }
  for (const auto& inner : content.folders) sync_to_disk(inner);
  return manifest;
}

void write_manifest(const fs::path& folder, const CheckpointManifest& manifest) {
  write_file_atomically(folder / CheckpointManifest::kFileName,
                        dump_json(config_to_json(manifest)));
}

CheckpointManifest read_manifest(const fs::path& folder) {
  const auto path = folder / CheckpointManifest::kFileName;
  const auto source = path.string();
  const Json json = read_json_file(path, kMaxManifestBytes, FileKind::checkpoint);
  try {
    auto manifest = config_from_json<CheckpointManifest>(json, source);
    if (manifest.format_version != CheckpointManifest::kFormatVersion) {
      throw CheckpointError("checkpoint",
                            printable(source) + ": /format_version",
                            std::to_string(CheckpointManifest::kFormatVersion),
                            std::to_string(manifest.format_version),
                            "Another version of vizoo may have written it");
    }
    check_manifest(manifest, source);
    return manifest;
  } catch (const ConfigError& error) {
    // The same words under another heading: what is damaged is a checkpoint.
    const std::string message = error.what();
    throw CheckpointError("[checkpoint]" + message.substr(message.find(']') + 1));
  }
}

void verify_files(const fs::path& folder, const CheckpointManifest& manifest) {
  // All sizes first: what is cut short is found without reading gigabytes.
  for (const auto& file : manifest.files) {
    const auto size = size_of(folder / file.name);
    if (size == file.size) continue;
    throw_file_error(FileKind::checkpoint,
                     folder / file.name,
                     std::to_string(file.size) + " bytes, as the manifest says",
                     std::to_string(size));
  }
  for (const auto& file : manifest.files) {
    if (sha256_of_file(folder / file.name) == file.sha256) continue;
    throw_file_error(FileKind::checkpoint,
                     folder / file.name,
                     "the SHA-256 that the manifest says",
                     "another",
                     "The file has been changed or damaged");
  }
}

}  // namespace vizoo
