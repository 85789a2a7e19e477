#pragma once

#include <filesystem>
#include <vector>

#include "vizoo/training/data/coco_detection_dataset.h"

namespace vizoo::detail {

/// What a file in COCO's format holds: images with their annotations in the order of the file,
/// categories by id, and how many boxes were left out.
struct CocoFile {
  std::vector<CocoImage> images;
  std::vector<CocoCategory> categories;
  int64_t degenerate = 0;
};

/// Reads and checks it as CocoDetectionDataset says. Only what is used is kept in memory.
CocoFile read_coco_file(const std::filesystem::path& path, bool skip_degenerate);

}  // namespace vizoo::detail
