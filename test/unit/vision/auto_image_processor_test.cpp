#include "vizoo/vision/auto_image_processor.h"

#include <ATen/ATen.h>

#include <fstream>
#include <string>

#include "test/support/catch.h"
#include "test/support/corpus.h"
#include "test/unit/vision/pattern.h"
#include "vizoo/core/error.h"

namespace vizoo {
namespace {

using test::message_of;
using test::pattern_image;
using test::TemporaryFolder;

void write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

TEST_CASE("the class is found by any of its names, or by the model") {
  for (const char* text :
       {R"({"image_processor_type": "ConvNextImageProcessor"})",
        R"({"image_processor_type": "ConvNextImageProcessorFast"})",
        R"({"image_processor_type": "ConvNextImageProcessorPil"})",
        R"({"image_processor_type": "ConvNextFeatureExtractor"})",
        R"({"feature_extractor_type": "ConvNextFeatureExtractor"})",
        R"({"image_processor_type": null, "feature_extractor_type": "ConvNextFeatureExtractor"})",
        R"({"size": 224})"}) {
    const TemporaryFolder folder;
    write(folder / "preprocessor_config.json", text);
    write(folder / "config.json", R"({"model_type": "convnext"})");
    CAPTURE(text);
    const auto processor = AutoImageProcessor::from_pretrained(folder.path());
    CHECK(processor->type_name() == "ConvNextImageProcessor");
    CHECK(processor->backend == ImageBackend::Pil);
    CHECK(AutoImageProcessor::from_pretrained(folder / "preprocessor_config.json")->to_json() ==
          processor->to_json());
  }
}

TEST_CASE("NAT and DiNAT are processed as ViT is") {
  for (const char* model_type : {"nat", "dinat"}) {
    const TemporaryFolder folder;
    write(folder / "preprocessor_config.json", R"({"size": 224, "resample": 3})");
    write(folder / "config.json", std::string(R"({"model_type": ")") + model_type + "\"}");
    const auto processor = AutoImageProcessor::from_pretrained(folder.path());
    CHECK(processor->type_name() == "ViTImageProcessor");
    CHECK(processor->settings().size == SizeDict{{"height", 224}, {"width", 224}});
    CHECK(processor->square_sizes());
    write(folder / "preprocessor_config.json",
          R"({"feature_extractor_type": "ViTFeatureExtractor"})");
    CHECK(AutoImageProcessor::from_pretrained(folder.path())->type_name() == "ViTImageProcessor");
  }
}

TEST_CASE("PoolFormer, LeViT, DINOv2 and Perceiver have processors of their own") {
  const struct {
    const char* model_type;
    std::string family;
  } rows[] = {{"poolformer", "PoolFormer"},
              {"levit", "Levit"},
              {"dinov2", "Bit"},
              {"perceiver", "Perceiver"}};
  for (const auto& row : rows) {
    const TemporaryFolder folder;
    write(folder / "config.json", std::string(R"({"model_type": ")") + row.model_type + "\"}");
    const auto type = [&](const std::string& text) {
      write(folder / "preprocessor_config.json", text);
      return AutoImageProcessor::from_pretrained(folder.path())->type_name();
    };
    CAPTURE(row.family);
    CHECK(type(R"({"size": 32})") == row.family + "ImageProcessor");
    for (const char* suffix : {"ImageProcessor", "ImageProcessorFast", "ImageProcessorPil"}) {
      CHECK(type(R"({"image_processor_type": ")" + row.family + suffix + "\"}") ==
            row.family + "ImageProcessor");
    }
    CHECK(type(R"({"feature_extractor_type": ")" + row.family + "FeatureExtractor\"}") ==
          row.family + "ImageProcessor");
  }
}

TEST_CASE("a processor_config.json may hold the image processor") {
  const TemporaryFolder folder;
  write(folder / "processor_config.json",
        R"({"image_processor": {"image_processor_type": "ConvNextImageProcessor", "size": 32}})");
  const auto processor = AutoImageProcessor::from_pretrained(folder.path());
  CHECK(processor->settings().size == SizeDict{{"shortest_edge", 32}});
}

TEST_CASE("loading options replace attributes and choose the backend") {
  const TemporaryFolder folder;
  write(folder / "preprocessor_config.json",
        R"({"image_processor_type": "ConvNextImageProcessor"})");
  const auto load = [&](const AttributeOverrides& overrides) {
    return AutoImageProcessor::from_pretrained(
        folder.path(),
        ImageProcessorOptions().overrides(overrides).backend(ImageBackend::Torchvision));
  };
  const auto processor = load({{"size", "42"}, {"resample", "3"}, {"image_mean", "0.25"}});
  CHECK(processor->backend == ImageBackend::Torchvision);
  CHECK(processor->settings().size == SizeDict{{"shortest_edge", 42}});
  CHECK(processor->settings().resample == Resample::bicubic);
  CHECK(processor->settings().image_mean == std::vector<double>{0.25});
  const std::string source = (folder / "preprocessor_config.json").string();
  CHECK(message_of<ConfigError>([&] {
          load({{"sizes", "42"}});
        }) ==
        "[processor] " + source +
            ": expected an attribute to set, one of crop_pct, do_normalize, do_rescale, do_resize, "
            "image_mean, image_std, resample, rescale_factor, size, got \"sizes\".");
  CHECK(message_of<ConfigError>([&] {
          load({{"do_resize", "\"yes\""}});
        }) == "[processor] " + source + ": /do_resize: expected true or false, got \"yes\".");
  CHECK(message_of<ConfigError>([&] {
          load({{"size", "4 2"}});
        }).rfind("[processor] override of /size:1:", 0) == 0);
}

TEST_CASE("what cannot be loaded is named") {
  const TemporaryFolder folder;
  const auto load = [&] {
    return message_of<ConfigError>([&] { AutoImageProcessor::from_pretrained(folder.path()); });
  };
  const std::string source = (folder / "preprocessor_config.json").string();
  CHECK(load().rfind("[processor] " + source, 0) == 0);
  write(folder / "preprocessor_config.json", R"({"image_processor_type": "NoImageProcessor"})");
  CHECK(load() == "[processor] " + source +
                      ": /image_processor_type: expected one of BitImageProcessor, "
                      "ConvNextImageProcessor, LevitImageProcessor, Owlv2ImageProcessor, "
                      "PerceiverImageProcessor, PoolFormerImageProcessor, "
                      "ViTImageProcessor, got \"NoImageProcessor\".");
  write(folder / "preprocessor_config.json", R"({"image_processor_type": 3})");
  CHECK(load() == "[processor] " + source + ": /image_processor_type: expected a string, got 3.");
  write(folder / "preprocessor_config.json", "{}");
  write(folder / "config.json", R"({"model_type": "bert"})");
  CHECK(load() == "[processor] " + (folder / "config.json").string() +
                      ": /model_type: expected one of convnext, dinat, dinov2, levit, nat, owlv2, "
                      "perceiver, poolformer, "
                      "got \"bert\".");
  write(folder / "preprocessor_config.json", "[1]");
  CHECK(load() == "[processor] " + source + ": expected a JSON object, got an array of 1 value.");
}

TEST_CASE("call arguments can be given as JSON") {
  const PreprocessOptions options =
      preprocess_options_from_json({{"do_resize", "false"},
                                    {"size", "24"},
                                    {"crop_size", "[20, 22]"},
                                    {"resample", "1"},
                                    {"crop_pct", "0.9"},
                                    {"do_center_crop", "true"},
                                    {"do_rescale", "true"},
                                    {"rescale_factor", "0.5"},
                                    {"do_normalize", "false"},
                                    {"image_mean", "0.5"},
                                    {"image_std", "[1, 2, 3]"},
                                    {"data_format", "\"channels_last\""},
                                    {"input_data_format", "\"channels_first\""},
                                    {"return_form", "\"list\""},
                                    {"do_convert_rgb", "false"},
                                    {"do_pad", "true"},
                                    {"pad_size", "30"},
                                    {"device", "\"cuda:1\""},
                                    {"disable_grouping", "true"},
                                    {"image_seq_length", "7"}});
  CHECK(options.do_resize() == false);
  CHECK(options.size() == SizeDict{{"shortest_edge", 24}});
  CHECK(options.crop_size() == SizeDict{{"height", 20}, {"width", 22}});
  CHECK(options.resample() == Resample::lanczos);
  CHECK(options.crop_pct() == 0.9);
  CHECK(options.do_center_crop() == true);
  CHECK(options.do_rescale() == true);
  CHECK(options.rescale_factor() == 0.5);
  CHECK(options.do_normalize() == false);
  CHECK(options.image_mean() == std::vector<double>{0.5});
  CHECK(options.image_std() == std::vector<double>{1, 2, 3});
  CHECK(options.data_format() == ChannelDimension::last);
  CHECK(options.input_data_format() == ChannelDimension::first);
  CHECK(options.return_form() == ReturnForm::list);
  CHECK(options.do_convert_rgb() == false);
  CHECK(options.do_pad() == true);
  CHECK(options.pad_size() == SizeDict{{"height", 30}, {"width", 30}});
  CHECK(options.device() == at::Device(at::kCUDA, 1));
  CHECK(options.disable_grouping() == true);
  CHECK(preprocess_options_from_json({{"device", "\"cpu\""}}).device() == at::Device(at::kCPU));
  CHECK(preprocess_options_from_json({{"device", "\"cuda\""}}).device() == at::Device(at::kCUDA));
  CHECK(preprocess_options_from_json({{"size", "24"}, {"default_to_square", "true"}}).size() ==
        SizeDict{{"height", 24}, {"width", 24}});
  CHECK(preprocess_options_from_json({{"size", "24"}, {"default_to_square", "false"}},
                                     /*square_sizes=*/true)
            .size() == SizeDict{{"shortest_edge", 24}});
  CHECK(preprocess_options_from_json({{"size", "24"}}, /*square_sizes=*/true).size() ==
        SizeDict{{"height", 24}, {"width", 24}});
  CHECK_FALSE(preprocess_options_from_json({}).do_resize().has_value());
  CHECK(message_of<ConfigError>([] {
          preprocess_options_from_json({{"siz", "3"}});
        }) ==
        "[processor] options: expected one of crop_pct, crop_size, data_format, default_to_square, "
        "device, disable_grouping, do_center_crop, do_convert_rgb, do_normalize, do_pad, "
        "do_rescale, do_resize, image_mean, image_seq_length, image_std, input_data_format, "
        "pad_size, pad_value, resample, rescale_factor, return_form, size, got \"siz\".");
  for (const char* name : {"\"gpu\"", "\"cuda:\"", "\"cuda:-1\"", "\"cuda:1000\""}) {
    CHECK(message_of<ConfigError>([&] {
            preprocess_options_from_json({{"device", name}});
          }) == std::string("[processor] options: /device: expected cpu, cuda or cuda:N, got ") +
                    name + ".");
  }
  CHECK(message_of<ConfigError>([] {
          preprocess_options_from_json({{"pad_size", "\"big\""}});
        }) ==
        "[processor] options: /pad_size: expected a number, [height, width] or an object, got "
        "\"big\".");
  CHECK(message_of<ConfigError>([] {
          preprocess_options_from_json({{"default_to_square", "1"}, {"size", "24"}});
        }) == "[processor] options: /default_to_square: expected true or false, got 1.");
  CHECK(message_of<ConfigError>([] {
          preprocess_options_from_json({{"data_format", "3"}});
        }) ==
        "[processor] options: /data_format: expected one of channels_first|channels_last, got 3.");
  CHECK(message_of<ConfigError>([] {
          preprocess_options_from_json({{"resample", "6"}});
        }) ==
        "[processor] options: /resample: expected 0 (nearest), 1 (lanczos), 2 (bilinear), 3 "
        "(bicubic), 4 (box) or 5 (hamming), got 6.");
}

}  // namespace
}  // namespace vizoo
