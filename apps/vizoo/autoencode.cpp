// `vizoo autoencode`: a video and its sound through the multimodal Perceiver, and its labels.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstring>
#include <iomanip>
#include <iostream>
#include <memory>
#include <opencv2/imgproc.hpp>
#include <optional>

#include "commands.h"
#include "common.h"
#include "images.h"
#include "model_source.h"
#include "vizoo/core/error.h"
#include "vizoo/hub/from_pretrained.h"
#include "vizoo/io/config_json.h"
#include "vizoo/io/wav_file.h"
#include "vizoo/tasks/image_classification.h"
#include "vizoo/tasks/video_autoencoding.h"
#include "vizoo/vision/video.h"

namespace vizoo::app {
namespace {

struct AutoencodeOptions {
  ModelOptions model;
  std::filesystem::path video;
  std::filesystem::path audio;
  std::filesystem::path output;
  std::string dtype = "float32";
  std::string device = "cpu";
  int64_t chunks = 128;
  int64_t frames = 0;  // 0: all
  int64_t top_k = 5;
  int threads = 0;
  bool png = false;
  bool as_json = false;
};

// The square in the middle, resized as upstream's example does: bilinear, without antialias.
torch::Tensor prepare_frame(const cv::Mat& frame, const PerceiverConfig& config) {
  const int side = std::min(frame.rows, frame.cols);
  const cv::Rect square(frame.cols / 2 - side / 2, frame.rows / 2 - side / 2, side, side);
  const auto height = static_cast<int>(config.output_shape.at(2));
  const auto width = static_cast<int>(config.output_shape.at(3));
  cv::Mat resized;
  cv::resize(frame(square), resized, {width, height}, 0.0, 0.0, cv::INTER_LINEAR);
  return torch::from_blob(resized.data, {height, width, 3}, torch::kByte).clone();
}

void warn_about_rate(const AutoencodeOptions& options, const VideoReader& video) {
  const double rate = video.frames_per_second();
  if (rate > 0.0 && std::abs(rate - kAutoencodingFrameRate) > 0.01) {
    std::cerr << "warning: " << printable(options.video.string()) << " has " << rate
              << " frames a second; the model takes them for " << kAutoencodingFrameRate << ".\n";
  }
}

torch::Tensor read_audio(const AutoencodeOptions& options, const PerceiverConfig& config) {
  const auto sound = read_wav(options.audio);
  const auto rate = kAutoencodingFrameRate * config.audio_samples_per_frame;
  const auto needed = autoencoding_samples(config);
  const auto expect = [&](bool fits, const std::string& expected, const std::string& got) {
    if (!fits) throw ImageError("audio", printable(options.audio.string()), expected, got);
  };
  expect(sound.channels == 1, "one channel", std::to_string(sound.channels));
  expect(sound.sample_rate == rate,
         std::to_string(rate) + " samples a second",
         std::to_string(sound.sample_rate));
  expect(static_cast<int64_t>(sound.samples.size()) >= needed,
         "at least " + std::to_string(needed) + " samples",
         std::to_string(sound.samples.size()));
  return torch::tensor(sound.samples, torch::kFloat32);
}

std::filesystem::path make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    throw ImageError(
        "image", printable(folder.string()), "a folder that can be made", quote(error.message()));
  }
  return folder;
}

// The frames of a window as images: cut to [0, 255], fractions dropped, as upstream's example does.
std::vector<cv::Mat> to_images(const torch::Tensor& frames) {
  const auto bytes = frames.mul(255).clamp(0, 255).to(torch::kByte).contiguous();
  std::vector<cv::Mat> images;
  for (int64_t i = 0; i < bytes.size(0); ++i) {
    const auto image = bytes[i];
    images.push_back(cv::Mat(static_cast<int>(image.size(0)),
                             static_cast<int>(image.size(1)),
                             CV_8UC3,
                             image.data_ptr())
                         .clone());
  }
  return images;
}

std::string frame_name(int64_t index) {
  char name[32];
  std::snprintf(name, sizeof(name), "frame_%06lld.png", static_cast<long long>(index));
  return name;
}

struct WindowLabels {
  int64_t first_frame = 0;
  std::vector<Classification> answers;
};

Json to_json(const std::vector<Classification>& answers) {
  auto predictions = Json::array();
  for (const auto& answer : answers) {
    predictions.push_back({{"id", answer.id}, {"label", answer.label}, {"score", answer.score}});
  }
  return predictions;
}

void print_decoded(const AutoencodeOptions& options,
                   int64_t frames,
                   const std::vector<Classification>& answers,
                   const std::vector<WindowLabels>& windows) {
  if (options.as_json) {
    auto parts = Json::array();
    for (const auto& window : windows) {
      parts.push_back(
          {{"first_frame", window.first_frame}, {"predictions", to_json(window.answers)}});
    }
    const Json line = {{"video", options.video.string()},
                       {"output", options.output.string()},
                       {"frames", frames},
                       {"predictions", to_json(answers)},
                       {"windows", parts}};
    // File names need not be UTF-8; JSON has to be.
    std::cout << line.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
    return;
  }
  std::cout << printable(options.video.string()) << '\n';
  for (const auto& answer : answers) {
    std::cout << "  " << std::fixed << std::setprecision(4) << answer.score << "  "
              << printable(answer.label) << '\n';
  }
}

// Steps to expect: what the file says it has, as far as there is sound.
std::size_t expected_steps(const AutoencodeOptions& options,
                           const PerceiverConfig& config,
                           const VideoReader& video,
                           int64_t samples) {
  int64_t frames = samples / config.audio_samples_per_frame;
  if (video.frame_count() > 0) frames = std::min(frames, video.frame_count());
  if (options.frames > 0) frames = std::min(frames, options.frames);
  const auto chunks =
      autoencoding_chunks(config, VideoAutoencodingOptions().chunks(options.chunks));
  return static_cast<std::size_t>(chunks * autoencoding_windows(config, frames));
}

// What the model makes of the video, frame by frame; PNGs are written on the way.
class DecodedVideo {
 public:
  DecodedVideo(const AutoencodeOptions& options,
               const PerceiverConfig& config,
               VideoAutoencoder& autoencoder)
      : options_(options), config_(config), autoencoder_(autoencoder) {}

  std::optional<cv::Mat> next_frame() {
    if (next_ == images_.size() && !next_window()) return std::nullopt;
    const auto& image = images_[next_++];
    if (options_.png) write_png(options_.output / frame_name(frames), image);
    ++frames;
    return image;
  }

  Sound sound() const {
    const auto all = torch::cat(audio_).contiguous();
    const float* samples = all.const_data_ptr<float>();
    return {kAutoencodingFrameRate * config_.audio_samples_per_frame,
            1,
            {samples, samples + all.numel()}};
  }

  // Of the whole video: by the mean of the windows' logits.
  std::vector<Classification> labels() const {
    const auto mean = torch::cat(logits_).mean(0, /*keepdim=*/true);
    return top_k_labels(config_, mean, options_.top_k).front();
  }

  int64_t frames = 0;  // given so far
  std::vector<WindowLabels> windows;

 private:
  bool next_window() {
    const auto window = autoencoder_.next();
    if (!window) return false;
    if (windows.empty()) make_folder(options_.output);
    images_ = to_images(window->frames);
    next_ = 0;
    audio_.push_back(window->audio);
    logits_.push_back(window->logits);
    windows.push_back(
        {window->first_frame, top_k_labels(config_, window->logits, options_.top_k).front()});
    return true;
  }

  const AutoencodeOptions& options_;
  const PerceiverConfig& config_;
  VideoAutoencoder& autoencoder_;
  std::vector<cv::Mat> images_;  // of the window
  std::size_t next_ = 0;
  std::vector<torch::Tensor> audio_;
  std::vector<torch::Tensor> logits_;
};

// Encodes the video anew for each part: an exported model has its forward only.
VideoAutoencodingModel exported_autoencoder(ExportedModel exported,
                                            PerceiverConfig config,
                                            torch::Device device,
                                            at::ScalarType dtype) {
  constexpr const char* kPoints = "subsampled_output_points.";
  constexpr const char* kLogits = "logits.";
  const auto& description = exported.description;
  const auto refuse = [&](const std::string& got) {
    throw CheckpointError("export",
                          "exported model",
                          "PerceiverForMultimodalAutoencoding for any number of output points",
                          got,
                          "vizoo export makes one");
  };
  if (description.class_name != PerceiverForMultimodalAutoencodingImpl::kClassName) {
    refuse(printable(description.class_name));
  }
  for (const auto& input : description.inputs) {
    if (input.name.rfind(kPoints, 0) != 0 || input.shape.empty()) continue;
    const auto* fixed = std::get_if<int64_t>(&input.shape.front());
    if (fixed != nullptr) refuse("one for " + std::to_string(*fixed));
  }
  const auto call = [=](NamedArguments arguments, const PerceiverModalities& points) {
    for (const auto& [modality, tensor] : points) arguments[kPoints + modality] = tensor.to(device);
    PerceiverModalities logits;
    for (const auto& [name, tensor] : run_torchscript(exported, arguments)) {
      if (name.rfind(kLogits, 0) == 0) logits[name.substr(std::strlen(kLogits))] = tensor;
    }
    return logits;
  };
  return {std::move(config), [=](const PerceiverModalities& inputs) {
            NamedArguments arguments;
            for (const auto& [modality, tensor] : inputs) {
              arguments["inputs." + modality] = tensor.to(device, dtype);
            }
            return [=](const PerceiverModalities& points) { return call(arguments, points); };
          }};
}

int autoencode(const AutoencodeOptions& options) {
  apply_threads(options.threads);
  const ModelSource source(options.model);
  LoadReport report;
  const auto device = parse_device(options.device);
  const auto dtype = parse_dtype(options.dtype);
  const auto load = LoadOptions().torch_dtype(dtype).device(device).report(&report);
  PerceiverForMultimodalAutoencoding loaded{nullptr};  // outlives what runs it
  if (!source.is_exported()) {
    loaded = from_pretrained<PerceiverForMultimodalAutoencoding>(source.folder(), load);
  }
  const auto model = source.is_exported()
                         ? exported_autoencoder(source.load_exported(load),
                                                config_from_json<PerceiverConfig>(
                                                    load_config(source.folder()), "config.json"),
                                                device,
                                                dtype)
                         : VideoAutoencodingModel(*loaded);
  print_warnings(report);
  const c10::InferenceMode inference;
  const auto& config = model.config;
  const auto audio = read_audio(options, config);
  VideoReader video(options.video);
  warn_about_rate(options, video);

  Progress progress("decode", expected_steps(options, config, video, audio.size(0)));
  VideoAutoencoder autoencoder(
      model,
      [&, read = int64_t{0}]() mutable -> torch::Tensor {
        if (options.frames > 0 && read == options.frames) return {};
        const auto frame = video.next();
        if (!frame) return {};
        ++read;
        return prepare_frame(*frame, config);
      },
      audio,
      VideoAutoencodingOptions().chunks(options.chunks).on_chunk([&] { progress.step(); }));
  DecodedVideo decoded(options, config, autoencoder);
  try {
    write_video(
        options.output / "video.avi",
        [&] { return decoded.next_frame(); },
        static_cast<double>(kAutoencodingFrameRate));
  } catch (const ShapeError&) {
    if (autoencoder.frames_read() >= config.num_frames) throw;
    throw ImageError("video",
                     printable(options.video.string()),
                     "at least " + std::to_string(config.num_frames) + " frames",
                     std::to_string(autoencoder.frames_read()));
  }
  write_wav(options.output / "audio.wav", decoded.sound());
  print_decoded(options, decoded.frames, decoded.labels(), decoded.windows);
  return kOk;
}

}  // namespace

void add_autoencode(CLI::App& program, Run& run) {
  auto* command = program.add_subcommand(
      "autoencode", "Encode a video and its sound, decode both, and label the video");
  auto options = std::make_shared<AutoencodeOptions>();
  add_model_options(*command, options->model);
  command
      ->add_option("video",
                   options->video,
                   "Frames at 25 a second, of which the square in the middle is read, "
                   "16 after another as far as there is sound")
      ->required()
      ->type_name("VIDEO");
  command->add_option("--audio", options->audio, "Its sound: WAV, 48 kHz, one channel")
      ->required()
      ->type_name("FILE.wav");
  command->add_option("--output", options->output, "Folder for video.avi and audio.wav, decoded")
      ->required()
      ->type_name("DIR");
  command->add_flag("--png", options->png, "Each decoded frame as PNG as well");
  command->add_option("--frames", options->frames, "Only so many frames at the beginning; 0: all")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40))
      ->capture_default_str();
  command->add_option("--chunks", options->chunks, "Parts to decode in; more take less memory")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command->add_option("--top-k", options->top_k, "Labels")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  add_dtype_option(*command, options->dtype);
  add_device_option(*command, options->device);
  add_threads_option(*command, options->threads);
  command->add_flag("--json", options->as_json, "One JSON object");
  command->footer(
      "Example: vizoo autoencode --model multimodal-perceiver --audio clip.wav --output decoded "
      "clip.mp4");
  command->callback([&run, options] { run = [options] { return autoencode(*options); }; });
}

}  // namespace vizoo::app
