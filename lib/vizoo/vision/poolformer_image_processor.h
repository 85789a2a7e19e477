#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "vizoo/vision/image_processor_attributes.h"

namespace vizoo {

/// Attributes of PoolFormerImageProcessor under their names in preprocessor_config.json; the other
/// defaults are those of CroppingAttributes.
struct PoolFormerImageProcessorConfig : CroppingAttributes {
  std::optional<double> crop_pct = 0.9;  ///< null: no margin around the crop

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    CroppingAttributes::fields(self, visit);
    visit("crop_pct", self.crop_pct);
  }

  /// As in the base, and `crop_pct`.
  void check(const std::string& prefix = "") const;
};

/// PoolFormerImageProcessor of Transformers (image_processing_poolformer.py, 4.37.2); also read
/// under the names PoolFormerFeatureExtractor, PoolFormerImageProcessorFast and
/// PoolFormerImageProcessorPil.
///
/// With crop_pct, {shortest_edge: s} and the square {height: s, width: s} resize the shorter side
/// to int(s / crop_pct), another {height, width} warps to the sides divided by crop_pct. Without
/// it the shorter side becomes s, or the image is warped to {height, width}. Then the centre
/// crop_size is cut out. A null crop_pct takes do_center_crop=false with the Pil backend, where
/// Transformers refuses the two together. The Torchvision backend also takes do_convert_rgb, do_pad
/// and pad_size.
class PoolFormerImageProcessor : public ImageProcessor {
 public:
  /// Throws ConfigError for values that make no sense.
  explicit PoolFormerImageProcessor(PoolFormerImageProcessorConfig config = {});

  /// From the text of a preprocessor_config.json, legacy forms included; `source` names the file
  /// in messages. Throws ConfigError.
  static std::unique_ptr<PoolFormerImageProcessor> from_json(std::string_view text,
                                                             const std::string& source);

  const PoolFormerImageProcessorConfig& config() const { return config_; }

  std::string type_name() const override { return "PoolFormerImageProcessor"; }
  ProcessorSettings settings() const override;

 protected:
  ImageGeometry geometry(const ImageSize& image, const ProcessorSettings& settings) const override;
  std::string attributes_json() const override;

 private:
  PoolFormerImageProcessorConfig config_;
};

}  // namespace vizoo
