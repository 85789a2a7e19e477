#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "vizoo/vision/image_processor_attributes.h"

namespace vizoo {

/// Attributes of LevitImageProcessor under their names in preprocessor_config.json; the defaults
/// are those of CroppingAttributes.
struct LevitImageProcessorConfig : CroppingAttributes {};

/// LevitImageProcessor of Transformers (image_processing_levit.py, 4.37.2; with the Torchvision
/// backend that of 5.17, once LevitImageProcessorFast); also read under the names
/// LevitFeatureExtractor, LevitImageProcessorFast and LevitImageProcessorPil.
///
/// {shortest_edge: s} resizes the shorter side to int(256 / 224 * s), {height, width} warps to just
/// that; then the centre crop_size is cut out. The Torchvision backend also takes do_convert_rgb,
/// do_pad and pad_size.
class LevitImageProcessor : public ImageProcessor {
 public:
  /// Throws ConfigError for values that make no sense.
  explicit LevitImageProcessor(LevitImageProcessorConfig config = {});

  /// From the text of a preprocessor_config.json, legacy forms included; `source` names the file
  /// in messages. Throws ConfigError.
  static std::unique_ptr<LevitImageProcessor> from_json(std::string_view text,
                                                        const std::string& source);

  const LevitImageProcessorConfig& config() const { return config_; }

  std::string type_name() const override { return "LevitImageProcessor"; }
  ProcessorSettings settings() const override { return config_.settings(backend); }

 protected:
  ImageGeometry geometry(const ImageSize& image, const ProcessorSettings& settings) const override;
  std::string attributes_json() const override;

 private:
  LevitImageProcessorConfig config_;
};

}  // namespace vizoo
