// `vizoo classify`: labels and scores of images. Worker threads decode and preprocess while the
// model loads and runs; a bad image is reported and the others are answered all the same.
#include <CLI/CLI.hpp>
#include <iomanip>
#include <iostream>
#include <memory>

#include "commands.h"
#include "common.h"
#include "image_batches.h"
#include "images.h"
#include "model_source.h"
#include "vizoo/core/error.h"
#include "vizoo/tasks/image_classification.h"
#include "vizoo/vision/auto_image_processor.h"

namespace vizoo::app {
namespace {

struct ClassifyOptions {
  ModelOptions model;
  std::vector<std::string> images;
  std::string image_backend = "pil";
  std::string dtype = "float32";
  std::string device = "cpu";
  std::string model_args = "{}";
  int64_t top_k = 5;
  int64_t batch = 8;
  int threads = 0;
  bool as_json = false;
};

class Printer {
 public:
  Printer(bool as_json, Progress& progress) : as_json_(as_json), progress_(progress) {}

  void answer(const std::string& path, const std::vector<Classification>& answers) {
    progress_.clear();
    if (as_json_) {
      auto predictions = Json::array();
      for (const auto& answer : answers) {
        predictions.push_back(
            {{"id", answer.id}, {"label", answer.label}, {"score", answer.score}});
      }
      print({{"image", path}, {"predictions", predictions}});
    } else {
      std::cout << printable(path) << '\n';
      for (const auto& answer : answers) {
        std::cout << "  " << std::fixed << std::setprecision(4) << answer.score << "  "
                  << printable(answer.label) << '\n';
      }
    }
    progress_.step();
  }

  void failure(const std::string& path, const std::string& error) {
    failed_ = true;
    progress_.clear();
    std::cerr << error << '\n';
    if (as_json_) print({{"image", path}, {"error", error}});
    progress_.step();
  }

  bool failed() const { return failed_; }

 private:
  static void print(const Json& line) {
    // File names need not be UTF-8; JSON has to be.
    std::cout << line.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
  }

  bool as_json_;
  Progress& progress_;
  bool failed_ = false;
};

int classify(const ClassifyOptions& options) {
  apply_threads(options.threads);
  const auto backend = enum_value<ImageBackend>(options.image_backend);
  const auto paths = expand_images(options.images);
  const ModelSource source(options.model);
  const auto processor = AutoImageProcessor::from_pretrained(
      source.folder(), ImageProcessorOptions().backend(*backend));
  // Started before the model is loaded: the first batch is ready when the model is.
  ImageBatches batches(paths, *processor, options.batch, options.threads);

  LoadReport report;
  const auto device = parse_device(options.device);
  const auto dtype = parse_dtype(options.dtype);
  const auto model = load_image_classifier(source,
                                           LoadOptions()
                                               .torch_dtype(dtype)
                                               .device(device)
                                               .model_args(options.model_args)
                                               .report(&report));
  print_warnings(report);
  Progress progress("classify", paths.size());
  Printer printer(options.as_json, progress);
  batches.for_each(
      [&](const std::vector<PreparedImage>& images, const torch::Tensor& pixel_values) {
        const c10::InferenceMode inference;
        const auto output = model->forward(pixel_values.to(device, dtype));
        const auto answers = top_k_labels(model->base_config(), output.logits, options.top_k);
        for (std::size_t i = 0; i < images.size(); ++i) printer.answer(images[i].path, answers[i]);
      },
      [&](const PreparedImage& image) { printer.failure(image.path, image.error); });
  return printer.failed() ? kFailed : kOk;
}

}  // namespace

void add_classify(CLI::App& program, Run& run) {
  auto* command = program.add_subcommand("classify", "Label images");
  auto options = std::make_shared<ClassifyOptions>();
  add_model_options(*command, options->model);
  add_images_argument(*command, options->images);
  command->add_option("--top-k", options->top_k, "Labels for each image")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command->add_option("--batch", options->batch, "Images that run together")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  add_image_backend_option(*command, options->image_backend);
  add_model_args_option(*command, options->model_args);
  add_dtype_option(*command, options->dtype);
  add_device_option(*command, options->device);
  add_threads_option(*command, options->threads);
  command->add_flag("--json", options->as_json, "One JSON object for each image");
  command->footer(
      "Example: vizoo classify --model weights/convnext-digits --top-k 1 "
      "weights/convnext-digits/images");
  command->callback([&run, options] { run = [options] { return classify(*options); }; });
}

}  // namespace vizoo::app
