// https://github.com/huggingface/transformers/blob/v4.37.2/src/transformers/models/owlv2/image_processing_owlv2.py
#include "vizoo/vision/owlv2_image_processor.h"

#include <algorithm>

#include "vizoo/vision/batch_feature.h"
#include "vizoo/vision/owlv2_steps.h"
#include "vizoo/vision/processor_json.h"

namespace vizoo {
namespace {

ImageSize canvas_of(const ImageSize& image, const ProcessorSettings& settings) {
  if (!settings.do_pad.value_or(false)) return image;
  const int64_t side = std::max(image.height, image.width);
  check_crop_size({side, side}, "/do_pad");
  return {side, side};
}

}  // namespace

Owlv2ImageProcessorConfig::Owlv2ImageProcessorConfig() {
  size = {{"height", 960}, {"width", 960}};
  image_mean = {0.48145466, 0.4578275, 0.40821073};
  image_std = {0.26862954, 0.26130258, 0.27577711};
}

void Owlv2ImageProcessorConfig::check(const std::string& prefix) const {
  ImageProcessorAttributes::check(prefix);
  height_and_width(size, prefix + "/size");
}

Owlv2ImageProcessor::Owlv2ImageProcessor(Owlv2ImageProcessorConfig config)
    : config_(std::move(config)) {
  config_.check();
}

std::unique_ptr<Owlv2ImageProcessor> Owlv2ImageProcessor::from_json(std::string_view text,
                                                                    const std::string& source) {
  Json json = detail::as_processor_error([&] { return parse_json(text, source); });
  // The name that early files had for it.
  const auto rescale = json.is_object() ? json.find("rescale") : json.end();
  if (rescale != json.end()) {
    json["do_rescale"] = *rescale;
    json.erase("rescale");
  }
  auto config = detail::processor_config_from_json<Owlv2ImageProcessorConfig>(
      json, source, /*square_sizes=*/true);
  config.check(source + ": ");
  auto processor = std::make_unique<Owlv2ImageProcessor>(std::move(config));
  processor->loaded_json_ = json.dump();
  return processor;
}

ProcessorSettings Owlv2ImageProcessor::settings() const {
  auto settings = config_.settings();
  settings.do_pad = config_.do_pad;
  settings.pad_value = config_.pad_value.value_or(backend == ImageBackend::Pil ? 0.5 : 0.0);
  settings.do_convert_rgb = config_.do_convert_rgb.value_or(true);
  return settings;
}

ImageGeometry Owlv2ImageProcessor::geometry(const ImageSize& /*image*/,
                                            const ProcessorSettings& settings) const {
  if (!settings.do_resize) return {};
  return {height_and_width(settings.size, "/size"), {}};
}

BatchFeature Owlv2ImageProcessor::process(std::vector<detail::WorkImage>& images,
                                          const ProcessorSettings& settings,
                                          const PreprocessOptions& options) const {
  const bool pil = backend == ImageBackend::Pil;
  const bool channels_first = options.data_format() == ChannelDimension::first;
  std::vector<ImageSize> canvases;
  std::vector<ImageSize> targets;
  std::vector<at::Tensor> made;  // by the Torchvision backend
  std::vector<detail::ImageForm> forms;
  for (const detail::WorkImage& image : images) {
    const ImageSize size = detail::size_of(image);
    canvases.push_back(canvas_of(size, settings));
    targets.push_back(geometry(size, settings).resize.value_or(canvases.back()));
    const ImageSize& target = targets.back();
    check_resize_target(target.height, target.width);
    const int64_t channels = detail::channels_of(image);
    if (!pil) made.push_back(detail::owlv2_torchvision(image, canvases.back(), target, settings));
    forms.push_back({{channels, target.height, target.width},
                     pil ? detail::owlv2_pil_type(image, settings) : made.back().scalar_type()});
    if (!channels_first) forms.back().shape = {target.height, target.width, channels};
  }
  BatchFeature feature = detail::empty_batch(forms, options);
  for (size_t i = 0; i < images.size(); ++i) {
    // A view, channels first whatever the layout of the result.
    at::Tensor out = channels_first ? feature.images[i] : feature.images[i].permute({2, 0, 1});
    if (pil) {
      detail::owlv2_pil(images[i], canvases[i], targets[i], settings, out);
    } else {
      out.copy_(made[i]);
    }
  }
  detail::finish_batch(feature, options);
  return feature;
}

std::string Owlv2ImageProcessor::attributes_json() const {
  return detail::without_absent(
             config_to_json(config_), loaded_json_, {"pad_value", "do_convert_rgb"})
      .dump();
}

}  // namespace vizoo
