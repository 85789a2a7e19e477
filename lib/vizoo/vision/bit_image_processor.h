#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "vizoo/vision/image_processor_attributes.h"

namespace vizoo {

/// Attributes of BitImageProcessor under their names in preprocessor_config.json; the other
/// defaults are those of CroppingAttributes.
struct BitImageProcessorConfig : CroppingAttributes {
  /// CLIP's mean and deviation; images become RGB.
  BitImageProcessorConfig();
};

/// BitImageProcessor of Transformers (image_processing_bit.py, 4.37.2), which DINOv2 uses; also
/// read under the names BitImageProcessorFast and BitImageProcessorPil.
///
/// {shortest_edge: s} resizes the shorter side to s, {height, width} warps to just that; then the
/// centre crop_size is cut out. do_convert_rgb makes images of one, two or four channels RGB first;
/// tensors are taken as they are. The Torchvision backend takes all that `torchvision_size` does,
/// do_pad and pad_size.
class BitImageProcessor : public ImageProcessor {
 public:
  /// Throws ConfigError for values that make no sense.
  explicit BitImageProcessor(BitImageProcessorConfig config = {});

  /// From the text of a preprocessor_config.json, legacy forms included; `source` names the file
  /// in messages. Throws ConfigError.
  static std::unique_ptr<BitImageProcessor> from_json(std::string_view text,
                                                      const std::string& source);

  const BitImageProcessorConfig& config() const { return config_; }

  std::string type_name() const override { return "BitImageProcessor"; }
  ProcessorSettings settings() const override;

 protected:
  ImageGeometry geometry(const ImageSize& image, const ProcessorSettings& settings) const override;
  std::string attributes_json() const override;

 private:
  BitImageProcessorConfig config_;
};

}  // namespace vizoo
