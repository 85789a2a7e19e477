// https://github.com/huggingface/transformers/blob/v4.37.2/src/transformers/models/poolformer/image_processing_poolformer.py
#include "vizoo/vision/poolformer_image_processor.h"

#include "vizoo/vision/processor_json.h"

namespace vizoo {

void PoolFormerImageProcessorConfig::check(const std::string& prefix) const {
  CroppingAttributes::check(prefix);
  if (crop_pct) check_crop_pct(*crop_pct, prefix + "/crop_pct");
}

PoolFormerImageProcessor::PoolFormerImageProcessor(PoolFormerImageProcessorConfig config)
    : config_(std::move(config)) {
  config_.check();
}

std::unique_ptr<PoolFormerImageProcessor> PoolFormerImageProcessor::from_json(
    std::string_view text, const std::string& source) {
  const Json json = detail::as_processor_error([&] { return parse_json(text, source); });
  auto config = detail::processor_config_from_json<PoolFormerImageProcessorConfig>(
      json, source, /*square_sizes=*/false);
  // Here alone null is a value of its own, not a word for the default.
  const auto crop_pct = json.find("crop_pct");
  if (crop_pct != json.end() && crop_pct->is_null()) config.crop_pct.reset();
  config.check(source + ": ");
  auto processor = std::make_unique<PoolFormerImageProcessor>(std::move(config));
  processor->loaded_json_ = json.dump();
  return processor;
}

ProcessorSettings PoolFormerImageProcessor::settings() const {
  auto settings = config_.settings(backend);
  settings.crop_pct = config_.crop_pct;
  return settings;
}

ImageGeometry PoolFormerImageProcessor::geometry(const ImageSize& image,
                                                 const ProcessorSettings& settings) const {
  const auto crop = center_crop_size(settings);
  if (backend == ImageBackend::Pil && crop && !settings.crop_pct) {
    throw ConfigError("processor",
                      "/crop_pct",
                      "a number above 0 where do_center_crop is true",
                      "null",
                      "The Torchvision backend takes null");
  }
  if (!settings.do_resize) return {std::nullopt, crop};
  const auto enlarged = [&](int64_t side) {
    return settings.crop_pct ? truncated_edge(static_cast<double>(side) / *settings.crop_pct)
                             : side;
  };
  const auto edge = settings.size.find("shortest_edge");
  if (edge != settings.size.end()) {
    const auto longest = settings.size.find("longest_edge");
    if (backend == ImageBackend::Torchvision && !settings.crop_pct &&
        longest != settings.size.end()) {
      return {bounded_edge_size(image, edge->second, longest->second), crop};
    }
    return {shortest_edge_size(image, enlarged(edge->second)), crop};
  }
  const ImageSize size = height_and_width(settings.size, "/size", kResizeKeys);
  if (settings.crop_pct && size.height == size.width) {
    return {shortest_edge_size(image, enlarged(size.height)), crop};
  }
  return {ImageSize{enlarged(size.height), enlarged(size.width)}, crop};
}

std::string PoolFormerImageProcessor::attributes_json() const {
  return detail::without_absent(
             config_to_json(config_), loaded_json_, {"do_convert_rgb", "do_pad", "pad_size"})
      .dump();
}

}  // namespace vizoo
