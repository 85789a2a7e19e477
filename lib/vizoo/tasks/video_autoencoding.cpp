#include "vizoo/tasks/video_autoencoding.h"

#include <algorithm>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "vizoo/core/error.h"

namespace vizoo {
namespace {

std::string shape_of(const torch::Tensor& tensor) {
  if (!tensor.defined()) return "none";
  std::ostringstream text;
  text << tensor.toString() << ' ' << tensor.sizes();
  return text.str();
}

void check_inputs(const PerceiverConfig& config,
                  const torch::Tensor& frames,
                  const torch::Tensor& audio) {
  const auto& shape = config.output_shape;
  const std::vector<int64_t> expected{config.num_frames, shape.at(2), shape.at(3), 3};
  if (!frames.defined() || frames.scalar_type() != torch::kByte || frames.sizes() != expected) {
    std::ostringstream text;
    text << "uint8 " << torch::IntArrayRef(expected);
    throw ShapeError("task", "image", text.str(), shape_of(frames));
  }
  const auto samples = autoencoding_samples(config);
  if (!audio.defined() || audio.scalar_type() != torch::kFloat32 || audio.dim() != 1 ||
      audio.size(0) != samples) {
    throw ShapeError("task", "audio", "float32 [" + std::to_string(samples) + "]", shape_of(audio));
  }
}

// Points of part `index` of `count` parts of 0 .. total - 1.
torch::Tensor points_of(int64_t total, int64_t index, int64_t count) {
  return torch::arange(total * index / count, total * (index + 1) / count, torch::kLong);
}

}  // namespace

VideoAutoencodingModel::VideoAutoencodingModel(const PerceiverForMultimodalAutoencodingImpl& model)
    : VideoAutoencodingModel(model.config, [&model](PerceiverModalities inputs) -> Decode {
        const auto like = model.parameters().front().options();
        for (auto& [modality, tensor] : inputs) tensor = tensor.to(like);
        return [&model, encoding = model.encode(inputs)](const PerceiverModalities& points) {
          return model.decode(encoding, points);
        };
      }) {}

VideoAutoencodingModel::VideoAutoencodingModel(PerceiverConfig model_config, Encode call)
    : config(std::move(model_config)), encode(std::move(call)) {}

int64_t autoencoding_samples(const PerceiverConfig& config) {
  return config.audio_samples() / config.samples_per_patch * config.samples_per_patch;
}

int64_t autoencoding_chunks(const PerceiverConfig& config,
                            const VideoAutoencodingOptions& options) {
  if (options.chunks() < 1) {
    throw UsageError("task", "chunks", "at least 1", std::to_string(options.chunks()));
  }
  return std::min(options.chunks(), autoencoding_samples(config) / config.samples_per_patch);
}

AutoencodedVideo autoencode_video(const VideoAutoencodingModel& model,
                                  const torch::Tensor& frames,
                                  const torch::Tensor& audio,
                                  const VideoAutoencodingOptions& options) {
  const auto& config = model.config;
  check_inputs(config, frames, audio);
  const auto chunks = autoencoding_chunks(config, options);

  PerceiverModalities inputs;
  // [T, H, W, 3] -> [1, T, 3, H, W]
  inputs["image"] =
      frames.permute({0, 3, 1, 2}).to(torch::kFloat32).div(255).unsqueeze(0).contiguous();
  inputs["audio"] = audio.reshape({1, -1, 1});
  inputs["label"] = torch::zeros({1, config.num_labels()});
  const auto decode = model.encode(inputs);

  const auto pixels = frames.size(0) * frames.size(1) * frames.size(2);
  const auto patches = audio.size(0) / config.samples_per_patch;
  std::vector<torch::Tensor> image_parts;
  std::vector<torch::Tensor> audio_parts;
  AutoencodedVideo result;
  const auto on_cpu = [](const torch::Tensor& part) {
    return part.detach().to(torch::kCPU, torch::kFloat32);
  };
  for (int64_t index = 0; index < chunks; ++index) {
    PerceiverModalities points;
    points["image"] = points_of(pixels, index, chunks);
    points["audio"] = points_of(patches, index, chunks);
    const auto logits = decode(points);
    image_parts.push_back(on_cpu(logits.at("image")));
    audio_parts.push_back(on_cpu(logits.at("audio")));
    result.logits = on_cpu(logits.at("label"));
    if (options.on_chunk()) options.on_chunk()();
  }
  // [1, T H W, 3] -> [T, H, W, 3]
  result.frames = torch::cat(image_parts, 1).reshape(frames.sizes());
  result.audio = torch::cat(audio_parts, 1).flatten();
  return result;
}

VideoAutoencoder::VideoAutoencoder(VideoAutoencodingModel model,
                                   FrameSource next_frame,
                                   torch::Tensor audio,
                                   VideoAutoencodingOptions options)
    : model_(std::move(model)),
      next_frame_(std::move(next_frame)),
      audio_(std::move(audio)),
      options_(std::move(options)) {
  const auto least = autoencoding_samples(model.config);
  if (!audio_.defined() || audio_.scalar_type() != torch::kFloat32 || audio_.dim() != 1 ||
      audio_.size(0) < least) {
    throw ShapeError(
        "task", "audio", "float32 [samples], at least " + std::to_string(least), shape_of(audio_));
  }
  autoencoding_chunks(model.config, options_);  // throws
}

std::optional<VideoAutoencoder::Window> VideoAutoencoder::next() {
  const auto& config = model_.config;
  const auto window = config.num_frames;
  const auto per_frame = config.audio_samples_per_frame;
  const auto samples = autoencoding_samples(config);
  const auto has_sound = [&](int64_t frames) {
    return (frames - window) * per_frame + samples <= audio_.size(0);
  };
  while (frames_read_ < frames_done_ + window && has_sound(frames_read_ + 1)) {
    auto frame = next_frame_();
    if (!frame.defined()) break;
    if (static_cast<int64_t>(recent_.size()) == window) recent_.erase(recent_.begin());
    recent_.push_back(std::move(frame));
    ++frames_read_;
  }
  if (frames_read_ == frames_done_ && frames_done_ > 0) return std::nullopt;
  if (frames_read_ < window) {
    throw ShapeError("task",
                     "image",
                     "at least " + std::to_string(window) + " frames",
                     std::to_string(frames_read_));
  }

  const auto first = frames_read_ - window;
  const auto decoded = autoencode_video(
      model_, torch::stack(recent_), audio_.narrow(0, first * per_frame, samples), options_);
  Window result;
  result.first_frame = frames_done_;
  result.frames = decoded.frames.narrow(0, frames_done_ - first, frames_read_ - frames_done_);
  // The samples between the last patch of the window before and the first frame of this one.
  const auto heard = frames_done_ == 0 ? 0 : (frames_done_ - window) * per_frame + samples;
  const auto gap = std::max<int64_t>(first * per_frame - heard, 0);
  const auto known = std::max<int64_t>(heard - first * per_frame, 0);
  result.audio = torch::cat({torch::zeros({gap}), decoded.audio.narrow(0, known, samples - known)});
  result.logits = decoded.logits;
  frames_done_ = frames_read_;
  return result;
}

int64_t autoencoding_windows(const PerceiverConfig& config, int64_t frames) {
  return (frames + config.num_frames - 1) / config.num_frames;
}

}  // namespace vizoo
