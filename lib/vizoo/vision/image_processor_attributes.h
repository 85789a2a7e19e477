#pragma once

#include <cstdint>
#include <map>
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

}  // namespace vizoo
