#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "vizoo/vision/image_processor.h"

namespace vizoo {

/// The attributes that the image processors share, under their names in preprocessor_config.json.
/// A processor's config derives from this, adds its own and sets other defaults in its constructor.
struct ImageProcessorAttributes {
  bool do_resize = true;
  SizeDict size;
  int64_t resample = 2;  ///< Pillow's number: bilinear
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
    visit("resample", self.resample);
    visit("do_rescale", self.do_rescale);
    visit("rescale_factor", self.rescale_factor);
    visit("do_normalize", self.do_normalize);
    visit("image_mean", self.image_mean);
    visit("image_std", self.image_std);
  }

  /// Throws ConfigError unless `size` and `resample` make sense; `prefix` comes before the path.
  void check(const std::string& prefix = "") const;

  /// As the shared pipeline takes them.
  ProcessorSettings settings() const;
};

/// The attributes of the processors that resize the shorter edge and cut out the centre.
struct CroppingAttributes : ImageProcessorAttributes {
  /// A shortest edge of 224 pixels, bicubic; a crop of 224 x 224; ImageNet's mean and deviation.
  CroppingAttributes();

  bool do_center_crop = true;
  SizeDict crop_size{{"height", 224}, {"width", 224}};

  // What only the files of newer classes hold (Transformers 5.x). Without a value: not written.
  std::optional<bool> do_convert_rgb;
  std::optional<bool> do_pad;
  std::optional<SizeDict> pad_size;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    ImageProcessorAttributes::fields(self, visit);
    visit("do_center_crop", self.do_center_crop);
    visit("crop_size", self.crop_size);
    visit("do_convert_rgb", self.do_convert_rgb);
    visit("do_pad", self.do_pad);
    visit("pad_size", self.pad_size);
  }

  /// As in the base, and `crop_size` and `pad_size`.
  void check(const std::string& prefix = "") const;

  /// As the shared pipeline takes them. What only the fast classes have counts for the Torchvision
  /// backend alone.
  ProcessorSettings settings(ImageBackend backend) const;
};

/// Throws ConfigError that names `subject` unless `crop_pct` is finite and above 0.
void check_crop_pct(double crop_pct, const std::string& subject);

/// What a processor that resizes either way expects of `size`, for messages.
inline constexpr char kResizeKeys[] = "the key shortest_edge, or height and width";

/// The centre crop that `settings` ask for, if any. Throws ConfigError unless crop_size is a height
/// and a width of at most kDefaultMaxPixels together.
std::optional<ImageSize> center_crop_size(const ProcessorSettings& settings);

/// int(edge) in Python; lengths beyond any limit become one that the resize refuses.
int64_t truncated_edge(double edge);

}  // namespace vizoo
