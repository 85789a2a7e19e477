#include "vizoo/vision/image_processor_attributes.h"

#include <algorithm>
#include <cmath>
#include <sstream>

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

CroppingAttributes::CroppingAttributes() {
  size = {{"shortest_edge", 224}};
  resample = static_cast<int64_t>(Resample::bicubic);
  image_mean = {0.485, 0.456, 0.406};
  image_std = {0.229, 0.224, 0.225};
}

void CroppingAttributes::check(const std::string& prefix) const {
  ImageProcessorAttributes::check(prefix);
  check_size_dict(crop_size, prefix + "/crop_size");
  if (pad_size) check_size_dict(*pad_size, prefix + "/pad_size");
}

ProcessorSettings CroppingAttributes::settings(ImageBackend backend) const {
  ProcessorSettings settings = ImageProcessorAttributes::settings();
  settings.do_center_crop = do_center_crop;
  settings.crop_size = crop_size;
  if (backend == ImageBackend::Torchvision) {
    settings.do_convert_rgb = do_convert_rgb.value_or(false);
    settings.do_pad = do_pad.value_or(false);
    settings.pad_size = pad_size;
  }
  return settings;
}

void check_crop_pct(double crop_pct, const std::string& subject) {
  if (crop_pct > 0 && std::isfinite(crop_pct)) return;
  std::ostringstream got;
  got << crop_pct;
  throw ConfigError("processor", subject, "a number above 0", got.str());
}

std::optional<ImageSize> center_crop_size(const ProcessorSettings& settings) {
  if (!settings.do_center_crop || !settings.crop_size) return std::nullopt;
  const ImageSize size = height_and_width(*settings.crop_size, "/crop_size");
  check_crop_size(size, "/crop_size");
  return size;
}

int64_t truncated_edge(double edge) {
  return static_cast<int64_t>(std::min(edge, static_cast<double>(kDefaultMaxPixels) + 1));
}

}  // namespace vizoo
