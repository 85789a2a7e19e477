#pragma once

// The Perceiver for videos with sound.
// Source: transformers/models/perceiver/modeling_perceiver.py, 4.37.2.

#include <string>
#include <vector>

#include "vizoo/models/perceiver/perceiver_model.h"

namespace vizoo {

/// Encodes a video with its sound, and decodes any points of either, and a label.
///
/// Modalities: image [B, num_frames, 3, H, W], audio [B, samples, 1], label [B, num_labels], all
/// floating point, B the same. Sizes of images must be multiples of 4, samples of
/// samples_per_patch. The label is replaced by a learned vector whatever it is, so that the model
/// classifies the video.
///
/// Points: image, indices into [num_frames, height, width] of output_shape, row by row; audio,
/// indices of patches, of which there are num_frames audio_samples_per_frame / samples_per_patch.
/// Both are needed: upstream fails without, as decoding everything at once takes too much memory.
class PerceiverForMultimodalAutoencodingImpl
    : public PretrainedModel<PerceiverForMultimodalAutoencodingImpl,
                             PerceiverConfig,
                             PretrainedModelImpl> {
 public:
  static constexpr const char* kClassName = "PerceiverForMultimodalAutoencoding";
  static constexpr const char* kBaseModelPrefix = "perceiver";
  explicit PerceiverForMultimodalAutoencodingImpl(PerceiverConfig model_config = {});

  void initialize_module(torch::nn::Module& module) const override;
  std::vector<std::string> argument_names() const override;
  NamedTensors forward_named(const NamedArguments& arguments,
                             const ForwardOptions& options) override;

  /// logits: image [B, points, 3], audio [B, points samples_per_patch], label [B, num_labels].
  /// There is no loss, as upstream. Throws ShapeError for anything else than the class says.
  PerceiverMultimodalOutput forward(const PerceiverModalities& inputs,
                                    const PerceiverModalities& subsampled_output_points,
                                    const PerceiverOptions& options = {}) const;

  /// The first half of forward, once for all points of a video.
  PerceiverEncoding encode(const PerceiverModalities& inputs,
                           const PerceiverOptions& options = {}) const;

  /// The second half: the logits of forward.
  PerceiverModalities decode(const PerceiverEncoding& encoding,
                             const PerceiverModalities& subsampled_output_points) const;

  PerceiverModel perceiver{nullptr};
};
TORCH_MODULE(PerceiverForMultimodalAutoencoding);

}  // namespace vizoo
