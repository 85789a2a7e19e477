// `vizoo embed`: features of images, one vector each or one for each patch, to a file.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>
#include <sstream>

#include "commands.h"
#include "common.h"
#include "image_batches.h"
#include "images.h"
#include "model_source.h"
#include "npy_file.h"
#include "vizoo/core/error.h"
#include "vizoo/hub/tensor_file.h"
#include "vizoo/tasks/feature_extraction.h"
#include "vizoo/vision/auto_image_processor.h"
#include "vizoo/vision/image_transforms.h"

namespace vizoo::app {
namespace {

struct EmbedOptions {
  ModelOptions model;
  std::filesystem::path output;
  std::filesystem::path pca;
  std::vector<std::string> images;
  std::string features = "pooled";
  std::string image_backend = "pil";
  std::string dtype = "float32";
  std::string device = "cpu";
  std::string model_args = "{}";
  int64_t batch = 8;
  int threads = 0;
  bool as_json = false;
};

// What a batch of images becomes: [B, C] or [B, C, H', W'].
using Extractor = std::function<torch::Tensor(const torch::Tensor& pixel_values)>;

Extractor make_extractor(const EmbedOptions& options, const ModelSource& source) {
  LoadReport report;
  auto load = LoadOptions()
                  .torch_dtype(parse_dtype(options.dtype))
                  .device(parse_device(options.device))
                  .model_args(options.model_args)
                  .report(&report);
  Extractor extractor;
  if (options.features == "pooled" || options.features == "patches") {
    const auto model = load_vision_model(source, load);
    const bool pooled = options.features == "pooled";
    extractor = [model, pooled](const torch::Tensor& pixel_values) {
      const auto output = model->forward(pixel_values);
      return pooled ? pooled_features(*model, output, pixel_values)
                    : model->feature_map(output, pixel_values);
    };
  } else {
    if (source.is_exported()) {
      throw UsageError("usage",
                       "--features",
                       "pooled or patches of an exported model",
                       quote(options.features),
                       "A backbone's file has the stages that it was made with");
    }
    load.overrides({{"out_features", Json::array({options.features}).dump()}});
    const auto model = load_backbone(source, load);
    extractor = [model](const torch::Tensor& pixel_values) {
      return model->forward(pixel_values).feature_maps.at(0);
    };
  }
  // The classifier of a checkpoint that has one is not needed here.
  report.unexpected.clear();
  print_warnings(report);
  return extractor;
}

// The features of all images so far, and their names.
struct Collected {
  std::vector<std::string> paths;
  std::vector<torch::Tensor> features;  // [C] or [C, H', W'] each
  std::vector<torch::Tensor> pictures;  // pixel values, for the picture only
};

bool same_shape(const std::vector<torch::Tensor>& tensors) {
  return std::all_of(tensors.begin(), tensors.end(), [&](const torch::Tensor& tensor) {
    return tensor.sizes() == tensors.front().sizes();
  });
}

void write_features(const EmbedOptions& options, const Collected& collected) {
  const auto& features = collected.features;
  const bool stackable = same_shape(features);
  if (options.output.extension() == ".npy") {
    if (!stackable) {
      throw ShapeError("output",
                       printable(options.output.string()),
                       "features of one shape",
                       "images of different sizes",
                       "Write .safetensors");
    }
    return write_npy(options.output, torch::stack(features));
  }
  NamedTensors tensors;
  if (stackable) {
    tensors.emplace_back("features", torch::stack(features));
  } else {
    for (std::size_t i = 0; i < features.size(); ++i) {
      tensors.emplace_back("features." + std::to_string(i), features[i]);
    }
  }
  const auto names = Json(collected.paths).dump(-1, ' ', false, Json::error_handler_t::replace);
  write_tensors(options.output, tensors, {{"images", names}});
}

// [3, H, W] in [0, 1] as an 8-bit picture of another size, in squares.
cv::Mat enlarge(const torch::Tensor& colors, int height, int width) {
  const auto pixels =
      (colors * 255).round().to(torch::kByte).permute({1, 2, 0}).contiguous();  // [H, W, 3]
  const cv::Mat view(static_cast<int>(pixels.size(0)),
                     static_cast<int>(pixels.size(1)),
                     CV_8UC3,
                     pixels.data_ptr());
  return resize(view, {height, width}, Resample::nearest);
}

// Every image beside its principal components, which cover it by two thirds, one below the other.
void draw_components(const std::filesystem::path& path,
                     const Collected& collected,
                     const ImageProcessor& processor) {
  const auto settings = processor.settings();
  const auto identity = std::vector<double>{0.0};
  const auto ones = std::vector<double>{1.0};
  const auto colors = principal_component_colors(collected.features);
  std::vector<cv::Mat> rows;
  int width = 0;
  int height = 0;
  constexpr int kGap = 8;
  for (std::size_t i = 0; i < colors.size(); ++i) {
    const auto image = undo_normalization(collected.pictures[i],
                                          settings.do_normalize ? settings.image_mean : identity,
                                          settings.do_normalize ? settings.image_std : ones,
                                          settings.do_rescale ? settings.rescale_factor : 1.0);
    const cv::Mat components = enlarge(colors[i], image.rows, image.cols);
    cv::Mat painted = image.clone();
    for (int y = 0; y < image.rows; ++y) {
      const auto* color = components.ptr<uint8_t>(y);
      auto* pixel = painted.ptr<uint8_t>(y);
      for (int x = 0; x < 3 * image.cols; ++x) {
        pixel[x] = static_cast<uint8_t>((pixel[x] + 2 * color[x] + 1) / 3);
      }
    }
    rows.push_back(side_by_side(image, painted));
    width = std::max(width, rows.back().cols);
    height += rows.back().rows + (i > 0 ? kGap : 0);
  }
  cv::Mat picture(height, width, CV_8UC3, cv::Scalar::all(255));
  int top = 0;
  for (const auto& row : rows) {
    row.copyTo(picture(cv::Rect(0, top, row.cols, row.rows)));
    top += row.rows + kGap;
  }
  write_png(path, picture);
}

void check_embed_usage(const EmbedOptions& options) {
  const auto extension = options.output.extension();
  if (!options.output.empty() && extension != ".npy" && extension != ".safetensors") {
    throw UsageError("usage",
                     "--output",
                     "a name that ends in .safetensors or .npy",
                     quote(options.output.string()));
  }
  if (options.output.empty() && options.pca.empty()) {
    throw UsageError("usage", "embed", "--output or --pca", "neither");
  }
  if (!options.pca.empty() && options.features == "pooled") {
    throw UsageError(
        "usage", "--pca", "features of patches", "pooled ones", "Add --features patches");
  }
}

int embed(const EmbedOptions& options) {
  check_embed_usage(options);
  apply_threads(options.threads);
  const auto backend = enum_value<ImageBackend>(options.image_backend);
  const auto paths = expand_images(options.images);
  const ModelSource source(options.model);
  const auto processor = AutoImageProcessor::from_pretrained(
      source.folder(), ImageProcessorOptions().backend(*backend));
  ImageBatches batches(paths, *processor, options.batch, options.threads);
  const auto extract = make_extractor(options, source);
  const auto device = parse_device(options.device);
  const auto dtype = parse_dtype(options.dtype);

  Progress progress("embed", paths.size());
  Collected collected;
  bool failed = false;
  const auto say = [&](const std::string& path, const std::string& text, const Json& line) {
    progress.clear();
    if (options.as_json) {
      std::cout << line.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
    } else if (!text.empty()) {
      std::cout << printable(path) << text << '\n';
    }
    progress.step();
  };
  batches.for_each(
      [&](const std::vector<PreparedImage>& images, const torch::Tensor& pixel_values) {
        const c10::InferenceMode inference;
        const auto features =
            extract(pixel_values.to(device, dtype)).to(torch::kCPU, torch::kFloat32);
        for (std::size_t i = 0; i < images.size(); ++i) {
          const auto one = features[static_cast<int64_t>(i)].contiguous();
          const auto row = collected.features.size();
          collected.paths.push_back(images[i].path);
          collected.features.push_back(one);
          if (!options.pca.empty()) collected.pictures.push_back(images[i].pixel_values[0]);
          std::ostringstream text;
          text << "  " << row << "  " << one.sizes();
          say(images[i].path,
              text.str(),
              {{"image", images[i].path}, {"row", row}, {"shape", one.sizes().vec()}});
        }
      },
      [&](const PreparedImage& image) {
        failed = true;
        progress.clear();
        std::cerr << image.error << '\n';
        say(image.path, "", {{"image", image.path}, {"error", image.error}});
      });
  if (collected.features.empty()) return kFailed;
  if (!options.output.empty()) write_features(options, collected);
  if (!options.pca.empty()) draw_components(options.pca, collected, *processor);
  return failed ? kFailed : kOk;
}

}  // namespace

void add_embed(CLI::App& program, Run& run) {
  auto* command = program.add_subcommand("embed", "Turn images into features");
  auto options = std::make_shared<EmbedOptions>();
  add_model_options(*command, options->model);
  add_images_argument(*command, options->images);
  command
      ->add_option("--output",
                   options->output,
                   "Where the features go: a tensor `features`, one row for each image, with the "
                   "files' names under `images` in the metadata; or a NumPy array")
      ->type_name("OUT.safetensors|OUT.npy");
  command
      ->add_option("--features",
                   options->features,
                   "pooled: one vector for each image; patches: one for each patch of the last "
                   "layer, [C, H, W]; stem, stage1, ...: the backbone's feature map of that name")
      ->type_name("WHAT")
      ->capture_default_str();
  command
      ->add_option("--pca",
                   options->pca,
                   "Picture of the images with the first three principal components of their patch "
                   "features as colours")
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
      "Example: vizoo embed --model weights/convnext-digits --output features.safetensors "
      "weights/convnext-digits/images");
  command->callback([&run, options] { run = [options] { return embed(*options); }; });
}

}  // namespace vizoo::app
