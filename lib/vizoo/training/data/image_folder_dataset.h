#pragma once

#include <torch/arg.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vizoo/training/data/image_augmentation.h"
#include "vizoo/training/dataset.h"
#include "vizoo/training/head_labels.h"
#include "vizoo/vision/image_processor.h"

namespace vizoo {

/// Options of ImageFolderDataset.
struct ImageFolderOptions {
  /// Indices of the classes. Without it classes are numbered in the order of their names.
  TORCH_ARG(std::optional<LabelMap>, label2id);
  /// For training. Without it images are what the image processor makes of them.
  TORCH_ARG(std::optional<ImageAugmentationOptions>, augmentation);
  /// What forward calls the images: "pixel_values", or "inputs" for the Perceiver.
  TORCH_ARG(std::string, argument) = "pixel_values";
};

/// Images in a folder for each class, `folder/class/name.jpg`, as torchvision's ImageFolder: the
/// samples are sorted by class and then by path, byte by byte, and classes are numbered in the
/// order of their names unless a label map says otherwise. Folders within a class belong to it.
///
/// Files are JPEG, PNG, BMP, WebP and TIFF, by the suffixes jpg, jpeg, png, bmp, webp, tif and tiff
/// in any case; other files, and names that begin with a dot, are ignored. A sample is the image,
/// float32 [3, H, W], and the class, 0-d int64.
class ImageFolderDataset : public Dataset {
 public:
  /// Lists the folder; images are read by get(). Throws UsageError for a folder that is missing or
  /// has no classes, image files outside of a class, classes without images (all are named), class
  /// names that are no valid UTF-8, classes that the label map lacks (all are named), a label map
  /// whose indices are not 0 to C - 1, each once, and augmentation options out of range;
  /// ConfigError as ImageAugmentation.
  ImageFolderDataset(const std::filesystem::path& folder,
                     std::shared_ptr<const ImageProcessor> processor,
                     const ImageFolderOptions& options = {});

  int64_t size() const override { return static_cast<int64_t>(samples_.size()); }

  /// Throws ImageError for a file that cannot be read.
  Sample get(int64_t index, RandomStream& random) const override;

  /// Path below the folder: "cat/001.jpg".
  std::string describe(int64_t index) const override;

  /// Class names by index: config.json's `id2label`. With a label map its names, also those that
  /// the folder has no images of.
  const std::vector<std::string>& classes() const { return classes_; }

  /// Class of a sample, without reading it.
  int64_t label(int64_t index) const { return samples_.at(static_cast<size_t>(index)).label; }

  std::filesystem::path path(int64_t index) const;

 private:
  struct Entry {
    std::string path;  // below the folder
    int64_t label;
  };

  std::filesystem::path folder_;
  std::shared_ptr<const ImageProcessor> processor_;
  ImageFolderOptions options_;
  std::optional<ImageAugmentation> augmentation_;
  std::vector<std::string> classes_;
  std::vector<Entry> samples_;
};

}  // namespace vizoo
