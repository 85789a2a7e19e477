#include "vizoo/vision/batch_feature.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "vizoo/core/error.h"
#include "vizoo/vision/image.h"
#include "vizoo/vision/pixel_table.h"

namespace vizoo::detail {
namespace {

std::string size_text(const ImageSize& size) {
  return std::to_string(size.height) + " x " + std::to_string(size.width);
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

// Shape of a result of `size` in its layout.
std::vector<int64_t> out_shape(const WorkImage& image,
                               const ImageSize& size,
                               ChannelDimension layout) {
  const int64_t channels = channels_of(image);
  if (layout == ChannelDimension::first) return {channels, size.height, size.width};
  return {size.height, size.width, channels};
}

// The size that all images are padded to, if they are.
std::optional<ImageSize> padded_size(const std::vector<WorkImage>& images,
                                     const ProcessorSettings& settings) {
  if (!settings.do_pad.value_or(false)) return std::nullopt;
  ImageSize largest;
  for (const WorkImage& image : images) {
    const ImageSize size = size_of(image);
    largest = {std::max(largest.height, size.height), std::max(largest.width, size.width)};
  }
  if (!settings.pad_size) {
    // A tall image and a wide one make a batch that neither foretells.
    check_crop_size(largest, "/do_pad");
    return largest;
  }
  const ImageSize target{settings.pad_size->at("height"), settings.pad_size->at("width")};
  if (largest.height > target.height || largest.width > target.width) {
    throw ConfigError("processor",
                      "/pad_size",
                      "at least " + size_text(largest) + ", the size of the images",
                      size_text(target));
  }
  return target;
}

bool same_form(const std::vector<WorkImage>& images, const std::optional<ImageSize>& padded) {
  const auto shape = [&](const WorkImage& image) {
    return out_shape(image, padded.value_or(size_of(image)), ChannelDimension::first);
  };
  for (const WorkImage& image : images) {
    if (shape(image) != shape(images[0]) || image.bytes.empty() != images[0].bytes.empty() ||
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
  const ChannelDimension layout = options.data_format();
  const std::vector<int64_t> shape = out_shape(image, size_of(image), layout);
  if (out.sizes() != shape) {
    at::Tensor unpadded = at::empty(shape, out.options());
    write_image(image, settings, options, backend, unpadded);
    const int64_t axis = layout == ChannelDimension::first ? 1 : 0;
    out.zero_();
    out.narrow(axis, 0, shape[axis]).narrow(axis + 1, 0, shape[axis + 1]).copy_(unpadded);
    return;
  }
  if (image.bytes.empty()) {
    out.copy_(to_channel_dimension(
        finish_floating(image, settings, backend), layout, ChannelDimension::first));
    return;
  }
  const ImageView view = image_view(image.bytes);
  if (out.scalar_type() == at::kByte) {
    out.copy_(to_channel_dimension(tensor_view(image.bytes), layout, ChannelDimension::last));
    return;
  }
  const PixelTable table(settings, backend, view.channels, image.scaled_by_255);
  if (layout == ChannelDimension::first) {
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

void move_to(const at::Device& device, BatchFeature& feature) {
  if (feature.pixel_values.defined()) {
    feature.pixel_values = feature.pixel_values.to(device);
    feature.images = feature.pixel_values.unbind(0);
    return;
  }
  for (at::Tensor& image : feature.images) image = image.to(device);
}

}  // namespace

BatchFeature assemble(const std::vector<WorkImage>& images,
                      const ProcessorSettings& settings,
                      const PreprocessOptions& options,
                      ImageBackend backend) {
  BatchFeature feature;
  const ChannelDimension layout = options.data_format();
  const std::optional<ImageSize> padded = padded_size(images, settings);
  const bool stackable = same_form(images, padded);
  const auto shape_of = [&](const WorkImage& image) {
    return out_shape(image, padded.value_or(size_of(image)), layout);
  };
  if (!stackable && options.return_form() == ReturnForm::stacked) {
    throw ShapeError("processor",
                     "images",
                     "images of one size after processing",
                     size_text(size_of(images[0])) + " and others",
                     "Resize them, or ask for a list");
  }
  if (stackable && options.return_form() != ReturnForm::list) {
    std::vector<int64_t> shape = shape_of(images[0]);
    shape.insert(shape.begin(), static_cast<int64_t>(images.size()));
    feature.pixel_values = at::empty(shape, out_type(images[0], settings, backend));
  }
  for (size_t i = 0; i < images.size(); ++i) {
    at::Tensor out = feature.pixel_values.defined()
                         ? feature.pixel_values.select(0, static_cast<int64_t>(i))
                         : at::empty(shape_of(images[i]), out_type(images[i], settings, backend));
    write_image(images[i], settings, options, backend, out);
    feature.images.push_back(std::move(out));
  }
  if (options.device()) move_to(*options.device(), feature);
  return feature;
}

}  // namespace vizoo::detail
