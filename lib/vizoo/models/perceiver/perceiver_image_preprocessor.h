#pragma once

// What turns images and videos into what the Perceiver's latents attend to.
// Source: transformers/models/perceiver/modeling_perceiver.py, 4.37.2.

#include <string>
#include <utility>
#include <vector>

#include "vizoo/models/perceiver/perceiver_preprocessors.h"

namespace vizoo {

/// Blocks of pixels as channels, the first row of a block first, the channels of one pixel side by
/// side: [B, C, H, W] -> [B, H / s, W / s, s s C], or with frames [B, T, C, H, W] -> [B, T / t, H /
/// s, W / s, t s s C] for t frames and s x s pixels. Throws ShapeError, which calls the tensor
/// `name`, unless the blocks divide the sizes.
torch::Tensor space_to_depth(const torch::Tensor& frames,
                             int64_t temporal_block_size,
                             int64_t spatial_block_size,
                             const std::string& name = "inputs");

/// A convolution with kernel 7 and stride 2, batch norm, ReLU and max pooling: a quarter of the
/// size, [B, in_channels, H, W] -> [B, out_channels, H', W'], 224 -> 55.
class Conv2DDownsampleImpl : public torch::nn::Module {
 public:
  Conv2DDownsampleImpl(int64_t in_channels, int64_t out_channels, bool use_batchnorm);
  torch::Tensor forward(const torch::Tensor& inputs);

  nn::Conv2d conv{nullptr};
  nn::BatchNorm batchnorm{nullptr};  ///< empty if there is none
};
TORCH_MODULE(Conv2DDownsample);

/// How an image preprocessor makes positions.
enum class PerceiverPrepType {
  conv,     ///< Conv2DDownsample
  conv1x1,  ///< a convolution of single pixels
  patches,  ///< space_to_depth
  pixels,   ///< as they are
};

template <>
struct EnumNames<PerceiverPrepType> {
  static constexpr std::pair<PerceiverPrepType, const char*> table[] = {
      {PerceiverPrepType::conv, "conv"},
      {PerceiverPrepType::conv1x1, "conv1x1"},
      {PerceiverPrepType::patches, "patches"},
      {PerceiverPrepType::pixels, "pixels"},
  };
};

/// Arguments of PerceiverImagePreprocessor beside the config.
struct PerceiverImagePreprocessorOptions : PerceiverPositionOptions {
  PerceiverPrepType prep_type = PerceiverPrepType::conv;
  /// patches: height and width of a patch; conv1x1: stride; conv: a power of 4, otherwise without
  /// effect; pixels: stride of videos, and of images that of batch and channels, as upstream.
  int64_t spatial_downsample = 4;
  int64_t temporal_downsample = 1;  ///< frames of a patch, or their stride; 1 for conv and conv1x1
  int64_t in_channels = 3;
  int64_t out_channels = 64;         ///< of convolutions, and of encodings that are projected
  bool conv_after_patching = false;  ///< whether a linear layer follows space_to_depth
  int64_t conv_after_patching_in_channels = 54;
  bool conv2d_use_batchnorm = true;
  PerceiverPositionJoin concat_or_add_pos = PerceiverPositionJoin::concat;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("prep_type", self.prep_type);
    visit("spatial_downsample", self.spatial_downsample);
    visit("temporal_downsample", self.temporal_downsample);
    visit("in_channels", self.in_channels);
    visit("out_channels", self.out_channels);
    visit("conv_after_patching", self.conv_after_patching);
    visit("conv_after_patching_in_channels", self.conv_after_patching_in_channels);
    visit("conv2d_use_batchnorm", self.conv2d_use_batchnorm);
    visit("concat_or_add_pos", self.concat_or_add_pos);
    PerceiverPositionOptions::fields(self, visit);
  }
};

/// Images [B, in_channels, H, W], or videos [B, T, in_channels, H, W] for patches and pixels, as
/// [B, N, num_channels], row by row.
class PerceiverImagePreprocessorImpl : public PerceiverPreprocessorImpl {
 public:
  /// Throws UsageError for arguments that make no sense.
  PerceiverImagePreprocessorImpl(const PerceiverConfig& config,
                                 const PerceiverImagePreprocessorOptions& image_options);
  int64_t num_channels() const override;
  PerceiverPreprocessed forward(const PerceiverTensors& inputs,
                                const PerceiverPreprocessorOptions& options = {}) const override;
  PerceiverPreprocessor make_another() const override;

  PerceiverImagePreprocessorOptions options;
  PerceiverPositions positions;  ///< registered as position_embeddings and positions_projection
  Conv2DDownsample convnet{nullptr};  ///< these three only where prep_type asks for them
  nn::Conv2d convnet_1x1{nullptr};
  nn::Linear conv_after_patches{nullptr};

 private:
  torch::Tensor features(const torch::Tensor& images, const std::string& name) const;
};
TORCH_MODULE(PerceiverImagePreprocessor);

}  // namespace vizoo
