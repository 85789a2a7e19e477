// `vizoo autoencode`: a video and its sound through the multimodal Perceiver, and its labels.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <iomanip>
#include <iostream>
#include <memory>
#include <opencv2/imgproc.hpp>
#include <optional>

#include "commands.h"
#include "common.h"
#include "images.h"
#include "vizoo/core/error.h"
#include "vizoo/hub/from_pretrained.h"
#include "vizoo/io/json.h"
#include "vizoo/io/wav_file.h"
#include "vizoo/tasks/image_classification.h"
#include "vizoo/tasks/video_autoencoding.h"
#include "vizoo/vision/video.h"

namespace vizoo::app {
namespace {

struct Options {
  std::filesystem::path model;
  std::filesystem::path video;
  std::filesystem::path audio;
  std::filesystem::path output;
  std::string dtype = "float32";
  std::string device = "cpu";
  int64_t chunks = 128;
  int64_t top_k = 5;
  int threads = 0;
  bool png = false;
  bool as_json = false;
};

// The square in the middle, resized as upstream's example does: bilinear, without antialias.
cv::Mat prepare_frame(const cv::Mat& frame, int height, int width) {
  const int side = std::min(frame.rows, frame.cols);
  const cv::Rect square(frame.cols / 2 - side / 2, frame.rows / 2 - side / 2, side, side);
  cv::Mat resized;
  cv::resize(frame(square), resized, {width, height}, 0.0, 0.0, cv::INTER_LINEAR);
  return resized;
}

torch::Tensor read_frames(const Options& options, const PerceiverConfig& config) {
  VideoReader video(options.video);
  const double rate = video.frames_per_second();
  if (rate > 0.0 && std::abs(rate - kAutoencodingFrameRate) > 0.01) {
    std::cerr << "warning: " << printable(options.video.string()) << " has " << rate
              << " frames a second; the model takes them for " << kAutoencodingFrameRate << ".\n";
  }
  std::vector<torch::Tensor> frames;
  while (static_cast<int64_t>(frames.size()) < config.num_frames) {
    const auto frame = video.next();
    if (!frame) {
      throw ImageError("video",
                       printable(options.video.string()),
                       "at least " + std::to_string(config.num_frames) + " frames",
                       std::to_string(frames.size()));
    }
    const auto prepared = prepare_frame(*frame,
                                        static_cast<int>(config.output_shape.at(2)),
                                        static_cast<int>(config.output_shape.at(3)));
    frames.push_back(
        torch::from_blob(prepared.data, {prepared.rows, prepared.cols, 3}, torch::kByte).clone());
  }
  return torch::stack(frames);
}

torch::Tensor read_audio(const Options& options, const PerceiverConfig& config) {
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
  return torch::tensor(sound.samples, torch::kFloat32).narrow(0, 0, needed);
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

void write_results(const Options& options, const AutoencodedVideo& result, int64_t rate) {
  const auto folder = make_folder(options.output);
  // As upstream's example shows them: cut to [0, 255], fractions dropped.
  const auto bytes = result.frames.mul(255).clamp(0, 255).to(torch::kByte).contiguous();
  std::vector<cv::Mat> frames;
  for (int64_t i = 0; i < bytes.size(0); ++i) {
    frames.emplace_back(static_cast<int>(bytes.size(1)),
                        static_cast<int>(bytes.size(2)),
                        CV_8UC3,
                        bytes[i].data_ptr());
    char name[32];
    std::snprintf(name, sizeof(name), "frame_%06lld.png", static_cast<long long>(i));
    if (options.png) write_png(folder / name, frames.back());
  }
  write_video(folder / "video.avi", frames, static_cast<double>(kAutoencodingFrameRate));
  const auto audio = result.audio.contiguous();
  const float* samples = audio.const_data_ptr<float>();
  write_wav(folder / "audio.wav", Sound{rate, 1, {samples, samples + audio.numel()}});
}

void print(const Options& options, const std::vector<Classification>& answers) {
  if (options.as_json) {
    auto predictions = Json::array();
    for (const auto& answer : answers) {
      predictions.push_back({{"id", answer.id}, {"label", answer.label}, {"score", answer.score}});
    }
    const Json line = {{"video", options.video.string()},
                       {"output", options.output.string()},
                       {"predictions", predictions}};
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

int autoencode(const Options& options) {
  apply_threads(options.threads);
  LoadReport report;
  const auto model = from_pretrained<PerceiverForMultimodalAutoencoding>(
      options.model,
      LoadOptions()
          .torch_dtype(parse_dtype(options.dtype))
          .device(parse_device(options.device))
          .report(&report));
  print_warnings(report);
  const auto& config = model->config;
  const auto audio = read_audio(options, config);
  const auto frames = read_frames(options, config);

  auto call = VideoAutoencodingOptions().chunks(options.chunks);
  AutoencodedVideo result;
  {
    const c10::InferenceMode inference;
    Progress progress("decode", static_cast<std::size_t>(autoencoding_chunks(config, call)));
    result = autoencode_video(*model, frames, audio, call.on_chunk([&] { progress.step(); }));
    write_results(options, result, kAutoencodingFrameRate * config.audio_samples_per_frame);
    print(options, top_k_labels(config, result.logits, options.top_k).front());
  }
  return kOk;
}

}  // namespace

void add_autoencode(CLI::App& program, Run& run) {
  auto* command = program.add_subcommand(
      "autoencode", "Encode a video and its sound, decode both, and label the video");
  auto options = std::make_shared<Options>();
  add_model_option(*command, options->model);
  command
      ->add_option("video",
                   options->video,
                   "The first frames are read, 16 at 25 a second; the "
                   "square in their middle")
      ->required()
      ->type_name("VIDEO");
  command->add_option("--audio", options->audio, "Its sound: WAV, 48 kHz, one channel")
      ->required()
      ->type_name("FILE.wav");
  command->add_option("--output", options->output, "Folder for video.avi and audio.wav, decoded")
      ->required()
      ->type_name("DIR");
  command->add_flag("--png", options->png, "Each decoded frame as PNG as well");
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
