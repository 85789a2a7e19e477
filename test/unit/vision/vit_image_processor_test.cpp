#include "vizoo/vision/vit_image_processor.h"

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "test/support/catch.h"
#include "test/support/corpus.h"
#include "test/unit/vision/processor_hash.h"
#include "vizoo/core/error.h"

namespace vizoo {
namespace {

using test::hash_of;
using test::message_of;
using test::pattern_image;
using Options = PreprocessOptions;

ViTImageProcessorConfig square(int64_t size) {
  ViTImageProcessorConfig config;
  config.size = size_dict(size, true);
  return config;
}

// As the files of NAT and DiNAT say: bicubic, ImageNet's mean and deviation.
ViTImageProcessorConfig imagenet_config(int64_t size) {
  auto config = square(size);
  config.resample = 3;
  config.image_mean = {0.485, 0.456, 0.406};
  config.image_std = {0.229, 0.224, 0.225};
  return config;
}

TEST_CASE("ViTImageProcessor gives the numbers of Transformers 4.37.2") {
  const cv::Mat wide = pattern_image(37, 53);
  const cv::Mat tall = pattern_image(53, 37);
  const ViTImageProcessor plain(square(20));
  CHECK(hash_of(plain, wide) == "BE04DA10");
  CHECK(hash_of(plain, tall) == "A57A7A0C");
  const ViTImageProcessor published(imagenet_config(20));
  CHECK(hash_of(published, wide) == "1C28ED22");
  CHECK(hash_of(published, tall) == "CE5E72FC");
  const at::Tensor values = plain(wide).pixel_values;
  CHECK(values.sizes() == at::IntArrayRef({1, 3, 20, 20}));
  CHECK(values[0][0][0][0].item<float>() == -0.87450981f);
  CHECK(values[0][1][0][0].item<float>() == -0.39607841f);
  CHECK(values[0][2][0][0].item<float>() == 0.082352996f);
}

TEST_CASE("each argument of a call overrides the attribute of ViTImageProcessor") {
  const ViTImageProcessor processor(square(20));
  const cv::Mat image = pattern_image(37, 53);
  CHECK(hash_of(processor, image, Options().size(SizeDict{{"height", 11}, {"width", 30}})) ==
        "11595750");
  CHECK(hash_of(processor, image, Options().do_resize(false)) == "91C8D87D");
  CHECK(hash_of(processor, image, Options().do_normalize(false)) == "206A5838");
  CHECK(hash_of(processor, image, Options().do_rescale(false)) == "82A64C40");
  CHECK(hash_of(processor, image, Options().data_format(ChannelDimension::last)) == "8F9C4D84");
  CHECK(hash_of(processor, image, Options().resample(Resample::lanczos)) == "057749E2");
  CHECK(hash_of(processor,
                image,
                Options()
                    .resample(Resample::bicubic)
                    .image_mean(std::vector<double>{0.485, 0.456, 0.406})
                    .image_std(std::vector<double>{0.229, 0.224, 0.225})) == "1C28ED22");
  // It knows no crop: such arguments are those of other classes.
  CHECK(hash_of(processor, image, Options().do_center_crop(true).crop_pct(0.5)) == "BE04DA10");
}

TEST_CASE("every image comes out in the size asked for, also as a tensor") {
  const ViTImageProcessor processor(square(20));
  const std::vector<cv::Mat> images{pattern_image(37, 53), pattern_image(3, 90)};
  CHECK(processor(images).pixel_values.sizes() == at::IntArrayRef({2, 3, 20, 20}));
  const at::Tensor tensor = tensor_view(images[0]).clone();
  CHECK(hash_of(processor, tensor) == "BE04DA10");
  CHECK(hash_of(processor, tensor.permute({2, 0, 1})) == "BE04DA10");
}

TEST_CASE("the torchvision backend of ViTImageProcessor also keeps the aspect") {
  ViTImageProcessor processor(imagenet_config(20));
  processor.backend = ImageBackend::Torchvision;
  const at::Tensor image = tensor_view(pattern_image(37, 53)).clone().permute({2, 0, 1});
  const auto column = [](std::vector<double> values) {
    return (at::tensor(values, at::kFloat) * 255.0f).reshape({3, 1, 1});
  };
  const auto expected = [&](const ImageSize& size) {
    const at::Tensor resized = resize_torchvision(image, size, Resample::bicubic).to(at::kFloat);
    return (resized - column({0.485, 0.456, 0.406})) / column({0.229, 0.224, 0.225});
  };
  CHECK(processor(image).pixel_values[0].equal(expected({20, 20})));
  const auto edge = Options().size(size_dict(20, false));
  CHECK(processor(image, edge).pixel_values[0].equal(expected({20, 28})));
  // It pads and converts as well; Transformers 4.37.2 does neither.
  const auto padding = Options().do_pad(true).pad_size(size_dict(24, true));
  CHECK(processor(image, padding).pixel_values.sizes() == at::IntArrayRef({1, 3, 24, 24}));
  CHECK(processor(pattern_image(37, 53, 4), Options().do_convert_rgb(true))
            .pixel_values[0]
            .equal(expected({20, 20})));
  processor.backend = ImageBackend::Pil;
  CHECK(processor(image, padding).pixel_values.sizes() == at::IntArrayRef({1, 3, 20, 20}));
  CHECK(message_of<ConfigError>([&] { processor(image, edge); }) ==
        "[processor] /size: expected the keys height and width, got {shortest_edge}.");
}

TEST_CASE("older JSON forms of ViTImageProcessor are read") {
  const auto config = [](const std::string& text) {
    return ViTImageProcessor::from_json(text, "p.json")->config();
  };
  CHECK(config("{}").size == SizeDict{{"height", 224}, {"width", 224}});
  CHECK(config("{}").resample == 2);
  CHECK(config(R"({"image_processor_type": "ViTImageProcessorFast"})").resample == 2);
  CHECK(config(R"({"size": 384})").size == SizeDict{{"height", 384}, {"width", 384}});
  CHECK(config(R"({"size": [20, 30]})").size == SizeDict{{"height", 20}, {"width", 30}});
  CHECK(config(R"({"size": null, "image_mean": null})").image_mean ==
        std::vector<double>{0.5, 0.5, 0.5});
  // As the files of NAT and DiNAT are.
  const auto published = config(
      R"({"do_normalize": true, "do_resize": true, "feature_extractor_type": "ViTFeatureExtractor",
          "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "resample": 3,
          "size": 224})");
  CHECK(equal_fields(published, imagenet_config(224)));
}

TEST_CASE("the JSON of ViTImageProcessor is what Transformers writes") {
  const auto loaded = ViTImageProcessor::from_json(
      R"({"size": 224, "resample": 3, "image_mean": 0.5,
          "feature_extractor_type": "ViTFeatureExtractor"})",
      "old.json");
  CHECK(loaded->to_json() ==
        R"({
  "do_normalize": true,
  "do_rescale": true,
  "do_resize": true,
  "image_mean": 0.5,
  "image_processor_type": "ViTImageProcessor",
  "image_std": [
    0.5,
    0.5,
    0.5
  ],
  "resample": 3,
  "rescale_factor": 0.00392156862745098,
  "size": {
    "height": 224,
    "width": 224
  }
}
)");
  const auto again = ViTImageProcessor::from_json(loaded->to_json(), "again");
  CHECK(again->to_json() == loaded->to_json());
}

TEST_CASE("wrong values for ViTImageProcessor have one clear line") {
  const auto load = [](const std::string& text) {
    return message_of<ConfigError>([&] { ViTImageProcessor::from_json(text, "p.json"); });
  };
  CHECK(load(R"({"size": "big"})") ==
        "[processor] p.json: /size: expected a number, [height, width] or an object, got \"big\".");
  CHECK(load(R"({"size": {"height": 3}})") ==
        "[processor] p.json: /size: expected the keys {height, width}, {shortest_edge}, "
        "{shortest_edge, longest_edge}, {longest_edge} or {max_height, max_width}, got {height}.");
  CHECK(load(R"({"size": 0})") ==
        "[processor] p.json: /size/height: expected a length of at least 1, got 0.");
  CHECK(load(R"({"resample": -1})") ==
        "[processor] p.json: /resample: expected 0 (nearest), 1 (lanczos), 2 (bilinear), 3 "
        "(bicubic), 4 (box) or 5 (hamming), got -1.");
  const ViTImageProcessor processor(square(20));
  CHECK(message_of<ImageError>([&] {
          processor(pattern_image(8, 8), Options().size(size_dict(int64_t{1} << 40, true)));
        }) ==
        "[image] resize: expected a target size of 1 to 178956970 pixels, got 1099511627776 x "
        "1099511627776 (height x width).");
  CHECK(message_of<ConfigError>([&] {
          ViTImageProcessorConfig config;
          config.size = {{"width", 3}};
          ViTImageProcessor bad(config);
        }) ==
        "[processor] /size: expected the keys {height, width}, {shortest_edge}, {shortest_edge, "
        "longest_edge}, {longest_edge} or {max_height, max_width}, got {width}.");
}

}  // namespace
}  // namespace vizoo
