#include "vizoo/vision/image_processor.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <sstream>

#include "vizoo/core/error.h"
#include "vizoo/vision/batch_feature.h"
#include "vizoo/vision/image.h"
#include "vizoo/vision/image_processor_attributes.h"
#include "vizoo/vision/processor_json.h"
#include "vizoo/vision/work_image.h"

namespace vizoo {
namespace {

using detail::WorkImage;

ProcessorSettings merge_options(ProcessorSettings settings, const PreprocessOptions& options) {
  const auto take = [](auto& target, const auto& value) {
    if (value) target = *value;
  };
  take(settings.do_resize, options.do_resize());
  take(settings.size, options.size());
  take(settings.resample, options.resample());
  take(settings.crop_pct, options.crop_pct());
  take(settings.do_center_crop, options.do_center_crop());
  take(settings.crop_size, options.crop_size());
  take(settings.do_rescale, options.do_rescale());
  take(settings.rescale_factor, options.rescale_factor());
  take(settings.do_normalize, options.do_normalize());
  take(settings.image_mean, options.image_mean());
  take(settings.image_std, options.image_std());
  if (settings.do_convert_rgb) take(settings.do_convert_rgb, options.do_convert_rgb());
  if (settings.do_pad) {
    take(settings.do_pad, options.do_pad());
    take(settings.pad_size, options.pad_size());
  }
  if (settings.pad_value) take(settings.pad_value, options.pad_value());
  return settings;
}

void check_finite(double value, const char* subject) {
  if (std::isfinite(value)) return;
  std::ostringstream got;
  got << value;
  throw ConfigError("processor", subject, "a finite number", got.str());
}

void check_settings(const ProcessorSettings& settings) {
  check_size_dict(settings.size, "/size");
  if (settings.crop_size) check_size_dict(*settings.crop_size, "/crop_size");
  if (settings.crop_pct) check_crop_pct(*settings.crop_pct, "/crop_pct");
  check_finite(settings.rescale_factor, "/rescale_factor");
  check_finite(settings.pad_value.value_or(0), "/pad_value");
  if (settings.pad_size) check_size_dict(*settings.pad_size, "/pad_size");
  if (settings.pad_size && settings.do_pad.value_or(false)) {
    check_crop_size(height_and_width(*settings.pad_size, "/pad_size"), "/pad_size");
  }
}

void check_device(const std::optional<at::Device>& device) {
  if (!device || device->is_cpu()) return;
  if (device->is_cuda() && at::hasCUDA() &&
      device->index() < static_cast<int64_t>(at::getNumGPUs())) {
    return;
  }
  throw ConfigError(
      "processor", "/device", "cpu or a CUDA device that is there", quote(device->str()));
}

}  // namespace

ImageProcessor::~ImageProcessor() = default;

BatchFeature ImageProcessor::operator()(const cv::Mat& image,
                                        const PreprocessOptions& options) const {
  return (*this)(std::vector<cv::Mat>{image}, options);
}

BatchFeature ImageProcessor::operator()(const std::vector<cv::Mat>& images,
                                        const PreprocessOptions& options) const {
  const ProcessorSettings settings = merge_options(this->settings(), options);
  check_settings(settings);
  check_device(options.device());
  if (images.empty()) throw ImageError("image", "images", "at least one image", "none");
  std::vector<WorkImage> work(images.size());
  for (size_t i = 0; i < images.size(); ++i) {
    image_view(images[i]);  // throws for what is not an 8-bit image
    work[i].bytes = settings.do_convert_rgb.value_or(false) ? detail::to_rgb(images[i]) : images[i];
  }
  return process(work, settings, options);
}

BatchFeature ImageProcessor::operator()(const at::Tensor& image,
                                        const PreprocessOptions& options) const {
  if (image.defined() && image.dim() == 4) return (*this)(image.unbind(0), options);
  return (*this)(std::vector<at::Tensor>{image}, options);
}

BatchFeature ImageProcessor::operator()(const std::vector<at::Tensor>& images,
                                        const PreprocessOptions& options) const {
  const at::NoGradGuard no_grad;
  const ProcessorSettings settings = merge_options(this->settings(), options);
  check_settings(settings);
  check_device(options.device());
  if (images.empty()) throw ImageError("image", "images", "at least one image", "none");
  const at::Tensor first = detail::supported_tensor(images[0]);
  const ChannelDimension layout =
      options.input_data_format() ? *options.input_data_format() : infer_channel_dimension(first);
  std::vector<WorkImage> work;
  std::vector<at::Tensor> keep_alive(images.size());
  for (size_t i = 0; i < images.size(); ++i) {
    work.push_back(detail::work_image(detail::supported_tensor(images[i]), layout, keep_alive[i]));
  }
  return process(work, settings, options);
}

BatchFeature ImageProcessor::process(std::vector<WorkImage>& images,
                                     const ProcessorSettings& settings,
                                     const PreprocessOptions& options) const {
  for (WorkImage& image : images) {
    detail::apply_geometry(
        image, geometry(detail::size_of(image), settings), settings, backend, pass_order);
  }
  return detail::assemble(images, settings, options, backend);
}

std::string ImageProcessor::to_json() const {
  Json json = detail::restore_forms(parse_json(attributes_json(), "attributes"),
                                    parse_json(loaded_json_, "loaded values"));
  json["image_processor_type"] = type_name();
  return dump_json(json);
}

void ImageProcessor::save_pretrained(const std::filesystem::path& directory) const {
  std::error_code code;
  std::filesystem::create_directories(directory, code);
  if (code) {
    throw ConfigError(
        "processor", printable(directory.string()), "a folder that can be made", code.message());
  }
  write_file_atomically(directory / "preprocessor_config.json", to_json(), FileKind::config);
}

}  // namespace vizoo
