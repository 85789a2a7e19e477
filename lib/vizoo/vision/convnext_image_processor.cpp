// https://github.com/huggingface/transformers/blob/v4.37.2/src/transformers/models/convnext/image_processing_convnext.py
#include "vizoo/vision/convnext_image_processor.h"

#include "vizoo/vision/processor_json.h"

namespace vizoo {
namespace {

// From this size on ConvNeXT is evaluated on the whole, warped image.
constexpr int64_t kWarpSize = 384;

}  // namespace

ConvNextImageProcessor::ConvNextImageProcessor(ConvNextImageProcessorConfig config)
    : config_(std::move(config)) {
  config_.check();
}

std::unique_ptr<ConvNextImageProcessor> ConvNextImageProcessor::from_json(
    std::string_view text, const std::string& source) {
  Json json = detail::as_processor_error([&] { return parse_json(text, source); });
  const Json loaded = json;
  if (json.is_object() && !json.contains("resample") &&
      json.value("image_processor_type", Json()) == "ConvNextImageProcessorFast") {
    json["resample"] = static_cast<int64_t>(Resample::bicubic);
  }
  auto config = detail::processor_config_from_json<ConvNextImageProcessorConfig>(
      json, source, /*square_sizes=*/false);
  config.check(source + ": ");
  auto processor = std::make_unique<ConvNextImageProcessor>(std::move(config));
  processor->loaded_json_ = loaded.dump();
  return processor;
}

ProcessorSettings ConvNextImageProcessor::settings() const {
  auto settings = config_.settings();
  settings.crop_pct = config_.crop_pct;
  if (backend == ImageBackend::Torchvision) settings.do_convert_rgb = false;
  return settings;
}

ImageGeometry ConvNextImageProcessor::geometry(const ImageSize& image,
                                               const ProcessorSettings& settings) const {
  if (!settings.do_resize) return {};
  const auto found = settings.size.find("shortest_edge");
  if (found == settings.size.end()) {
    throw ConfigError("processor", "/size", "the key shortest_edge", "other keys");
  }
  const int64_t edge = found->second;
  const ImageSize square{edge, edge};
  if (edge >= kWarpSize) return {square, std::nullopt};
  const int64_t resized =
      truncated_edge(static_cast<double>(edge) / settings.crop_pct.value_or(1.0));
  return {shortest_edge_size(image, resized), square};
}

std::string ConvNextImageProcessor::attributes_json() const {
  return config_to_json(config_).dump();
}

}  // namespace vizoo
