#include "vizoo/models/perceiver/perceiver_image_preprocessor.h"

#include "vizoo/core/error.h"
#include "vizoo/nn/pretrained_model.h"

namespace vizoo {
namespace {

void check_argument(const char* name, int64_t value, bool fits, const char* expected) {
  if (fits) return;
  throw UsageError(
      "usage", std::string("PerceiverImagePreprocessor: ") + name, expected, std::to_string(value));
}

bool is_power_of_four(int64_t value) {
  while (value > 1 && value % 4 == 0) value /= 4;
  return value == 1;
}

void check_arguments(const PerceiverImagePreprocessorOptions& options) {
  const auto check_positive = [](const char* name, int64_t value) {
    check_argument(name, value, value >= 1, "an integer of at least 1");
  };
  check_positive("spatial_downsample", options.spatial_downsample);
  check_positive("temporal_downsample", options.temporal_downsample);
  check_positive("in_channels", options.in_channels);
  check_positive("out_channels", options.out_channels);
  check_positive("conv_after_patching_in_channels", options.conv_after_patching_in_channels);
  const bool conv = options.prep_type == PerceiverPrepType::conv;
  if (conv) {
    check_argument("spatial_downsample",
                   options.spatial_downsample,
                   is_power_of_four(options.spatial_downsample),
                   "a power of 4 for prep_type conv");
  }
  if (conv || options.prep_type == PerceiverPrepType::conv1x1) {
    check_argument("temporal_downsample",
                   options.temporal_downsample,
                   options.temporal_downsample == 1,
                   "1 for prep_type conv and conv1x1");
  }
}

}  // namespace

torch::Tensor space_to_depth(const torch::Tensor& frames,
                             int64_t temporal_block_size,
                             int64_t spatial_block_size,
                             const std::string& name) {
  const auto t = temporal_block_size;
  const auto s = spatial_block_size;
  const bool video = frames.dim() == 5;
  const bool fits = (video || frames.dim() == 4) && frames.size(-1) % s == 0 &&
                    frames.size(-2) % s == 0 && (!video || frames.size(1) % t == 0);
  if (!fits) {
    throw ShapeError("model",
                     name,
                     "[B, channels, H, W] or [B, frames, channels, H, W] with height and width "
                     "multiples of " +
                         std::to_string(s) + " and frames of " + std::to_string(t),
                     describe_tensor(frames));
  }
  const auto rows = frames.unflatten(-1, {-1, s}).unflatten(-3, {-1, s});
  // [B, C, H', s, W', s] -> [B, H', W', s, s, C]
  if (!video) return rows.permute({0, 2, 4, 3, 5, 1}).flatten(3);
  // [B, T', t, C, H', s, W', s] -> [B, T', H', W', t, s, s, C]
  return rows.unflatten(1, {-1, t}).permute({0, 1, 4, 6, 2, 5, 7, 3}).flatten(4);
}

Conv2DDownsampleImpl::Conv2DDownsampleImpl(int64_t in_channels,
                                           int64_t out_channels,
                                           bool use_batchnorm) {
  const auto options = nn::Conv2dOptions().kernel_size(7).stride(2).padding(3).bias(false);
  conv = register_module("conv", nn::Conv2d(in_channels, out_channels, options));
  if (use_batchnorm) batchnorm = register_module("batchnorm", nn::BatchNorm(out_channels));
}

torch::Tensor Conv2DDownsampleImpl::forward(const torch::Tensor& inputs) {
  auto x = conv->forward(inputs);
  if (!batchnorm.is_empty()) x = batchnorm->forward(x);
  return at::max_pool2d(at::relu(x), /*kernel_size=*/{3, 3}, /*stride=*/{2, 2});
}

PerceiverImagePreprocessorImpl::PerceiverImagePreprocessorImpl(
    const PerceiverConfig& /*config*/, const PerceiverImagePreprocessorOptions& image_options)
    : options(image_options) {
  check_arguments(options);
  if (options.prep_type == PerceiverPrepType::conv) {
    convnet = register_module(
        "convnet",
        Conv2DDownsample(options.in_channels, options.out_channels, options.conv2d_use_batchnorm));
  } else if (options.prep_type == PerceiverPrepType::conv1x1) {
    const auto conv_options = nn::Conv2dOptions().stride(options.spatial_downsample);
    convnet_1x1 = register_module(
        "convnet_1x1", nn::Conv2d(options.in_channels, options.out_channels, conv_options));
  }
  positions = PerceiverPositions("PerceiverImagePreprocessor", options, options.out_channels);
  positions.register_with(*this, "position_embeddings");
  if (options.conv_after_patching) {
    conv_after_patches =
        register_module("conv_after_patches",
                        nn::Linear(options.conv_after_patching_in_channels, options.out_channels));
  }
}

int64_t PerceiverImagePreprocessorImpl::num_channels() const {
  const auto encoding = positions.num_channels();
  if (options.concat_or_add_pos == PerceiverPositionJoin::add) return encoding;
  if (options.conv_after_patching || options.prep_type == PerceiverPrepType::conv ||
      options.prep_type == PerceiverPrepType::conv1x1) {
    return options.out_channels + encoding;
  }
  const bool temporal = positions.num_dimensions() > 2;
  const auto s = options.spatial_downsample;
  if (options.prep_type == PerceiverPrepType::pixels) {
    const auto strided = (options.in_channels + s - 1) / s;
    return (temporal ? options.in_channels : strided) + encoding;
  }
  const auto frames = temporal ? options.temporal_downsample : 1;
  return options.in_channels * s * s * frames + encoding;
}

// [B, ..., C], channels last.
torch::Tensor PerceiverImagePreprocessorImpl::features(const torch::Tensor& images,
                                                       const std::string& name) const {
  const bool video = images.dim() == 5;
  const auto s = options.spatial_downsample;
  const auto t = options.temporal_downsample;
  if (options.prep_type == PerceiverPrepType::patches) {
    auto patches = space_to_depth(images, t, s, name);
    // Frames that make one position, as for optical flow.
    if (video && patches.size(1) == 1) patches = patches.squeeze(1);
    if (conv_after_patches.is_empty()) return patches;
    if (patches.size(-1) != options.conv_after_patching_in_channels) {
      throw ShapeError("model",
                       name,
                       std::to_string(options.conv_after_patching_in_channels) +
                           " values of a patch, as conv_after_patching_in_channels says",
                       std::to_string(patches.size(-1)));
    }
    return conv_after_patches->forward(patches);
  }
  if (!convnet.is_empty()) {
    return Conv2DDownsample(convnet)->forward(images).permute({0, 2, 3, 1});
  }
  if (!convnet_1x1.is_empty()) return convnet_1x1->forward(images).permute({0, 2, 3, 1});
  const auto strided = [](const torch::Tensor& tensor, int64_t dim, int64_t step) {
    return tensor.slice(dim, 0, std::nullopt, step);
  };
  // Images lose batch and channels, not pixels, as upstream.
  if (!video) return strided(strided(images, 0, s), 1, s).permute({0, 2, 3, 1});
  return strided(strided(strided(images, 1, t), 3, s), 4, s).permute({0, 1, 3, 4, 2});
}

PerceiverPreprocessed PerceiverImagePreprocessorImpl::forward(
    const PerceiverTensors& inputs, const PerceiverPreprocessorOptions& call) const {
  const auto& images = perceiver_single_input(inputs, call);
  const bool images_only = !convnet.is_empty() || !convnet_1x1.is_empty();
  const bool fits = images.dim() == 4 || (images.dim() == 5 && !images_only);
  // The number of values of a patch counts where a linear layer follows, not that of channels.
  const bool patched =
      options.prep_type == PerceiverPrepType::patches && !conv_after_patches.is_empty();
  if (!fits || !images.is_floating_point() ||
      (!patched && images.size(-3) != options.in_channels)) {
    throw ShapeError("model",
                     call.name,
                     std::string("a floating-point tensor [B, ") +
                         (images_only || images.dim() < 5 ? "" : "frames, ") +
                         (patched ? "channels" : std::to_string(options.in_channels)) + ", H, W]",
                     describe_tensor(images));
  }
  constexpr int64_t kLeastSize = 5;  // leaves one pixel after convolution and pooling
  if (!convnet.is_empty() && (images.size(2) < kLeastSize || images.size(3) < kLeastSize)) {
    throw ShapeError("model",
                     call.name,
                     "a height and width of at least " + std::to_string(kLeastSize),
                     describe_tensor(images));
  }
  const auto map = features(images, call.name);  // [B, ..., C]
  const auto flat = map.flatten(1, -2);          // [B, N, C]
  const auto dimensions = map.dim() - 2;
  if (!positions.fourier.is_empty() && dimensions != positions.num_dimensions()) {
    throw ShapeError("model",
                     call.name,
                     std::to_string(positions.num_dimensions()) +
                         " dimensions of positions, as max_resolution has",
                     std::to_string(dimensions) + " in " + describe_tensor(images));
  }
  const bool resize =
      call.interpolate_pos_encoding && map.dim() == 4 && !positions.trainable.is_empty();
  const auto encoding = resize ? positions.on_resized_grid(map) : positions.on_grid(map);
  return {perceiver_join(flat, encoding, options.concat_or_add_pos, call.name), {}, flat};
}

PerceiverPreprocessor PerceiverImagePreprocessorImpl::make_another() const {
  return std::make_shared<PerceiverImagePreprocessorImpl>(PerceiverConfig(), options);
}

}  // namespace vizoo
