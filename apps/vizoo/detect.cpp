// `vizoo detect`: finds what words or a picture describe. Worker threads decode and preprocess
// while the model loads and runs; a bad image is reported and the others are answered all the same.
#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <optional>
#include <sstream>

#include "commands.h"
#include "common.h"
#include "detect_output.h"
#include "image_batches.h"
#include "images.h"
#include "model_source.h"
#include "vizoo/core/error.h"
#include "vizoo/hub/auto_model.h"
#include "vizoo/io/file.h"
#include "vizoo/tasks/auto_processor.h"
#include "vizoo/tasks/object_detection.h"
#include "vizoo/tasks/zero_shot_detection.h"
#include "vizoo/vision/image.h"

namespace vizoo::app {
namespace {

struct DetectOptions {
  ModelOptions model;
  std::vector<std::string> images;
  std::vector<std::string> texts;
  std::filesystem::path text_file;
  std::filesystem::path query_image;
  std::optional<double> threshold;
  std::optional<double> nms;
  std::string box_scale = "max";
  std::optional<double> pad_value;
  bool truncation = false;
  std::filesystem::path draw;
  std::string image_backend = "pil";
  std::string dtype = "float32";
  std::string device = "cpu";
  std::string model_args = "{}";
  int64_t batch = 1;
  int threads = 0;
  bool as_json = false;
};

// The texts of the command line and of the file, one a line; blank lines are left out.
std::vector<std::string> read_texts(const DetectOptions& options) {
  const auto is_blank = [](const std::string& text) {
    return text.find_first_not_of(" \t\r\n\v\f") == std::string::npos;
  };
  std::vector<std::string> texts = options.texts;
  for (const auto& text : texts) {
    if (is_blank(text)) throw UsageError("usage", "--text", "words", quote(text));
  }
  if (options.text_file.empty()) return texts;
  constexpr std::size_t kMaxBytes = std::size_t{16} << 20U;
  std::istringstream lines(read_file(options.text_file, kMaxBytes, FileKind::tokenizer));
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!is_blank(line)) texts.push_back(line);
  }
  if (texts.empty()) {
    throw UsageError(
        "usage", printable(options.text_file.string()), "a file with a text on each line", "none");
  }
  return texts;
}

void check_detect_usage(const DetectOptions& options, std::size_t image_count) {
  const bool words = !options.texts.empty() || !options.text_file.empty();
  if (words == !options.query_image.empty()) {
    throw UsageError("usage",
                     "detect",
                     "either --text or --text-file, or --query-image",
                     words ? "both" : "neither");
  }
  if (options.draw.empty() || image_count == 1) return;
  const auto extension = options.draw.extension();
  std::error_code error;
  if (!extension.empty() && !std::filesystem::is_directory(options.draw, error)) {
    throw UsageError("usage",
                     "--draw",
                     "a folder for " + std::to_string(image_count) + " images",
                     quote(options.draw.string()));
  }
}

// Texts or the query image, made ready before the model is there.
struct PreparedQuery {
  std::vector<std::string> texts;
  torch::Tensor input_ids;
  torch::Tensor attention_mask;
  torch::Tensor pixel_values;  // of the query image
};

ImageProcessorOptions processor_options(const DetectOptions& options) {
  ImageProcessorOptions processor;
  processor.backend(*enum_value<ImageBackend>(options.image_backend));
  if (options.pad_value) {
    processor.overrides({{"pad_value", Json(*options.pad_value).dump()}});
  }
  return processor;
}

PreparedQuery prepare_query(const DetectOptions& options,
                            const ModelSource& source,
                            const ImageProcessor& image_processor) {
  PreparedQuery query;
  if (!options.query_image.empty()) {
    const auto image = read_image(options.query_image, ImageDecodeOptions{true});
    try {
      query.pixel_values = image_processor(image).pixel_values;
    } catch (const Error& error) {
      throw ImageError(error_of_image(error, options.query_image));
    }
    return query;
  }
  query.texts = read_texts(options);
  const auto processor = AutoProcessor::from_pretrained(source.folder());
  const auto features =
      (*processor)({{query.texts}, {}, {}}, ProcessorCallOptions().truncation(options.truncation));
  for (const auto& warning : features.warnings) std::cerr << "warning: " << warning << ".\n";
  query.input_ids = features.input_ids;
  query.attention_mask = features.attention_mask;
  return query;
}

// The detections of each image of a batch; those without any are there too.
std::vector<Detections> post_process(const DetectOptions& options,
                                     const std::vector<std::string>& texts,
                                     const QueryDetections& output,
                                     const TargetSizes& sizes) {
  const auto scaling = *enum_value<BoxScaling>(options.box_scale);
  if (!texts.empty()) {
    auto results =
        post_process_grounded_object_detection(output.logits,
                                               output.pred_boxes,
                                               {sizes.size(), texts},
                                               ObjectDetectionOptions()
                                                   .threshold(options.threshold.value_or(0.1))
                                                   .target_sizes(sizes)
                                                   .box_scaling(scaling));
    if (options.nms) {
      for (auto& result : results) result = class_wise_nms(result, *options.nms);
    }
    return results;
  }
  std::vector<Detections> results(sizes.size());
  for (auto& result : results) {
    result.scores = torch::empty({0});
    result.boxes = torch::empty({0, 4});
  }
  for (auto& result :
       post_process_image_guided_detection(output.logits,
                                           output.pred_boxes,
                                           ImageGuidedDetectionOptions()
                                               .threshold(options.threshold.value_or(0.0))
                                               .nms_threshold(options.nms.value_or(0.3))
                                               .target_sizes(sizes)
                                               .box_scaling(scaling))) {
    results[static_cast<std::size_t>(result.image)] = std::move(result);
  }
  return results;
}

DetectionQueries make_queries(const DetectOptions& options,
                              const PreparedQuery& query,
                              Owlv2ForObjectDetectionImpl& model) {
  const auto device = parse_device(options.device);
  if (!query.texts.empty()) {
    return text_queries(model, query.input_ids.to(device), query.attention_mask.to(device));
  }
  try {
    return image_query(model, query.pixel_values.to(device, parse_dtype(options.dtype)));
  } catch (const ImageError& error) {
    throw ImageError(error_of_image(error, options.query_image));
  }
}

// What a batch of images [B, 3, H, W] becomes.
using Detector = std::function<QueryDetections(const torch::Tensor& pixel_values)>;

constexpr const char* kGuidedDetection = "image_guided_detection";

QueryDetections detections_of(const ExportedModel& exported,
                              const NamedArguments& arguments,
                              const std::string& method,
                              const std::string& boxes) {
  QueryDetections detections;
  for (const auto& [name, tensor] : run_torchscript(exported, arguments, method)) {
    if (name == "logits") detections.logits = tensor;
    if (name == boxes) detections.pred_boxes = tensor;
  }
  if (detections.logits.defined() && detections.pred_boxes.defined()) return detections;
  throw CheckpointError("export",
                        "exported model",
                        "a detector with the outputs logits and " + boxes,
                        printable(exported.description.class_name));
}

// An exported model reads the texts, or the query image, anew with every batch.
Detector exported_detector(const DetectOptions& options,
                           const PreparedQuery& query,
                           ExportedModel exported) {
  const auto device = parse_device(options.device);
  if (query.texts.empty()) {
    exported.description.signature(kGuidedDetection);  // throws
    return [path = options.query_image,
            query_image = query.pixel_values.to(device, parse_dtype(options.dtype)),
            exported = std::move(exported)](const torch::Tensor& pixel_values) {
      auto detections =
          detections_of(exported,
                        {{"pixel_values", pixel_values}, {"query_pixel_values", query_image}},
                        kGuidedDetection,
                        "target_pred_boxes");
      if (detections.logits.isnan().all().item<bool>()) {
        throw ImageError(error_of_image(query_image_error(), path));
      }
      return detections;
    };
  }
  return [device, query, exported = std::move(exported)](const torch::Tensor& pixel_values) {
    const auto batch = pixel_values.size(0);
    NamedArguments arguments{{"pixel_values", pixel_values},
                             {"input_ids", query.input_ids.repeat({batch, 1}).to(device)}};
    for (const auto& input : exported.description.inputs) {
      if (input.name != "attention_mask") continue;
      arguments[input.name] = query.attention_mask.repeat({batch, 1}).to(device);
    }
    return detections_of(exported, arguments, "forward", "pred_boxes");
  };
}

Detector make_detector(const DetectOptions& options,
                       const PreparedQuery& query,
                       const ModelSource& source) {
  LoadReport report;
  const auto load = LoadOptions()
                        .torch_dtype(parse_dtype(options.dtype))
                        .device(parse_device(options.device))
                        .model_args(options.model_args)
                        .report(&report);
  if (source.is_exported()) {
    return exported_detector(options, query, source.load_exported(load));
  }
  auto model = AutoModelForZeroShotObjectDetection::from_pretrained(source.folder(), load);
  print_warnings(report);
  const c10::InferenceMode inference;  // from here on: a model is loaded outside of it
  return [model, queries = make_queries(options, query, *model)](
             const torch::Tensor& pixel_values) mutable {
    return detect_queries(*model, queries, pixel_values);
  };
}

int detect(const DetectOptions& options) {
  apply_threads(options.threads);
  const auto paths = expand_images(options.images);
  check_detect_usage(options, paths.size());
  Pictures pictures(options.draw, paths.size());
  const ModelSource source(options.model);
  const auto processor =
      AutoImageProcessor::from_pretrained(source.folder(), processor_options(options));
  const auto query = prepare_query(options, source, *processor);
  // Started before the model is loaded: the first batch is ready when the model is.
  ImageBatches batches(paths, *processor, options.batch, options.threads);

  const auto device = parse_device(options.device);
  const auto dtype = parse_dtype(options.dtype);
  const auto detector = make_detector(options, query, source);
  const c10::InferenceMode inference;
  Progress progress("detect", paths.size());
  DetectionPrinter printer(options.as_json, progress);
  batches.for_each(
      [&](const std::vector<PreparedImage>& images, const torch::Tensor& pixel_values) {
        const auto output = detector(pixel_values.to(device, dtype));
        TargetSizes sizes;
        for (const auto& image : images) sizes.push_back({image.size.height, image.size.width});
        const auto results = post_process(options, query.texts, output, sizes);
        for (std::size_t i = 0; i < images.size(); ++i) {
          const auto found = found_in(results[i]);
          pictures.draw(images[i].path, found);
          printer.answer(images[i], found);
        }
      },
      [&](const PreparedImage& image) { printer.failure(image.path, image.error); });
  return printer.failed() ? kFailed : kOk;
}

}  // namespace

void add_detect(CLI::App& program, Run& run) {
  auto* command = program.add_subcommand("detect", "Find what words or a picture describe");
  auto options = std::make_shared<DetectOptions>();
  add_model_options(*command, options->model);
  add_images_argument(*command, options->images);
  command->add_option("--text", options->texts, "What to look for, may be repeated")
      ->type_name("TEXT")
      ->allow_extra_args(false);
  command->add_option("--text-file", options->text_file, "The same, one on each line")
      ->type_name("FILE");
  command
      ->add_option("--query-image",
                   options->query_image,
                   "A picture of what to look for. Scores are then relative to the best one")
      ->type_name("IMAGE");
  command
      ->add_option("--threshold",
                   options->threshold,
                   "Least score (default: 0.1 for texts, 0 for a query image)")
      ->check(CLI::Range(0.0, 1.0));
  command
      ->add_option("--nms",
                   options->nms,
                   "Leave out a box that a better one of the same text overlaps by more than this "
                   "(default: keep all for texts, 0.3 for a query image)")
      ->check(CLI::Range(0.0, 1.0));
  command
      ->add_option("--box-scale",
                   options->box_scale,
                   "max: boxes by the longer side, as Transformers since 4.42; wh: by width and "
                   "height, as 4.37")
      ->check(CLI::IsMember({"max", "wh"}))
      ->capture_default_str();
  command->add_option("--pad-value",
                      options->pad_value,
                      "What images are padded with (default: 0.5 with pil, as Transformers 4.37; 0 "
                      "with torchvision, as 5.x)");
  command->add_flag(
      "--truncation", options->truncation, "Cut texts that are longer than the model takes");
  command
      ->add_option("--draw", options->draw, "Picture with the boxes; a folder for several images")
      ->type_name("OUT.png");
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
      "Example: vizoo detect --model owlv2-base-patch16-ensemble --text \"a cat\" "
      "--text \"a remote control\" --draw found.png photo.jpg");
  command->callback([&run, options] { run = [options] { return detect(*options); }; });
}

}  // namespace vizoo::app
