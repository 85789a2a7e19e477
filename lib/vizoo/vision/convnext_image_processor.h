#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "vizoo/vision/image_processor_attributes.h"

namespace vizoo {

/// Attributes of ConvNextImageProcessor under their names in preprocessor_config.json.
struct ConvNextImageProcessorConfig : ImageProcessorAttributes {
  /// A shortest edge of 384 pixels.
  ConvNextImageProcessorConfig() { size = {{"shortest_edge", 384}}; }

  double crop_pct = 224.0 / 256.0;  ///< in use for a shortest edge below 384 only

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    ImageProcessorAttributes::fields(self, visit);
    visit("crop_pct", self.crop_pct);
  }
};

/// ConvNextImageProcessor of Transformers (image_processing_convnext.py, 4.37.2); also read under
/// the names ConvNextFeatureExtractor, ConvNextImageProcessorFast and ConvNextImageProcessorPil.
///
/// A shortest edge s below 384: the shorter side is resized to int(s / crop_pct), then the centre
/// s x s is cut out. 384 and more: the image is warped to s x s without a crop. The crop belongs to
/// do_resize: without it there is none.
class ConvNextImageProcessor : public ImageProcessor {
 public:
  /// Throws ConfigError for values that make no sense.
  explicit ConvNextImageProcessor(ConvNextImageProcessorConfig config = {});

  /// From the text of a preprocessor_config.json, legacy forms included; `source` names the file
  /// in messages. Missing keys take the defaults of the class that the text names: the Fast class
  /// resizes bicubically where the JSON does not say. Throws ConfigError.
  static std::unique_ptr<ConvNextImageProcessor> from_json(std::string_view text,
                                                           const std::string& source);

  const ConvNextImageProcessorConfig& config() const { return config_; }

  std::string type_name() const override { return "ConvNextImageProcessor"; }
  ProcessorSettings settings() const override;

 protected:
  ImageGeometry geometry(const ImageSize& image, const ProcessorSettings& settings) const override;
  std::string attributes_json() const override;

 private:
  ConvNextImageProcessorConfig config_;
};

}  // namespace vizoo
