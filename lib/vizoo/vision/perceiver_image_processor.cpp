// https://github.com/huggingface/transformers/blob/v4.37.2/src/transformers/models/perceiver/image_processing_perceiver.py
#include "vizoo/vision/perceiver_image_processor.h"

#include <algorithm>

#include "vizoo/vision/batch_feature.h"
#include "vizoo/vision/processor_json.h"

namespace vizoo {
namespace {

int64_t cropped_edge(int64_t size, int64_t crop_size, int64_t shorter_side) {
  return truncated_edge(static_cast<double>(size) / static_cast<double>(crop_size) *
                        static_cast<double>(shorter_side));
}

ImageSize crop_of(const ImageSize& image, const ProcessorSettings& settings) {
  const ImageSize size = height_and_width(settings.size, "/size");
  const ImageSize crop_size = height_and_width(*settings.crop_size, "/crop_size");
  const int64_t shorter_side = std::min(image.height, image.width);
  const ImageSize crop{cropped_edge(size.height, crop_size.height, shorter_side),
                       cropped_edge(size.width, crop_size.width, shorter_side)};
  if (crop.height < 1 || crop.width < 1) {
    throw ImageError("image",
                     "size",
                     "a shorter side of which size / crop_size leaves a pixel",
                     std::to_string(image.height) + " x " + std::to_string(image.width));
  }
  return crop;
}

}  // namespace

PerceiverImageProcessorConfig::PerceiverImageProcessorConfig() {
  size = {{"height", 224}, {"width", 224}};
  resample = static_cast<int64_t>(Resample::bicubic);
  image_mean = {0.485, 0.456, 0.406};
  image_std = {0.229, 0.224, 0.225};
}

void PerceiverImageProcessorConfig::check(const std::string& prefix) const {
  ImageProcessorAttributes::check(prefix);
  check_size_dict(crop_size, prefix + "/crop_size");
}

PerceiverImageProcessor::PerceiverImageProcessor(PerceiverImageProcessorConfig config)
    : config_(std::move(config)) {
  config_.check();
}

std::unique_ptr<PerceiverImageProcessor> PerceiverImageProcessor::from_json(
    std::string_view text, const std::string& source) {
  const Json json = detail::as_processor_error([&] { return parse_json(text, source); });
  auto config = detail::processor_config_from_json<PerceiverImageProcessorConfig>(
      json, source, /*square_sizes=*/true);
  config.check(source + ": ");
  auto processor = std::make_unique<PerceiverImageProcessor>(std::move(config));
  processor->loaded_json_ = json.dump();
  return processor;
}

ProcessorSettings PerceiverImageProcessor::settings() const {
  auto settings = config_.settings();
  settings.do_center_crop = config_.do_center_crop;
  settings.crop_size = config_.crop_size;
  if (backend == ImageBackend::Torchvision) {
    settings.do_convert_rgb = config_.do_convert_rgb.value_or(false);
  }
  return settings;
}

ImageGeometry PerceiverImageProcessor::geometry(const ImageSize& image,
                                                const ProcessorSettings& settings) const {
  ImageGeometry geometry;
  if (settings.do_center_crop) geometry.crop = crop_of(image, settings);
  if (settings.do_resize) {
    geometry.resize = backend == ImageBackend::Torchvision
                          ? torchvision_size(image, settings.size)
                          : height_and_width(settings.size, "/size");
  }
  return geometry;
}

BatchFeature PerceiverImageProcessor::process(std::vector<detail::WorkImage>& images,
                                              const ProcessorSettings& settings,
                                              const PreprocessOptions& options) const {
  for (detail::WorkImage& image : images) {
    const ImageGeometry target = geometry(detail::size_of(image), settings);
    detail::apply_geometry(image, {std::nullopt, target.crop}, settings, backend, pass_order);
    detail::apply_geometry(image, {target.resize, std::nullopt}, settings, backend, pass_order);
  }
  return detail::assemble(images, settings, options, backend);
}

std::string PerceiverImageProcessor::attributes_json() const {
  return detail::without_absent(config_to_json(config_), loaded_json_, {"do_convert_rgb"}).dump();
}

}  // namespace vizoo
