#include "vizoo/vision/image_processor_attributes.h"

#include "vizoo/vision/processor_json.h"

namespace vizoo {

void ImageProcessorAttributes::check(const std::string& prefix) const {
  check_size_dict(size, prefix + "/size");
  detail::resample_from_integer(resample, prefix + "/resample");
}

ProcessorSettings ImageProcessorAttributes::settings() const {
  ProcessorSettings settings;
  settings.do_resize = do_resize;
  settings.size = size;
  settings.resample = static_cast<Resample>(resample);
  settings.do_rescale = do_rescale;
  settings.rescale_factor = rescale_factor;
  settings.do_normalize = do_normalize;
  settings.image_mean = image_mean;
  settings.image_std = image_std;
  return settings;
}

}  // namespace vizoo
