// `vizoo classify`: labels and scores of images. Worker threads decode and preprocess while the
// model loads and runs; a bad image is reported and the others are answered all the same.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <iomanip>
#include <iostream>
#include <memory>
#include <sstream>
#include <thread>

#include "commands.h"
#include "common.h"
#include "images.h"
#include "vizoo/core/error.h"
#include "vizoo/core/thread.h"
#include "vizoo/hub/auto_model.h"
#include "vizoo/tasks/image_classification.h"
#include "vizoo/vision/auto_image_processor.h"
#include "vizoo/vision/image.h"

namespace vizoo::app {
namespace {

struct Options {
  std::filesystem::path model;
  std::vector<std::string> images;
  std::string image_backend = "pil";
  std::string dtype = "float32";
  std::string device = "cpu";
  int64_t top_k = 5;
  int64_t batch = 8;
  int threads = 0;
  bool as_json = false;
};

// One image on its way through; either pixel values or the reason why there are none.
struct Item {
  std::string path;
  torch::Tensor pixel_values;  // [1, C, H, W]
  std::string error;
};

Item prepare(const std::filesystem::path& path, const ImageProcessor& processor) {
  Item item;
  item.path = path.string();
  try {
    // As Transformers' pipeline, which turns photos upright.
    const auto image = read_image(path, DecodeOptions{/*apply_exif_orientation=*/true});
    item.pixel_values =
        processor(image, PreprocessOptions().return_form(ReturnForm::stacked)).pixel_values;
  } catch (const std::exception& error) {
    const std::string message = error.what();
    item.error = message.substr(0, message.find('\n'));
    const std::string where = "[image] ";
    if (item.error.rfind(where, 0) == 0 &&
        item.error.find(printable(item.path)) == std::string::npos) {
      item.error = where + printable(item.path) + ": " + item.error.substr(where.size());
    }
  }
  return item;
}

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

// Images that came out in one size run as one batch.
class Batcher {
 public:
  Batcher(ImageClassifier model, const Options& options, Printer& printer)
      : model_(std::move(model)),
        options_(options),
        device_(parse_device(options.device)),
        dtype_(parse_dtype(options.dtype)),
        printer_(printer) {}

  void add(Item item) {
    if (!pending_.empty() && !item.error.empty()) flush();  // keeps the answers in order
    if (!item.error.empty()) return printer_.failure(item.path, item.error);
    if (!pending_.empty() && item.pixel_values.sizes() != pending_.front().pixel_values.sizes()) {
      flush();
    }
    pending_.push_back(std::move(item));
    if (static_cast<int64_t>(pending_.size()) >= options_.batch) flush();
  }

  void flush() {
    if (pending_.empty()) return;
    std::vector<torch::Tensor> pixel_values;
    for (const auto& item : pending_) pixel_values.push_back(item.pixel_values);
    const auto input = torch::cat(pixel_values).to(device_, dtype_);
    const c10::InferenceMode inference;
    const auto output = model_->forward(input);
    const auto answers = top_k_labels(model_->base_config(), output.logits, options_.top_k);
    for (std::size_t i = 0; i < pending_.size(); ++i) printer_.answer(pending_[i].path, answers[i]);
    pending_.clear();
  }

 private:
  ImageClassifier model_;
  const Options& options_;
  torch::Device device_;
  at::ScalarType dtype_;
  Printer& printer_;
  std::vector<Item> pending_;
};

int classify(const Options& options) {
  apply_threads(options.threads);
  const auto backend = enum_value<ImageBackend>(options.image_backend);
  const auto paths = expand_images(options.images);
  const auto processor =
      AutoImageProcessor::from_pretrained(options.model, ImageProcessorOptions().backend(*backend));
  const std::size_t workers = options.threads > 0
                                  ? static_cast<std::size_t>(options.threads)
                                  : std::max(1U, std::thread::hardware_concurrency());
  // Started before the model is loaded: the first batch is ready when the model is.
  OrderedPrefetch<Item> prefetch(
      paths.size(), workers, static_cast<std::size_t>(options.batch) * 2, [&](std::size_t i) {
        return prepare(paths[i], *processor);
      });

  LoadReport report;
  auto model =
      AutoModelForImageClassification::from_pretrained(options.model,
                                                       LoadOptions()
                                                           .torch_dtype(parse_dtype(options.dtype))
                                                           .device(parse_device(options.device))
                                                           .report(&report));
  print_warnings(report);
  Progress progress("classify", paths.size());
  Printer printer(options.as_json, progress);
  Batcher batcher(model, options, printer);
  while (!prefetch.done()) batcher.add(prefetch.next());
  batcher.flush();
  return printer.failed() ? kFailed : kOk;
}

}  // namespace

void add_classify(CLI::App& program, Run& run) {
  auto* command = program.add_subcommand("classify", "Label images");
  auto options = std::make_shared<Options>();
  add_model_option(*command, options->model);
  add_images_argument(*command, options->images);
  command->add_option("--top-k", options->top_k, "Labels for each image")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command->add_option("--batch", options->batch, "Images that run together")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  add_image_backend_option(*command, options->image_backend);
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
