#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "vizoo/vision/image_processor_attributes.h"

namespace vizoo {

/// Attributes of ViTImageProcessor under their names in preprocessor_config.json.
struct ViTImageProcessorConfig : ImageProcessorAttributes {
  /// A square of 224 pixels.
  ViTImageProcessorConfig() { size = {{"height", 224}, {"width", 224}}; }
};

/// ViTImageProcessor of Transformers (image_processing_vit.py, 4.37.2), which NAT and DiNAT use;
/// also read under the names ViTFeatureExtractor, ViTImageProcessorFast and ViTImageProcessorPil.
///
/// Every image is warped to height x width, without a crop. A plain number in `size` is a square.
/// The Torchvision backend takes all that `torchvision_size` does, as the fast class.
class ViTImageProcessor : public ImageProcessor {
 public:
  /// Throws ConfigError for values that make no sense.
  explicit ViTImageProcessor(ViTImageProcessorConfig config = {});

  /// From the text of a preprocessor_config.json, legacy forms included; `source` names the file
  /// in messages. Throws ConfigError.
  static std::unique_ptr<ViTImageProcessor> from_json(std::string_view text,
                                                      const std::string& source);

  const ViTImageProcessorConfig& config() const { return config_; }

  std::string type_name() const override { return "ViTImageProcessor"; }
  ProcessorSettings settings() const override;
  bool square_sizes() const override { return true; }

 protected:
  ImageGeometry geometry(const ImageSize& image, const ProcessorSettings& settings) const override;
  std::string attributes_json() const override;

 private:
  ViTImageProcessorConfig config_;
};

}  // namespace vizoo
