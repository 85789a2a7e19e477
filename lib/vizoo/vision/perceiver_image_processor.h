#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vizoo/vision/image_processor_attributes.h"

namespace vizoo {

/// Attributes of PerceiverImageProcessor under their names in preprocessor_config.json.
struct PerceiverImageProcessorConfig : ImageProcessorAttributes {
  /// 224 x 224 pixels, bicubic; ImageNet's mean and deviation.
  PerceiverImageProcessorConfig();

  bool do_center_crop = true;
  SizeDict crop_size{{"height", 256}, {"width", 256}};  ///< no size: see the class
  std::optional<bool> do_convert_rgb;                   ///< without a value: false. Written by 5.x

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    ImageProcessorAttributes::fields(self, visit);
    visit("do_center_crop", self.do_center_crop);
    visit("crop_size", self.crop_size);
    visit("do_convert_rgb", self.do_convert_rgb);
  }

  /// As in the base, and `crop_size`.
  void check(const std::string& prefix = "") const;
};

/// PerceiverImageProcessor of Transformers (image_processing_perceiver.py, 4.37.2; with the
/// Torchvision backend that of 5.17); also read under the names PerceiverFeatureExtractor,
/// PerceiverImageProcessorFast and PerceiverImageProcessorPil.
///
/// Steps: centre crop, resize to size, rescale, normalise. The crop is not crop_size but, on each
/// axis, int(size / crop_size * min(height, width)): with the defaults 420 x 420 of an image of
/// 480 x 640. Where that is more than the image has, zeros surround it. A plain number in `size`
/// is a square. The Torchvision backend takes do_convert_rgb and, without the crop, all sizes that
/// `torchvision_size` does.
/// Throws ImageError for an image so small that nothing is left of it, as 1 x 1 is by default (of
/// which 4.37.2 makes a black one).
class PerceiverImageProcessor : public ImageProcessor {
 public:
  /// Throws ConfigError for values that make no sense.
  explicit PerceiverImageProcessor(PerceiverImageProcessorConfig config = {});

  /// From the text of a preprocessor_config.json, legacy forms included; `source` names the file
  /// in messages. Throws ConfigError.
  static std::unique_ptr<PerceiverImageProcessor> from_json(std::string_view text,
                                                            const std::string& source);

  const PerceiverImageProcessorConfig& config() const { return config_; }

  std::string type_name() const override { return "PerceiverImageProcessor"; }
  ProcessorSettings settings() const override;
  bool square_sizes() const override { return true; }

 protected:
  ImageGeometry geometry(const ImageSize& image, const ProcessorSettings& settings) const override;
  BatchFeature process(std::vector<detail::WorkImage>& images,
                       const ProcessorSettings& settings,
                       const PreprocessOptions& options) const override;
  std::string attributes_json() const override;

 private:
  PerceiverImageProcessorConfig config_;
};

}  // namespace vizoo
