#pragma once

#include <torch/arg.h>

#include <filesystem>
#include <string>
#include <vector>

#include "vizoo/training/dataset.h"
#include "vizoo/vision/image_transforms.h"

namespace vizoo {

/// Two frames and the flow from the first to the second.
struct FlowFiles {
  std::filesystem::path first;
  std::filesystem::path second;
  std::filesystem::path flow;
};

/// Options of FlowDataset.
struct FlowDatasetOptions {
  /// Height and width that frames are cropped to: the model's train_size.
  TORCH_ARG(ImageSize, size) = (ImageSize{368, 496});
  /// A crop at a uniform place, for training; off, around the centre.
  TORCH_ARG(bool, random_crop) = false;
};

/// Pairs from a text file or a folder.
///
/// A text file has three paths a line, first frame, second frame and flow, separated by blanks or,
/// if there are any, tabs, and relative to the folder of the file; empty lines and those that begin
/// with # are ignored. A folder is searched through:
/// - FlyingChairs: NAME_img1.ppm, NAME_img2.ppm and NAME_flow.flo (or .png, .jpg, ...) together;
/// - Sintel: a folder `flow` with scene/frame_0001.flo, and beside it `clean`, `final` or both with
///   scene/frame_0001.png, scene/frame_0002.png, ...; clean first;
/// - frames and flow together: frame_0001.png, frame_0002.png and frame_0001.flo, where the second
///   frame is the one of the next number.
/// Sorted by path. Throws UsageError for a list or folder that is missing or has no pairs, for
/// lines of other than three paths, and for a flow file without its frames.
std::vector<FlowFiles> find_flow_files(const std::filesystem::path& path);

/// Optical flow for PerceiverForOpticalFlow. A sample has the argument inputs, float32 [2, 27, H,
/// W], as flow_patches of tasks/optical_flow.h makes it of the cropped frames, and as labels the
/// flow in pixels to the right and down, float32 [H, W, 2]. Values beyond 1e9, which .flo files
/// have where the flow is unknown, become NaN.
class FlowDataset : public Dataset {
 public:
  /// Throws UsageError for no pairs and a size below 1.
  FlowDataset(std::vector<FlowFiles> pairs, const FlowDatasetOptions& options = {});

  int64_t size() const override { return static_cast<int64_t>(pairs_.size()); }

  /// Throws ImageError for files that cannot be read, differ in size or are smaller than the crop.
  Sample get(int64_t index, RandomStream& random) const override;

  /// Path of the flow file.
  std::string describe(int64_t index) const override;

  const FlowFiles& files(int64_t index) const { return pairs_.at(static_cast<size_t>(index)); }

 private:
  std::vector<FlowFiles> pairs_;
  FlowDatasetOptions options_;
};

}  // namespace vizoo
