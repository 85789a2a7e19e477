// https://github.com/huggingface/transformers/blob/v4.37.2/src/transformers/models/vit/image_processing_vit.py
#include "vizoo/vision/vit_image_processor.h"

#include "vizoo/vision/processor_json.h"

namespace vizoo {

ViTImageProcessor::ViTImageProcessor(ViTImageProcessorConfig config) : config_(std::move(config)) {
  config_.check();
}

std::unique_ptr<ViTImageProcessor> ViTImageProcessor::from_json(std::string_view text,
                                                                const std::string& source) {
  const Json json = detail::as_processor_error([&] { return parse_json(text, source); });
  auto config = detail::processor_config_from_json<ViTImageProcessorConfig>(
      json, source, /*square_sizes=*/true);
  config.check(source + ": ");
  auto processor = std::make_unique<ViTImageProcessor>(std::move(config));
  processor->loaded_json_ = json.dump();
  return processor;
}

ProcessorSettings ViTImageProcessor::settings() const {
  auto settings = config_.settings();
  if (backend == ImageBackend::Torchvision) {
    settings.do_convert_rgb = false;
    settings.do_pad = false;
  }
  return settings;
}

ImageGeometry ViTImageProcessor::geometry(const ImageSize& image,
                                          const ProcessorSettings& settings) const {
  if (!settings.do_resize) return {};
  if (backend == ImageBackend::Torchvision) return {torchvision_size(image, settings.size), {}};
  return {height_and_width(settings.size, "/size"), {}};
}

std::string ViTImageProcessor::attributes_json() const { return config_to_json(config_).dump(); }

}  // namespace vizoo
