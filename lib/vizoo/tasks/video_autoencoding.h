#pragma once

#include <cstdint>
#include <functional>

#include "vizoo/models/perceiver/perceiver_autoencoding.h"

namespace vizoo {

/// Frames a second that the published model was trained with; the sampling rate of its sound is
/// this times audio_samples_per_frame, 48 kHz.
constexpr int64_t kAutoencodingFrameRate = 25;

/// Options of autoencode_video.
struct VideoAutoencodingOptions {
  /// Parts in which the outputs are decoded, each with as many points as the others or one more; at
  /// least 1, and at most one for each audio patch. More parts take less memory.
  TORCH_ARG(int64_t, chunks) = 128;
  /// Called after each part.
  TORCH_ARG(std::function<void()>, on_chunk);
};

/// What the model makes of a video with its sound.
struct AutoencodedVideo {
  torch::Tensor frames;  ///< float32, [num_frames, H, W, 3], about [0, 1]
  torch::Tensor audio;   ///< float32, [samples], about [-1, 1]
  torch::Tensor logits;  ///< float32, [1, num_labels]
};

/// Samples of sound that go with a video: all patches of samples_per_patch that its frames last.
int64_t autoencoding_samples(const PerceiverConfig& config);

/// Encodes a video and decodes all of it, in parts; encoded once, where upstream's example does so
/// for each part. frames: uint8, [num_frames, H, W, 3], RGB, H x W as the config's output_shape
/// says; audio: float32, [autoencoding_samples]. Returns tensors on the CPU. Throws ShapeError that
/// names the modality for anything else, UsageError for chunks below 1.
/// Source: Transformers' notebook of Perceiver for multimodal autoencoding.
AutoencodedVideo autoencode_video(const PerceiverForMultimodalAutoencodingImpl& model,
                                  const torch::Tensor& frames,
                                  const torch::Tensor& audio,
                                  const VideoAutoencodingOptions& options = {});

/// Parts that autoencode_video decodes.
int64_t autoencoding_chunks(const PerceiverConfig& config, const VideoAutoencodingOptions& options);

}  // namespace vizoo
