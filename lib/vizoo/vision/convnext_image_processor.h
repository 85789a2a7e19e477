#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vizoo/vision/image_processor.h"

namespace vizoo {

/// Attributes of ConvNextImageProcessor under their names in preprocessor_config.json.
struct ConvNextImageProcessorConfig {
  bool do_resize = true;
  SizeDict size{{"shortest_edge", 384}};
  double crop_pct = 224.0 / 256.0;  ///< in use for a shortest edge below 384 only
  int64_t resample = 2;             ///< Pillow's number: bilinear
  bool do_rescale = true;
  double rescale_factor = 1.0 / 255.0;
  bool do_normalize = true;
  std::vector<double> image_mean{0.5, 0.5, 0.5};
  std::vector<double> image_std{0.5, 0.5, 0.5};

  /// Keys of the file that no field claims, as JSON text; written back unchanged.
  std::map<std::string, std::string> unknown;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("do_resize", self.do_resize);
    visit("size", self.size);
    visit("crop_pct", self.crop_pct);
    visit("resample", self.resample);
    visit("do_rescale", self.do_rescale);
    visit("rescale_factor", self.rescale_factor);
    visit("do_normalize", self.do_normalize);
    visit("image_mean", self.image_mean);
    visit("image_std", self.image_std);
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
