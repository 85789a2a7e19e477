#include "vizoo/training/data/image_folder_dataset.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <system_error>
#include <utility>

#include "vizoo/core/error.h"
#include "vizoo/io/file.h"
#include "vizoo/io/utf8.h"
#include "vizoo/training/data/data_path.h"
#include "vizoo/vision/image.h"

namespace vizoo {
namespace {

constexpr std::size_t kMaxImageBytes = std::size_t{1} << 30U;
constexpr std::size_t kNamedEntries = 5;
constexpr std::array<const char*, 7> kSuffixes = {
    ".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"};

bool is_image_name(const std::filesystem::path& path) {
  std::string suffix = path.extension().string();
  for (char& c : suffix) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return std::find(kSuffixes.begin(), kSuffixes.end(), suffix) != kSuffixes.end();
}

std::string joined_classes(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kNamedEntries); ++i) {
    text += (i == 0 ? "" : ", ") + quote(names[i]);
  }
  if (names.size() > kNamedEntries) {
    text += " and " + std::to_string(names.size() - kNamedEntries) + " more";
  }
  return text;
}

struct FolderListing {
  std::vector<std::string> files;  // names of images
  std::vector<std::string> folders;
};

// Sorted by name; links are followed.
FolderListing list_image_folder(const std::filesystem::path& folder) {
  FolderListing listing;
  std::error_code code;
  std::filesystem::directory_iterator entries(folder, code);
  while (!code && entries != std::filesystem::directory_iterator()) {
    const std::filesystem::path& path = entries->path();
    const std::string name = path.filename().string();
    std::error_code status_code;  // a link to nowhere is neither file nor folder
    if (name.front() != '.') {
      if (entries->is_directory(status_code)) {
        listing.folders.push_back(name);
      } else if (is_image_name(path)) {
        listing.files.push_back(name);
      }
    }
    entries.increment(code);
  }
  if (code) fail_data_path(folder, "a folder that can be read", code.message());
  std::sort(listing.files.begin(), listing.files.end());
  std::sort(listing.folders.begin(), listing.folders.end());
  return listing;
}

// Paths of all images below `folder`/`below`, relative to `folder`.
void collect(const std::filesystem::path& folder,
             const std::string& below,
             int depth,
             std::vector<std::string>& paths) {
  if (depth > kMaxFolderDepth) {
    fail_data_path(folder / below,
                   "at most " + std::to_string(kMaxFolderDepth) + " folders within each other",
                   "more",
                   "A link may lead back to a folder above it");
  }
  const FolderListing listing = list_image_folder(folder / below);
  for (const auto& name : listing.files) paths.push_back(below + "/" + name);
  for (const auto& name : listing.folders) collect(folder, below + "/" + name, depth + 1, paths);
}

std::vector<std::string> class_folders(const std::filesystem::path& folder) {
  std::error_code code;
  if (!std::filesystem::is_directory(folder, code)) {
    fail_data_path(folder, "a folder of class folders", "no folder of this name");
  }
  const FolderListing listing = list_image_folder(folder);
  if (!listing.files.empty()) {
    fail_data_path(
        folder,
        "images in class folders only, folder/class/name.jpg",
        std::to_string(listing.files.size()) + " outside of one: " + joined_classes(listing.files));
  }
  if (listing.folders.empty()) {
    fail_data_path(folder, "a folder for each class, folder/class/name.jpg", "no folders");
  }
  for (const auto& name : listing.folders) {
    if (find_invalid_utf8(name) != name.size()) {
      fail_data_path(folder, "class names in UTF-8", quote(name));
    }
  }
  return listing.folders;
}

// Class names by index.
std::vector<std::string> class_names(const LabelMap& label2id) {
  std::vector<std::string> names(label2id.size());
  std::vector<bool> taken(label2id.size(), false);
  for (const auto& [name, label] : label2id) {
    const bool valid = label >= 0 && label < static_cast<int64_t>(names.size()) &&
                       !taken[static_cast<std::size_t>(label)];
    if (!valid) {
      throw UsageError("training",
                       "label map",
                       "the indices 0 to " + std::to_string(names.size() - 1) + ", each once",
                       quote(name) + " with " + std::to_string(label));
    }
    taken[static_cast<std::size_t>(label)] = true;
    names[static_cast<std::size_t>(label)] = name;
  }
  return names;
}

}  // namespace

ImageFolderDataset::ImageFolderDataset(const std::filesystem::path& folder,
                                       std::shared_ptr<const ImageProcessor> processor,
                                       const ImageFolderOptions& options)
    : folder_(folder), processor_(std::move(processor)), options_(options) {
  if (options.augmentation()) augmentation_.emplace(processor_, *options.augmentation());
  const auto found = class_folders(folder);
  LabelMap label2id;
  if (options.label2id()) {
    label2id = *options.label2id();
  } else {
    for (const auto& name : found) {
      label2id.emplace(name, static_cast<int64_t>(label2id.size()));
    }
  }
  classes_ = class_names(label2id);

  std::vector<std::string> unknown;
  std::vector<std::string> empty;
  for (const auto& name : found) {
    const auto label = label2id.find(name);
    if (label == label2id.end()) {
      unknown.push_back(name);
      continue;
    }
    std::vector<std::string> paths;
    collect(folder, name, 0, paths);
    if (paths.empty()) empty.push_back(name);
    std::sort(paths.begin(), paths.end());
    for (auto& path : paths) samples_.push_back({std::move(path), label->second});
  }
  if (!unknown.empty()) {
    fail_data_path(folder,
                   "classes of the label map, which has " + std::to_string(classes_.size()) +
                       " such as " + quote(classes_.empty() ? "" : classes_.front()),
                   joined_classes(unknown));
  }
  if (!empty.empty())
    fail_data_path(folder, "images in each class folder", "none in " + joined_classes(empty));
}

Sample ImageFolderDataset::get(int64_t index, RandomStream& random) const {
  const std::string name = path(index).string();
  const std::string bytes = read_file(name, kMaxImageBytes, FileKind::image);
  Sample sample;
  sample.arguments[options_.argument()] =
      augmentation_ ? (*augmentation_)(bytes, name, random)
                    : (*processor_)(decode_image(bytes, name)).images.at(0);
  sample.labels = torch::tensor(label(index), torch::kInt64);
  return sample;
}

std::string ImageFolderDataset::describe(int64_t index) const {
  return samples_.at(static_cast<std::size_t>(index)).path;
}

std::filesystem::path ImageFolderDataset::path(int64_t index) const {
  return folder_ / samples_.at(static_cast<std::size_t>(index)).path;
}

}  // namespace vizoo
