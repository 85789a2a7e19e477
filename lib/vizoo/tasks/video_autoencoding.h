#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

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

/// A model that autoencodes videos, however it is run.
struct VideoAutoencodingModel {
  /// Takes points of image and audio, int64 on the CPU; returns the logits of forward.
  using Decode = std::function<PerceiverModalities(const PerceiverModalities& points)>;
  /// Takes the modalities of a video, float32 on the CPU; returns what decodes any points of it.
  using Encode = std::function<Decode(const PerceiverModalities& inputs)>;

  /// One that must live as long as this; it encodes a video once.
  VideoAutoencodingModel(
      const PerceiverForMultimodalAutoencodingImpl& model);  // NOLINT: meant to convert
  VideoAutoencodingModel(PerceiverConfig model_config, Encode call);

  PerceiverConfig config;
  Encode encode;
};

/// What the model makes of a video with its sound.
struct AutoencodedVideo {
  torch::Tensor frames;  ///< float32, [num_frames, H, W, 3], about [0, 1]
  torch::Tensor audio;   ///< float32, [samples], about [-1, 1]
  torch::Tensor logits;  ///< float32, [1, num_labels]
};

/// Samples of sound that go with a video: all patches of samples_per_patch that its frames last.
int64_t autoencoding_samples(const PerceiverConfig& config);

/// Encodes a video and decodes all of it, in parts. frames: uint8, [num_frames, H, W, 3], RGB, H x
/// W as the config's output_shape says; audio: float32, [autoencoding_samples]. Returns tensors on
/// the CPU. Throws ShapeError that names the modality for anything else, UsageError for chunks
/// below 1. Source: Transformers' notebook of Perceiver for multimodal autoencoding.
AutoencodedVideo autoencode_video(const VideoAutoencodingModel& model,
                                  const torch::Tensor& frames,
                                  const torch::Tensor& audio,
                                  const VideoAutoencodingOptions& options = {});

/// Parts that autoencode_video decodes.
int64_t autoencoding_chunks(const PerceiverConfig& config, const VideoAutoencodingOptions& options);

/// Autoencodes a video of any length, num_frames frames after another, each window on its own. What
/// is left at the end and is no whole window is taken from one that ends with the video. The sound
/// of a frame is at its number times audio_samples_per_frame; samples that are no whole patch at
/// the end of a window are zero in the middle of the video and missing at its end.
class VideoAutoencoder {
 public:
  /// Returns one frame after another, uint8, [H, W, 3], and an undefined tensor at the end.
  using FrameSource = std::function<torch::Tensor()>;

  /// What one window adds.
  struct Window {
    int64_t first_frame = 0;  ///< of `frames`, in the video
    torch::Tensor frames;     ///< float32, [frames not given before, H, W, 3], about [0, 1]
    torch::Tensor audio;      ///< float32, [samples not given before], about [-1, 1]
    torch::Tensor logits;     ///< float32, [1, num_labels], of the whole window
  };

  /// audio: float32, [samples], at least autoencoding_samples; frames that last longer than the
  /// sound are not asked for. Throws ShapeError for another sound, UsageError for chunks below 1.
  VideoAutoencoder(VideoAutoencodingModel model,
                   FrameSource next_frame,
                   torch::Tensor audio,
                   VideoAutoencodingOptions options = {});

  /// The next window; none at the end. Throws ShapeError if the video has fewer frames than one
  /// window, and for frames of another size.
  std::optional<Window> next();

  /// Frames that were read so far.
  int64_t frames_read() const { return frames_read_; }

 private:
  VideoAutoencodingModel model_;
  FrameSource next_frame_;
  torch::Tensor audio_;
  VideoAutoencodingOptions options_;
  std::vector<torch::Tensor> recent_;  // the last frames read, at most one window of them
  int64_t frames_read_ = 0;
  int64_t frames_done_ = 0;
};

/// Windows that a VideoAutoencoder makes of so many frames.
int64_t autoencoding_windows(const PerceiverConfig& config, int64_t frames);

}  // namespace vizoo
