// https://github.com/huggingface/transformers/blob/v4.37.2/src/transformers/models/bit/image_processing_bit.py
#include "vizoo/vision/bit_image_processor.h"

#include "vizoo/vision/processor_json.h"

namespace vizoo {

BitImageProcessorConfig::BitImageProcessorConfig() {
  image_mean = {0.48145466, 0.4578275, 0.40821073};
  image_std = {0.26862954, 0.26130258, 0.27577711};
  do_convert_rgb = true;
}

BitImageProcessor::BitImageProcessor(BitImageProcessorConfig config) : config_(std::move(config)) {
  config_.check();
}

std::unique_ptr<BitImageProcessor> BitImageProcessor::from_json(std::string_view text,
                                                                const std::string& source) {
  const Json json = detail::as_processor_error([&] { return parse_json(text, source); });
  auto config = detail::processor_config_from_json<BitImageProcessorConfig>(
      json, source, /*square_sizes=*/false);
  config.check(source + ": ");
  auto processor = std::make_unique<BitImageProcessor>(std::move(config));
  processor->loaded_json_ = json.dump();
  return processor;
}

ProcessorSettings BitImageProcessor::settings() const {
  auto settings = config_.settings(backend);
  settings.do_convert_rgb = config_.do_convert_rgb.value_or(false);
  return settings;
}

ImageGeometry BitImageProcessor::geometry(const ImageSize& image,
                                          const ProcessorSettings& settings) const {
  const auto crop = center_crop_size(settings);
  if (!settings.do_resize) return {std::nullopt, crop};
  if (backend == ImageBackend::Torchvision) return {torchvision_size(image, settings.size), crop};
  const auto edge = settings.size.find("shortest_edge");
  if (edge == settings.size.end()) {
    return {height_and_width(settings.size, "/size", kResizeKeys), crop};
  }
  return {shortest_edge_size(image, edge->second), crop};
}

std::string BitImageProcessor::attributes_json() const {
  return detail::without_absent(config_to_json(config_), loaded_json_, {"do_pad", "pad_size"})
      .dump();
}

}  // namespace vizoo
