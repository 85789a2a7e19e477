#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "vizoo/vision/image_processor.h"

namespace vizoo {

/// Attribute names and JSON texts.
using AttributeOverrides = std::map<std::string, std::string>;

/// How AutoImageProcessor loads.
struct ImageProcessorOptions {
  TORCH_ARG(ImageBackend, backend) = ImageBackend::Pil;
  TORCH_ARG(PassOrder, pass_order) = PassOrder::pillow13;
  /// Attributes to replace, as JSON text: {"size", "{\"shortest_edge\": 224}"}. Names that are no
  /// attribute of the class are a ConfigError that lists the attributes.
  TORCH_ARG(AttributeOverrides, overrides);
};

/// Picks the class of an image processor by its files.
struct AutoImageProcessor {
  /// `path`: a checkpoint's folder, or a preprocessor_config.json itself. The class is named by
  /// `image_processor_type`, else by `feature_extractor_type` (an older name), else by the
  /// `model_type` of config.json beside it. The suffixes ImageProcessor, ImageProcessorFast,
  /// ImageProcessorPil and FeatureExtractor all mean the same class: the backend is chosen by
  /// `options`, not by the file. Without a preprocessor_config.json the object `image_processor` of
  /// processor_config.json is read. Throws ConfigError.
  static std::unique_ptr<ImageProcessor> from_pretrained(const std::filesystem::path& path,
                                                         const ImageProcessorOptions& options = {});
};

/// Class names that AutoImageProcessor knows, e.g. "ConvNextImageProcessor".
std::vector<std::string> image_processor_types();

}  // namespace vizoo
