#include "vizoo/vision/batch_feature.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "vizoo/core/error.h"
#include "vizoo/vision/image.h"
#include "vizoo/vision/pixel_table.h"

namespace vizoo::detail {
namespace {

std::string image_size_text(const ImageSize& size) {
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
                      "at least " + image_size_text(largest) + ", the size of the images",
                      image_size_text(target));
  }
  return target;
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

}  // namespace

BatchFeature empty_batch(const std::vector<ImageForm>& forms, const PreprocessOptions& options) {
  const auto same = [&](const ImageForm& form) {
    return form.shape == forms[0].shape && form.type == forms[0].type;
  };
  const bool stackable = std::all_of(forms.begin(), forms.end(), same);
  if (!stackable && options.return_form() == ReturnForm::stacked) {
    const auto& shape = forms[0].shape;
    const size_t axis = options.data_format() == ChannelDimension::first ? 1 : 0;
    throw ShapeError("processor",
                     "images",
                     "images of one size after processing",
                     image_size_text({shape[axis], shape[axis + 1]}) + " and others",
                     "Resize them, or ask for a list");
  }
  BatchFeature feature;
  if (stackable && options.return_form() != ReturnForm::list) {
    std::vector<int64_t> shape = forms[0].shape;
    shape.insert(shape.begin(), static_cast<int64_t>(forms.size()));
    feature.pixel_values = at::empty(shape, forms[0].type);
    feature.images = feature.pixel_values.unbind(0);
    return feature;
  }
  for (const ImageForm& form : forms) feature.images.push_back(at::empty(form.shape, form.type));
  return feature;
}

void finish_batch(BatchFeature& feature, const PreprocessOptions& options) {
  if (!options.device()) return;
  if (feature.pixel_values.defined()) {
    feature.pixel_values = feature.pixel_values.to(*options.device());
    feature.images = feature.pixel_values.unbind(0);
    return;
  }
  for (at::Tensor& image : feature.images) image = image.to(*options.device());
}

BatchFeature assemble(const std::vector<WorkImage>& images,
                      const ProcessorSettings& settings,
                      const PreprocessOptions& options,
                      ImageBackend backend) {
  const std::optional<ImageSize> padded = padded_size(images, settings);
  std::vector<ImageForm> forms;
  for (const WorkImage& image : images) {
    forms.push_back({out_shape(image, padded.value_or(size_of(image)), options.data_format()),
                     out_type(image, settings, backend)});
  }
  BatchFeature feature = empty_batch(forms, options);
  for (size_t i = 0; i < images.size(); ++i) {
    write_image(images[i], settings, options, backend, feature.images[i]);
  }
  finish_batch(feature, options);
  return feature;
}

}  // namespace vizoo::detail
