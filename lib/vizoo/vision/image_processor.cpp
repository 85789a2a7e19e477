#include "vizoo/vision/image_processor.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <sstream>

#include "vizoo/core/error.h"
#include "vizoo/vision/image.h"
#include "vizoo/vision/pixel_table.h"
#include "vizoo/vision/processor_json.h"

namespace vizoo {
namespace {

using detail::PixelTable;

std::string size_text(const ImageSize& size) {
  return std::to_string(size.height) + " x " + std::to_string(size.width);
}

ProcessorSettings merge(ProcessorSettings settings, const PreprocessOptions& options) {
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
  return settings;
}

void check_settings(const ProcessorSettings& settings) {
  check_size_dict(settings.size, "/size");
  if (settings.crop_size) check_size_dict(*settings.crop_size, "/crop_size");
  const auto number = [](double value) {
    std::ostringstream text;
    text << value;
    return text.str();
  };
  if (settings.crop_pct && !(*settings.crop_pct > 0 && std::isfinite(*settings.crop_pct))) {
    throw ConfigError("processor", "/crop_pct", "a number above 0", number(*settings.crop_pct));
  }
  if (!std::isfinite(settings.rescale_factor)) {
    throw ConfigError(
        "processor", "/rescale_factor", "a finite number", number(settings.rescale_factor));
  }
}

// An image on its way: uint8 with channels last, or floating as it came, channels first.
struct WorkImage {
  cv::Mat bytes;               // empty if `floating` is in use
  bool scaled_by_255 = false;  // the bytes stand for values in 0..1
  at::Tensor floating;
};

ImageSize size_of(const WorkImage& image) {
  if (!image.bytes.empty()) return {image.bytes.rows, image.bytes.cols};
  return {image.floating.size(1), image.floating.size(2)};
}

int64_t channels_of(const WorkImage& image) {
  return image.bytes.empty() ? image.floating.size(0) : image.bytes.channels();
}

// A matrix over the memory of a uint8 tensor [H, W, C], which must outlive it.
cv::Mat matrix_view(const at::Tensor& tensor) {
  if (tensor.size(2) < 1 || tensor.size(2) > 4) {
    throw ImageError("image", "tensor", "1 to 4 channels", std::to_string(tensor.size(2)));
  }
  if (tensor.size(0) > INT32_MAX || tensor.size(1) > INT32_MAX || tensor.numel() == 0) {
    throw ImageError("image", "tensor", "at least one pixel", "an empty tensor");
  }
  return cv::Mat(static_cast<int>(tensor.size(0)),
                 static_cast<int>(tensor.size(1)),
                 CV_8UC(static_cast<int>(tensor.size(2))),
                 const_cast<uint8_t*>(tensor.const_data_ptr<uint8_t>()));
}

cv::Mat matrix_copy(const at::Tensor& tensor) { return matrix_view(tensor).clone(); }

// numpy.allclose(image, image.astype(int)): |a - b| <= 1e-8 + 1e-5 |b|.
bool is_whole(const at::Tensor& image) {
  const at::Tensor values = image.to(at::kDouble);
  const at::Tensor whole = values.trunc();
  return ((values - whole).abs() <= 1e-8 + 1e-5 * whole.abs()).all().item<bool>();
}

// What Pillow would be given: whole numbers as they are, values in 0..1 times 255, truncated.
void floating_to_bytes(WorkImage& image) {
  at::Tensor values = image.floating;
  const auto lowest = values.min().item<double>();
  const auto highest = values.max().item<double>();
  const bool whole = std::isfinite(lowest) && std::isfinite(highest) && is_whole(values);
  const double limit = whole ? 255.0 : 1.0;
  if (!(lowest >= 0 && highest <= limit)) {
    std::ostringstream got;
    got << lowest << " to " << highest;
    throw ImageError("image",
                     "tensor",
                     whole ? "values in 0 to 255" : "whole numbers, or values in 0 to 1",
                     got.str(),
                     "Only such images can be resized");
  }
  if (!whole) values = rescale(values, 255.0);
  image.bytes = matrix_copy(values.to(at::kByte).permute({1, 2, 0}).contiguous());
  image.scaled_by_255 = !whole;
  image.floating = at::Tensor();
}

// A tensor of one image in `layout`; bytes share the memory where the strides allow it.
WorkImage work_image(const at::Tensor& image, ChannelDimension layout, at::Tensor& keep_alive) {
  WorkImage work;
  if (image.dim() != 3) infer_channel_dimension(image);  // throws
  if (image.numel() == 0)
    throw ImageError("image", "tensor", "at least one pixel", "an empty tensor");
  if (image.scalar_type() == at::kByte) {
    keep_alive = to_channel_dimension(image, ChannelDimension::last, layout).contiguous();
    work.bytes = matrix_view(keep_alive);
  } else {
    work.floating = to_channel_dimension(image, ChannelDimension::first, layout);
  }
  return work;
}

at::Tensor supported_tensor(const at::Tensor& image) {
  if (!image.defined() || !image.device().is_cpu()) {
    throw ImageError("image", "tensor", "a tensor on the CPU", "another");
  }
  switch (image.scalar_type()) {
    case at::kByte:
    case at::kFloat:
    case at::kDouble:
      return image;
    case at::kHalf:
    case at::kBFloat16:
      return image.to(at::kFloat);
    case at::kChar:
    case at::kShort:
    case at::kInt:
    case at::kLong:
      return image.to(at::kDouble);
    default:
      throw ImageError("image",
                       "tensor",
                       "uint8, another integer or a floating dtype",
                       at::toString(image.scalar_type()));
  }
}

at::Tensor crop_floating(const at::Tensor& image, const ImageSize& size, ImageBackend backend) {
  const CropAxis rows = center_crop_axis(image.size(1), size.height, backend);
  const CropAxis columns = center_crop_axis(image.size(2), size.width, backend);
  at::Tensor out = at::zeros({image.size(0), rows.out_length, columns.out_length}, image.options());
  out.narrow(1, rows.target, rows.length)
      .narrow(2, columns.target, columns.length)
      .copy_(image.narrow(1, rows.source, rows.length).narrow(2, columns.source, columns.length));
  return out;
}

// Resize and crop in one: only the part of the resized image that the crop keeps is computed.
cv::Mat resize_and_crop(const cv::Mat& image,
                        const ImageSize& size,
                        const ImageSize& crop,
                        Resample filter,
                        const ResampleOptions& options) {
  const ImageView view = image_view(image);
  check_resize_target(size.height, size.width);
  const int64_t top = (size.height - crop.height) / 2;
  const int64_t left = (size.width - crop.width) / 2;
  cv::Mat out(static_cast<int>(crop.height), static_cast<int>(crop.width), image.type());
  resample(view,
           size.height,
           size.width,
           filter,
           {top, left, crop.height, crop.width},
           mutable_image_view(out),
           options);
  return out;
}

void apply_geometry(WorkImage& image,
                    const ImageGeometry& geometry,
                    const ProcessorSettings& settings,
                    ImageBackend backend,
                    PassOrder order) {
  if (backend == ImageBackend::Pil && geometry.resize && image.bytes.empty()) {
    floating_to_bytes(image);
  }
  if (image.bytes.empty()) {
    if (geometry.resize) {
      image.floating = resize_torchvision(image.floating, *geometry.resize, settings.resample);
    }
    if (geometry.crop) image.floating = crop_floating(image.floating, *geometry.crop, backend);
    return;
  }
  ResampleOptions options;
  options.order = order;
  const bool opaque = image.bytes.channels() % 2 == 1;
  if (backend == ImageBackend::Pil && opaque && geometry.resize && geometry.crop &&
      geometry.crop->height <= geometry.resize->height &&
      geometry.crop->width <= geometry.resize->width) {
    image.bytes =
        resize_and_crop(image.bytes, *geometry.resize, *geometry.crop, settings.resample, options);
    return;
  }
  if (geometry.resize) {
    image.bytes = resize(image.bytes, *geometry.resize, settings.resample, backend, options);
  }
  if (geometry.crop) image.bytes = center_crop(image.bytes, *geometry.crop, backend);
}

at::Tensor finish_floating(const WorkImage& image,
                           const ProcessorSettings& settings,
                           ImageBackend backend) {
  at::Tensor values = image.floating;
  if (backend == ImageBackend::Pil) {
    if (settings.do_rescale) values = rescale(values, settings.rescale_factor);
    if (settings.do_normalize) {
      values = normalize(values, settings.image_mean, settings.image_std, ChannelDimension::first);
    }
    return values;
  }
  if (settings.do_normalize) {
    return detail::normalize_fused(values.to(at::kFloat), settings);
  }
  return settings.do_rescale ? values.to(at::kFloat) * static_cast<float>(settings.rescale_factor)
                             : values;
}

// Shape of a result in its layout.
std::vector<int64_t> out_shape(const WorkImage& image, ChannelDimension layout) {
  const ImageSize size = size_of(image);
  const int64_t channels = channels_of(image);
  if (layout == ChannelDimension::first) return {channels, size.height, size.width};
  return {size.height, size.width, channels};
}

bool same_form(const std::vector<WorkImage>& images, ChannelDimension layout) {
  for (const WorkImage& image : images) {
    if (out_shape(image, layout) != out_shape(images[0], layout) ||
        image.bytes.empty() != images[0].bytes.empty() ||
        (image.bytes.empty() && image.floating.scalar_type() != images[0].floating.scalar_type())) {
      return false;
    }
  }
  return true;
}

void write_image(const WorkImage& image,
                 const ProcessorSettings& settings,
                 const PreprocessOptions& options,
                 ImageBackend backend,
                 at::Tensor& out) {
  if (image.bytes.empty()) {
    out.copy_(to_channel_dimension(
        finish_floating(image, settings, backend), options.data_format(), ChannelDimension::first));
    return;
  }
  const ImageView view = image_view(image.bytes);
  if (out.scalar_type() == at::kByte) {
    out.copy_(to_channel_dimension(
        tensor_view(image.bytes), options.data_format(), ChannelDimension::last));
    return;
  }
  const PixelTable table(settings, backend, view.channels, image.scaled_by_255);
  if (options.data_format() == ChannelDimension::first) {
    table.write_channels_first(view, out.mutable_data_ptr<float>());
  } else {
    table.write_channels_last(view, out.mutable_data_ptr<float>());
  }
}

at::ScalarType out_type(const WorkImage& image,
                        const ProcessorSettings& settings,
                        ImageBackend backend) {
  if (image.bytes.empty()) {
    const bool single = backend == ImageBackend::Torchvision || settings.do_rescale;
    const bool changed = settings.do_rescale || settings.do_normalize;
    return changed && single ? at::kFloat : image.floating.scalar_type();
  }
  const bool changed = settings.do_rescale || settings.do_normalize || image.scaled_by_255;
  return changed ? at::kFloat : at::kByte;
}

BatchFeature assemble(const std::vector<WorkImage>& images,
                      const ProcessorSettings& settings,
                      const PreprocessOptions& options,
                      ImageBackend backend) {
  BatchFeature feature;
  const ChannelDimension layout = options.data_format();
  const bool stackable = same_form(images, layout);
  if (!stackable && options.return_form() == ReturnForm::stacked) {
    throw ShapeError("processor",
                     "images",
                     "images of one size after processing",
                     size_text(size_of(images[0])) + " and others",
                     "Resize them, or ask for a list");
  }
  if (stackable && options.return_form() != ReturnForm::list) {
    std::vector<int64_t> shape = out_shape(images[0], layout);
    shape.insert(shape.begin(), static_cast<int64_t>(images.size()));
    feature.pixel_values = at::empty(shape, out_type(images[0], settings, backend));
  }
  for (size_t i = 0; i < images.size(); ++i) {
    at::Tensor out =
        feature.pixel_values.defined()
            ? feature.pixel_values.select(0, static_cast<int64_t>(i))
            : at::empty(out_shape(images[i], layout), out_type(images[i], settings, backend));
    write_image(images[i], settings, options, backend, out);
    feature.images.push_back(std::move(out));
  }
  return feature;
}

}  // namespace

ImageProcessor::~ImageProcessor() = default;

BatchFeature ImageProcessor::operator()(const cv::Mat& image,
                                        const PreprocessOptions& options) const {
  return (*this)(std::vector<cv::Mat>{image}, options);
}

BatchFeature ImageProcessor::operator()(const std::vector<cv::Mat>& images,
                                        const PreprocessOptions& options) const {
  const ProcessorSettings settings = merge(this->settings(), options);
  check_settings(settings);
  if (images.empty()) throw ImageError("image", "images", "at least one image", "none");
  std::vector<WorkImage> work(images.size());
  for (size_t i = 0; i < images.size(); ++i) {
    image_view(images[i]);  // throws for what is not an 8-bit image
    work[i].bytes = images[i];
    apply_geometry(work[i], geometry(size_of(work[i]), settings), settings, backend, pass_order);
  }
  return assemble(work, settings, options, backend);
}

BatchFeature ImageProcessor::operator()(const at::Tensor& image,
                                        const PreprocessOptions& options) const {
  if (image.defined() && image.dim() == 4) return (*this)(image.unbind(0), options);
  return (*this)(std::vector<at::Tensor>{image}, options);
}

BatchFeature ImageProcessor::operator()(const std::vector<at::Tensor>& images,
                                        const PreprocessOptions& options) const {
  const at::NoGradGuard no_grad;
  const ProcessorSettings settings = merge(this->settings(), options);
  check_settings(settings);
  if (images.empty()) throw ImageError("image", "images", "at least one image", "none");
  const at::Tensor first = supported_tensor(images[0]);
  const ChannelDimension layout =
      options.input_data_format() ? *options.input_data_format() : infer_channel_dimension(first);
  std::vector<WorkImage> work;
  std::vector<at::Tensor> keep_alive(images.size());
  for (size_t i = 0; i < images.size(); ++i) {
    work.push_back(work_image(supported_tensor(images[i]), layout, keep_alive[i]));
    apply_geometry(work[i], geometry(size_of(work[i]), settings), settings, backend, pass_order);
  }
  return assemble(work, settings, options, backend);
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
