#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "vizoo/vision/image_processor_attributes.h"

namespace vizoo {

/// Attributes of Owlv2ImageProcessor under their names in preprocessor_config.json.
struct Owlv2ImageProcessorConfig : ImageProcessorAttributes {
  /// 960 x 960 pixels; CLIP's mean and deviation.
  Owlv2ImageProcessorConfig();

  bool do_pad = true;  ///< to a square, at the bottom and on the right
  /// What is padded with, in the range of the rescaled image. Without a value: 0.5 with the Pil
  /// backend, as Transformers 4.37 (and up to 4.57) has it; 0 with the Torchvision backend, as 5.x.
  /// Ours alone: written only if it was set.
  std::optional<double> pad_value;
  std::optional<bool> do_convert_rgb;  ///< without a value: true. Written by 5.x

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    ImageProcessorAttributes::fields(self, visit);
    visit("do_pad", self.do_pad);
    visit("pad_value", self.pad_value);
    visit("do_convert_rgb", self.do_convert_rgb);
  }

  /// As in the base; the size must be a height and a width.
  void check(const std::string& prefix = "") const;
};

/// Owlv2ImageProcessor of Transformers (image_processing_owlv2.py, 4.37.2); also read under the
/// names Owlv2ImageProcessorFast and Owlv2ImageProcessorPil.
///
/// Steps: rescale, pad to a square, resize to height x width, normalise. So boxes that a model
/// finds are relative to the padded square. `resample` is read and written, but not used: the
/// resize is bilinear. A plain number in `size` is a square.
/// - Pil backend: SciPy's Gaussian filter and zoom, bit by bit (gaussian_zoom), then each value is
///   clipped to the range of the padded image. uint8 images that are not rescaled stay uint8.
/// - Torchvision backend: the class of Transformers 5.17, which blurs by another kernel, only where
///   both axes shrink, clamps at the edges and does not clip. As there, the blur along the rows has
///   the strength that the heights ask for, and the other way round.
/// An image of other than three channels becomes RGB first (do_convert_rgb), which 4.37 refuses.
/// Throws ConfigError for a padded square of more than kDefaultMaxPixels: 1 x 20000 has too many.
class Owlv2ImageProcessor : public ImageProcessor {
 public:
  /// Throws ConfigError for values that make no sense.
  explicit Owlv2ImageProcessor(Owlv2ImageProcessorConfig config = {});

  /// From the text of a preprocessor_config.json, legacy forms included; `source` names the file
  /// in messages. Throws ConfigError.
  static std::unique_ptr<Owlv2ImageProcessor> from_json(std::string_view text,
                                                        const std::string& source);

  const Owlv2ImageProcessorConfig& config() const { return config_; }

  std::string type_name() const override { return "Owlv2ImageProcessor"; }
  ProcessorSettings settings() const override;
  bool square_sizes() const override { return true; }

 protected:
  ImageGeometry geometry(const ImageSize& image, const ProcessorSettings& settings) const override;
  BatchFeature process(std::vector<detail::WorkImage>& images,
                       const ProcessorSettings& settings,
                       const PreprocessOptions& options) const override;
  std::string attributes_json() const override;

 private:
  Owlv2ImageProcessorConfig config_;
};

}  // namespace vizoo
