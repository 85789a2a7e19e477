#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace vizoo {

// What the checkpointer asks of the file system. Every failure is a CheckpointError with the
// system's reason.

/// Makes a folder and those above it, so that a power loss does not undo it.
void make_folders(const std::filesystem::path& folder);

/// Makes one new folder.
void make_folder(const std::filesystem::path& folder);

/// Waits until a regular file, or the list of names in a folder, is on the disk. File systems that
/// cannot sync have nothing to wait for.
void sync_to_disk(const std::filesystem::path& path);

/// Renames `from` to `to`. If there is a `to` already the two change places, so that at no moment
/// neither is there; returns whether it was so. `spare`: a name in the same folder for file systems
/// that cannot exchange.
bool rename_or_exchange(const std::filesystem::path& from,
                        const std::filesystem::path& to,
                        const std::filesystem::path& spare);

/// Renames a folder to a name that is not in use.
void rename_folder(const std::filesystem::path& from, const std::filesystem::path& to);

/// Removes a folder with all in it, or a file; links are removed, not followed. Nothing there is no
/// error.
void remove_tree(const std::filesystem::path& path);

/// Regular files below a folder, as sorted paths relative to it, and the folders that hold them.
/// Throws for links, devices and such.
struct FolderContent {
  std::vector<std::string> files;
  std::vector<std::filesystem::path> folders;  ///< whole paths, the folder itself last
};
FolderContent list_folder(const std::filesystem::path& folder);

/// Names in a folder; none if there is no such folder.
std::vector<std::string> names_in(const std::filesystem::path& folder);

/// A lock on a folder, which the system drops when the returned descriptor is closed or the process
/// ends; -1 if the file system has no locks. Throws if another descriptor holds it.
int lock_folder(const std::filesystem::path& folder);

}  // namespace vizoo
