// `vizoo flow`: where the pixels of one frame went in the next, of two images or a whole video.
#include <CLI/CLI.hpp>
#include <cstring>
#include <iomanip>
#include <iostream>
#include <memory>
#include <optional>

#include "commands.h"
#include "common.h"
#include "images.h"
#include "model_source.h"
#include "vizoo/core/error.h"
#include "vizoo/hub/from_pretrained.h"
#include "vizoo/io/flow_file.h"
#include "vizoo/io/json.h"
#include "vizoo/tasks/draw_flow.h"
#include "vizoo/tasks/optical_flow.h"
#include "vizoo/vision/image.h"
#include "vizoo/vision/video.h"

namespace vizoo::app {
namespace {

struct FlowOptions {
  ModelOptions model;
  std::vector<std::string> inputs;
  std::filesystem::path output;
  std::string format = "png";
  std::string colors = "middlebury";
  std::string dtype = "float32";
  std::string device = "cpu";
  double max_flow = 0.0;
  int64_t frames = 0;
  int64_t batch = 1;
  int threads = 0;
  bool no_legend = false;
  bool as_json = false;

  bool is_video() const { return inputs.size() == 1; }
};

std::string size_text(const cv::Mat& frame) {
  return std::to_string(frame.rows) + " x " + std::to_string(frame.cols);
}

// [H, W, 3], uint8; shares the matrix's memory.
torch::Tensor frame_tensor(const cv::Mat& frame) {
  return torch::from_blob(frame.data, {frame.rows, frame.cols, 3}, torch::kByte);
}

// Estimates one flow after another and says how it looks.
class Estimator {
 public:
  Estimator(const FlowOptions& options, FlowModel model)
      : options_(options), model_(std::move(model)) {}

  int64_t tiles(const cv::Mat& frame) const {
    return flow_tile_count(model_, frame.rows, frame.cols, call_);
  }

  void run(const cv::Mat& first,
           const cv::Mat& second,
           const Json& names,
           const std::filesystem::path& output,
           Progress& progress) {
    call_.batch(options_.batch).on_tile([&progress] { progress.step(); });
    const auto flow = optical_flow(model_, frame_tensor(first), frame_tensor(second), call_);
    if (!output.empty()) write(output, flow);
    progress.clear();
    print(names, flow, output);
  }

 private:
  void write(const std::filesystem::path& path, const torch::Tensor& flow) const {
    if (path.extension() == ".flo") {
      const auto table = flow.contiguous();
      const float* begin = table.const_data_ptr<float>();
      write_flow(path, {flow.size(0), flow.size(1), {begin, begin + table.numel()}});
      return;
    }
    const auto picture = FlowPictureOptions()
                             .colors(*enum_value<FlowColors>(options_.colors))
                             .max_flow(options_.max_flow);
    write_png(path, options_.no_legend ? flow_colors(flow, picture) : draw_flow(flow, picture));
  }

  void print(const Json& names,
             const torch::Tensor& flow,
             const std::filesystem::path& output) const {
    const auto mean = flow.to(torch::kFloat64).mean(std::vector<int64_t>{0, 1}).contiguous();
    const double right = mean[0].item<double>();
    const double down = mean[1].item<double>();
    const double longest = longest_flow(flow);
    if (options_.as_json) {
      Json line = names;
      line["height"] = flow.size(0);
      line["width"] = flow.size(1);
      line["mean"] = {right, down};
      line["longest"] = longest;
      line["output"] = output.empty() ? Json() : Json(output.string());
      // File names need not be UTF-8; JSON has to be.
      std::cout << line.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
      return;
    }
    std::cout << std::fixed << std::setprecision(2) << "mean " << right << " right, " << down
              << " down; longest " << longest << " pixels";
    if (!output.empty()) std::cout << "  " << printable(output.string());
    std::cout << '\n';
  }

  const FlowOptions& options_;
  FlowModel model_;
  OpticalFlowOptions call_;
};

void check_flow_usage(const FlowOptions& options) {
  if (options.inputs.size() > 2) {
    throw UsageError("usage",
                     "flow",
                     "two images, or one video",
                     std::to_string(options.inputs.size()) + " files");
  }
  const auto extension = options.output.extension();
  if (options.is_video()) {
    std::error_code error;
    const bool is_file = extension == ".flo" || extension == ".png";
    if (options.output.empty() ||
        (is_file && !std::filesystem::is_directory(options.output, error))) {
      throw UsageError("usage",
                       "--output",
                       "a folder for the frames of a video",
                       options.output.empty() ? "none" : quote(options.output.string()));
    }
  } else if (!options.output.empty() && extension != ".flo" && extension != ".png") {
    throw UsageError(
        "usage", "--output", "a name that ends in .flo or .png", quote(options.output.string()));
  }
}

void run_pair(const FlowOptions& options, Estimator& estimator) {
  const auto first = read_image(options.inputs[0], ImageDecodeOptions{true});
  const auto second = read_image(options.inputs[1], ImageDecodeOptions{true});
  if (first.size() != second.size()) {
    throw ImageError("image",
                     printable(options.inputs[1]),
                     size_text(first) + " pixels, as " + printable(options.inputs[0]) + " has",
                     size_text(second));
  }
  Progress progress("flow", static_cast<std::size_t>(estimator.tiles(first)));
  estimator.run(first,
                second,
                {{"first", options.inputs[0]}, {"second", options.inputs[1]}},
                options.output,
                progress);
}

std::filesystem::path output_of(const FlowOptions& options, int64_t index) {
  char name[32];
  std::snprintf(name, sizeof(name), "flow_%06lld.", static_cast<long long>(index));
  return options.output / (name + options.format);
}

void run_video(const FlowOptions& options, Estimator& estimator) {
  VideoReader video(options.inputs[0]);
  auto first = video.next();
  auto second = video.next();
  if (!second) {
    throw ImageError(
        "video", printable(options.inputs[0]), "at least two frames", first ? "one" : "none");
  }
  const auto tiles = estimator.tiles(*first);
  std::error_code error;
  std::filesystem::create_directories(options.output, error);
  if (error) {
    throw ImageError("image",
                     printable(options.output.string()),
                     "a folder that can be made",
                     quote(error.message()));
  }
  int64_t pairs = std::max<int64_t>(video.frame_count() - 1, 1);
  if (options.frames > 0) pairs = std::min(pairs, options.frames - 1);
  Progress progress("flow", static_cast<std::size_t>(pairs * tiles));
  for (int64_t index = 0; second; ++index) {
    estimator.run(*first,
                  *second,
                  {{"video", options.inputs[0]}, {"frame", index}},
                  output_of(options, index),
                  progress);
    first = std::move(second);
    second.reset();
    if (options.frames == 0 || index + 2 < options.frames) second = video.next();
  }
}

FlowModel exported_flow_model(ExportedModel exported, torch::Device device, at::ScalarType dtype) {
  const auto& inputs = exported.description.inputs;
  constexpr std::size_t kRank = 5;  // [B, 2, 27, height, width]
  const bool fits = inputs.size() == 1 && inputs[0].shape.size() == kRank &&
                    exported.description.outputs.front() == "logits";
  const auto* height = fits ? std::get_if<int64_t>(&inputs[0].shape[3]) : nullptr;
  const auto* width = fits ? std::get_if<int64_t>(&inputs[0].shape[4]) : nullptr;
  if (height == nullptr || width == nullptr) {
    throw CheckpointError("export",
                          "exported model",
                          "PerceiverForOpticalFlow",
                          printable(exported.description.class_name));
  }
  const auto name = inputs[0].name;
  return {*height, *width, [=](const torch::Tensor& patches) {
            return run_torchscript(exported, {{name, patches.to(device, dtype)}}).front().second;
          }};
}

int flow(const FlowOptions& options) {
  apply_threads(options.threads);
  check_flow_usage(options);
  const ModelSource source(options.model);
  LoadReport report;
  const auto device = parse_device(options.device);
  const auto dtype = parse_dtype(options.dtype);
  const auto load = LoadOptions().torch_dtype(dtype).device(device).report(&report);
  PerceiverForOpticalFlow model{nullptr};  // outlives the estimator
  if (!source.is_exported()) {
    model = from_pretrained<PerceiverForOpticalFlow>(source.folder(), load);
  }
  Estimator estimator(options,
                      source.is_exported()
                          ? exported_flow_model(source.load_exported(load), device, dtype)
                          : FlowModel(*model));
  print_warnings(report);
  const c10::InferenceMode inference;
  options.is_video() ? run_video(options, estimator) : run_pair(options, estimator);
  return kOk;
}

}  // namespace

void add_flow(CLI::App& program, Run& run) {
  auto* command = program.add_subcommand("flow", "Find where pixels move between two frames");
  auto options = std::make_shared<FlowOptions>();
  add_model_options(*command, options->model);
  command->add_option("frames", options->inputs, "Two images of one size, or a video")
      ->required()
      ->type_name("A B | VIDEO");
  command
      ->add_option("--output",
                   options->output,
                   "Displacements (.flo) or their colours (.png); of a video a folder")
      ->type_name("F.flo|F.png|DIR");
  command->add_option("--format", options->format, "What is written for a video: png or flo")
      ->check(CLI::IsMember({"png", "flo"}))
      ->capture_default_str();
  command
      ->add_option("--colors",
                   options->colors,
                   "middlebury, hsv, or notebook (hsv with red and blue exchanged)")
      ->check(CLI::IsMember({"middlebury", "hsv", "notebook"}))
      ->capture_default_str();
  command
      ->add_option(
          "--max-flow",
          options->max_flow,
          "Pixels that have the full colour (default: the longest displacement; 24 for hsv "
          "and notebook)")
      ->check(CLI::Range(1e-6, 1e9))
      ->type_name("PIXELS");
  command->add_flag("--no-legend", options->no_legend, "Only the colours, in the frame's size");
  command->add_option("--frames", options->frames, "Frames of the video to read (default: all)")
      ->check(CLI::Range(2, 1000000000))
      ->type_name("N");
  command->add_option("--batch", options->batch, "Tiles that run together")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  add_dtype_option(*command, options->dtype);
  add_device_option(*command, options->device);
  add_threads_option(*command, options->threads);
  command->add_flag("--json", options->as_json, "One JSON object for each pair of frames");
  command->footer(
      "Example: vizoo flow --model optical-flow-perceiver --output flow.png frame1.png frame2.png\n"
      "         vizoo flow --model optical-flow-perceiver --output flows --max-flow 30 video.mp4");
  command->callback([&run, options] { run = [options] { return flow(*options); }; });
}

}  // namespace vizoo::app
