// `vizoo preprocess`: what the processor of a checkpoint makes of images, texts and query images.
#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <sstream>

#include "commands.h"
#include "common.h"
#include "images.h"
#include "vizoo/core/error.h"
#include "vizoo/hub/tensor_file.h"
#include "vizoo/tasks/auto_processor.h"
#include "vizoo/vision/image.h"

namespace vizoo::app {
namespace {

struct PreprocessCommandOptions {
  std::filesystem::path model;
  std::filesystem::path outputs;
  std::filesystem::path draw;
  std::vector<std::string> images;
  std::vector<std::string> texts;
  std::vector<std::string> query_images;
  std::vector<std::string> settings;
  std::string image_backend = "pil";
  bool apply_exif_orientation = false;
  bool truncation = false;
};

// The last image, beside what the model will see of it.
void draw(const PreprocessCommandOptions& options,
          const cv::Mat& original,
          const torch::Tensor& pixel_values,
          const ImageProcessor& processor,
          const PreprocessOptions& call) {
  const auto settings = processor.settings();
  std::vector<double> mean{0.0};
  std::vector<double> std{1.0};
  if (call.do_normalize().value_or(settings.do_normalize)) {
    mean = call.image_mean().value_or(settings.image_mean);
    std = call.image_std().value_or(settings.image_std);
  }
  const bool rescaled = call.do_rescale().value_or(settings.do_rescale);
  const double scale = rescaled ? call.rescale_factor().value_or(settings.rescale_factor) : 1.0;
  auto image = pixel_values;
  if (call.data_format() == ChannelDimension::last) image = image.permute({2, 0, 1});
  write_png(options.draw, side_by_side(original, undo_normalization(image, mean, std, scale)));
}

std::vector<cv::Mat> read_images(const std::vector<std::filesystem::path>& paths,
                                 const PreprocessCommandOptions& options,
                                 Progress& progress) {
  std::vector<cv::Mat> images;
  for (const auto& path : paths) {
    images.push_back(read_image(path, ImageDecodeOptions{options.apply_exif_orientation}));
    progress.step();
  }
  return images;
}

// One tensor under `name`, or, of images in different sizes, `name`.0, `name`.1, ...
void add_images(const std::string& name, const BatchFeature& features, NamedTensors& tensors) {
  if (features.pixel_values.defined()) {
    tensors.emplace_back(name, features.pixel_values);
    return;
  }
  for (std::size_t i = 0; i < features.images.size(); ++i) {
    tensors.emplace_back(name + "." + std::to_string(i), features.images[i]);
  }
}

int preprocess(const PreprocessCommandOptions& options) {
  if (options.images.empty() && options.texts.empty() && options.query_images.empty()) {
    throw UsageError("usage", "preprocess", "images, --text or --query-image", "none of them");
  }
  const auto paths = expand_images(options.images);
  const auto query_paths = expand_images(options.query_images);
  const auto load =
      ImageProcessorOptions().backend(*enum_value<ImageBackend>(options.image_backend));
  const auto processor = AutoImageProcessor::from_pretrained(options.model, load);
  std::map<std::string, std::string> settings;
  for (const auto& [key, value] : parse_settings(options.settings)) settings[key] = value;
  const auto call = preprocess_options_from_json(settings, processor->square_sizes());

  NamedTensors tensors;
  // As in Transformers, query images replace the texts.
  if (!options.texts.empty() && query_paths.empty()) {
    const auto features = (*AutoProcessor::from_pretrained(options.model, load))(
        {{options.texts}, {}, {}}, ProcessorCallOptions().truncation(options.truncation));
    for (const auto& warning : features.warnings) std::cerr << "warning: " << warning << ".\n";
    tensors = {{"input_ids", features.input_ids}, {"attention_mask", features.attention_mask}};
  }
  Progress progress("preprocess", paths.size() + query_paths.size());
  if (!query_paths.empty()) {
    add_images("query_pixel_values",
               (*processor)(read_images(query_paths, options, progress), call),
               tensors);
  }
  if (!paths.empty()) {
    const auto images = read_images(paths, options, progress);
    const auto features = (*processor)(images, call);
    add_images("pixel_values", features, tensors);
    if (!options.draw.empty()) {
      draw(options, images.back(), features.images.back(), *processor, call);
    }
  }
  write_tensors(options.outputs, tensors);
  progress.clear();
  for (const auto& [name, tensor] : tensors) {
    std::ostringstream line;
    line << name << ' ' << tensor.scalar_type() << ' ' << tensor.sizes();
    std::cout << line.str() << '\n';
  }
  return kOk;
}

}  // namespace

void add_preprocess(CLI::App& program, Run& run) {
  auto* command =
      program.add_subcommand("preprocess", "Turn images and texts into a model's input tensors");
  auto options = std::make_shared<PreprocessCommandOptions>();
  add_model_option(*command, options->model);
  add_images_argument(*command, options->images)->required(false);
  command
      ->add_option(
          "--text", options->texts, "Adds input_ids and attention_mask of a text, may be repeated")
      ->type_name("TEXT")
      ->allow_extra_args(false);
  command
      ->add_option("--query-image",
                   options->query_images,
                   "Adds query_pixel_values, in place of the texts' tensors, may be repeated")
      ->type_name("IMAGE")
      ->allow_extra_args(false);
  command->add_flag(
      "--truncation", options->truncation, "Cut texts that are longer than the model takes");
  command->add_option("--outputs", options->outputs, "Where the tensors go")
      ->required()
      ->type_name("OUT.safetensors");
  command
      ->add_option(
          "--draw", options->draw, "Picture of the last image and of what the model sees of it")
      ->type_name("OUT.png");
  add_image_backend_option(*command, options->image_backend);
  command->add_flag("--apply-exif-orientation",
                    options->apply_exif_orientation,
                    "Turn photos upright, as Transformers' pipelines do");
  add_set_option(*command, options->settings, "the call (do_resize, size, resample, ...)");
  command->footer(
      "Example: vizoo preprocess --model weights/convnext-digits --outputs out.safetensors "
      "--set do_normalize=false photo.png");
  command->callback([&run, options] { run = [options] { return preprocess(*options); }; });
}

}  // namespace vizoo::app
