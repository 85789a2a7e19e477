#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "vizoo/core/config.h"
#include "vizoo/export/torchscript.h"
#include "vizoo/tasks/image_classification.h"
#include "vizoo/vision/auto_image_processor.h"

namespace vizoo::serve {

/// An image classifier that `vizoo export` wrote: the model, and from the files in its archive the
/// image processor and the labels. Many threads may share one; so they share its weights.
class Classifier {
 public:
  /// Throws UsageError without `trust_code`, as loading TorchScript executes what the file says;
  /// CheckpointError if it is no exported classifier, ConfigError for damaged files in it.
  Classifier(const std::filesystem::path& archive, bool trust_code);

  /// An image file as the model wants it: [1, C, H, W], float32. Photos are turned upright, as
  /// `vizoo classify` does. Throws ImageError.
  torch::Tensor preprocess(std::string_view image) const;

  /// The best labels of each image, best first. pixel_values: [B, C, H, W].
  std::vector<std::vector<Classification>> classify(const torch::Tensor& pixel_values,
                                                    int64_t top_k) const;

  /// Runs on black pictures, alone and `batch` of them: the first runs compile the TorchScript.
  void warm_up(int64_t batch) const;

 private:
  mutable ExportedModel exported_;  // running a module does not change it
  std::size_t logits_;              // place in the tuple of outputs; a dict is asked by name
  PretrainedConfig config_;
  std::unique_ptr<ImageProcessor> processor_;
};

}  // namespace vizoo::serve
