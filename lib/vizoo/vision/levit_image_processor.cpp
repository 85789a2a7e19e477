// https://github.com/huggingface/transformers/blob/v4.37.2/src/transformers/models/levit/image_processing_levit.py
#include "vizoo/vision/levit_image_processor.h"

#include "vizoo/vision/processor_json.h"

namespace vizoo {
namespace {

// How much larger than the network's input the image is before the crop.
constexpr double kResizeRatio = 256.0 / 224.0;

}  // namespace

LevitImageProcessor::LevitImageProcessor(LevitImageProcessorConfig config)
    : config_(std::move(config)) {
  config_.check();
}

std::unique_ptr<LevitImageProcessor> LevitImageProcessor::from_json(std::string_view text,
                                                                    const std::string& source) {
  const Json json = detail::as_processor_error([&] { return parse_json(text, source); });
  auto config = detail::processor_config_from_json<LevitImageProcessorConfig>(
      json, source, /*square_sizes=*/false);
  config.check(source + ": ");
  auto processor = std::make_unique<LevitImageProcessor>(std::move(config));
  processor->loaded_json_ = json.dump();
  return processor;
}

ImageGeometry LevitImageProcessor::geometry(const ImageSize& image,
                                            const ProcessorSettings& settings) const {
  const auto crop = center_crop_size(settings);
  if (!settings.do_resize) return {std::nullopt, crop};
  const auto edge = settings.size.find("shortest_edge");
  if (edge == settings.size.end())
    return {height_and_width(settings.size, "/size", kResizeKeys), crop};
  const int64_t resized = truncated_edge(kResizeRatio * static_cast<double>(edge->second));
  return {shortest_edge_size(image, resized), crop};
}

std::string LevitImageProcessor::attributes_json() const {
  return detail::without_absent(
             config_to_json(config_), loaded_json_, {"do_convert_rgb", "do_pad", "pad_size"})
      .dump();
}

}  // namespace vizoo
