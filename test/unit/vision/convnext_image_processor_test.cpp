#include "vizoo/vision/convnext_image_processor.h"

#include <ATen/ATen.h>

#include <string>
#include <thread>
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

ConvNextImageProcessorConfig imagenet(int64_t size) {
  ConvNextImageProcessorConfig config;
  config.size = size_dict(size, false);
  config.resample = 3;
  config.image_mean = {0.485, 0.456, 0.406};
  config.image_std = {0.229, 0.224, 0.225};
  return config;
}

ConvNextImageProcessor small_convnext_processor() {
  ConvNextImageProcessorConfig config;
  config.size = size_dict(16, false);
  return ConvNextImageProcessor(config);
}

at::Tensor pattern_tensor() { return tensor_view(pattern_image(37, 53)).clone(); }

TEST_CASE("ConvNextImageProcessor gives the numbers of Transformers 4.37.2") {
  const cv::Mat wide = pattern_image(37, 53);
  const cv::Mat tall = pattern_image(53, 37);
  const ConvNextImageProcessor cropped(imagenet(16));
  CHECK(hash_of(cropped, wide) == "1EBFAB1E");
  CHECK(hash_of(cropped, tall) == "BF5FBEC0");
  CHECK(hash_of(small_convnext_processor(), wide) == "ED447338");
  CHECK(hash_of(small_convnext_processor(), tall) == "7B5DCE91");
  const ConvNextImageProcessor warped(imagenet(384));
  CHECK(hash_of(warped, wide) == "7EFE7E6C");
  CHECK(hash_of(warped, tall) == "73A8ED60");
  const at::Tensor values = cropped(wide).pixel_values;
  CHECK(values.sizes() == at::IntArrayRef({1, 3, 16, 16}));
  CHECK(values[0][0][0][0].item<float>() == 0.67343098f);
  CHECK(values[0][1][0][0].item<float>() == 0.67787123f);
  CHECK(values[0][2][0][0].item<float>() == 0.095337763f);
}

TEST_CASE("each argument of a call overrides the processor's attribute") {
  const ConvNextImageProcessor processor = small_convnext_processor();
  const cv::Mat image = pattern_image(37, 53);
  CHECK(hash_of(processor, image, Options().do_resize(false)) == "91C8D87D");
  CHECK(hash_of(processor, image, Options().do_normalize(false)) == "8B826310");
  CHECK(hash_of(processor, image, Options().do_rescale(false)) == "B4BF2766");
  CHECK(hash_of(processor, image, Options().data_format(ChannelDimension::last)) == "3A92E7F0");
  CHECK(hash_of(processor, image, Options().resample(Resample::nearest)) == "96B11CE8");
  CHECK(hash_of(processor,
                image,
                Options().size(size_dict(20, false)).crop_pct(0.5).resample(Resample::lanczos)) ==
        "B6C13B9C");
  CHECK(hash_of(processor,
                image,
                Options()
                    .size(size_dict(384, false))
                    .resample(Resample::bicubic)
                    .image_mean(std::vector<double>{0.485, 0.456, 0.406})
                    .image_std(std::vector<double>{0.229, 0.224, 0.225})) == "7EFE7E6C");
  CHECK(hash_of(processor, image, Options().rescale_factor(1.0).do_normalize(false)) ==
        hash_of(processor(image, Options().do_rescale(false).do_normalize(false))
                    .pixel_values.to(at::kFloat)));
  CHECK(processor(image, Options().do_rescale(false).do_normalize(false))
            .pixel_values.scalar_type() == at::kByte);
}

TEST_CASE("tensors come in bytes or numbers, either layout, one or many") {
  const ConvNextImageProcessor processor = small_convnext_processor();
  const at::Tensor last = pattern_tensor();
  const at::Tensor first = last.permute({2, 0, 1});
  CHECK(hash_of(processor, last) == "ED447338");
  CHECK(hash_of(processor, first) == "ED447338");
  CHECK(hash_of(processor, first.contiguous()) == "ED447338");
  CHECK(hash_of(processor, last.to(at::kFloat)) == "ED447338");
  CHECK(hash_of(processor, last.to(at::kInt)) == "ED447338");
  // Values in 0..1 become bytes by truncation while they are resized, and floats again.
  const at::Tensor unit = (last.to(at::kDouble) / 255.0).to(at::kFloat);
  CHECK(hash_of(processor, unit) == "DBE54CAC");
  CHECK(hash_of(processor, unit, PreprocessOptions().do_resize(false).do_rescale(false)) ==
        "91C8D87D");
  const at::Tensor doubles = last.to(at::kDouble) / 255.0;
  const auto plain = PreprocessOptions().do_resize(false).do_rescale(false);
  CHECK(processor(doubles, plain).pixel_values.scalar_type() == at::kDouble);
  CHECK(hash_of(processor, doubles, PreprocessOptions().do_resize(false)) == "8F5F1F25");

  const BatchFeature batch = processor(at::stack({last, last.flip(0)}));
  REQUIRE(batch.pixel_values.sizes() == at::IntArrayRef({2, 3, 16, 16}));
  CHECK(hash_of(batch.pixel_values[0]) == "ED447338");
  CHECK(batch.images.size() == 2);
  CHECK(batch.images[1].is_alias_of(batch.pixel_values));
  CHECK(hash_of(processor, std::vector<at::Tensor>{last.permute({2, 0, 1})}) == "ED447338");
  // Four channels need their layout and as many numbers.
  const at::Tensor four = at::cat({last, last.narrow(2, 0, 1)}, 2);
  CHECK(processor(four,
                  PreprocessOptions()
                      .input_data_format(ChannelDimension::last)
                      .image_mean(std::vector<double>(4, 0.5))
                      .image_std(std::vector<double>{0.5}))
            .pixel_values.size(1) == 4);
}

TEST_CASE("a cv::Mat has its channels last whatever its height") {
  const ConvNextImageProcessor processor = small_convnext_processor();
  for (const int height : {1, 3}) {
    const cv::Mat image = pattern_image(height, 40);
    CHECK(processor(image).pixel_values.sizes() == at::IntArrayRef({1, 3, 16, 16}));
    const auto last = PreprocessOptions().input_data_format(ChannelDimension::last);
    CHECK(processor(image).pixel_values.equal(
        processor(tensor_view(image).clone(), last).pixel_values));
  }
}

TEST_CASE("images of different sizes come as a list") {
  const ConvNextImageProcessor processor = small_convnext_processor();
  const std::vector<cv::Mat> images{pattern_image(37, 53), pattern_image(20, 20)};
  CHECK(processor(images).pixel_values.sizes() == at::IntArrayRef({2, 3, 16, 16}));
  const auto unresized = PreprocessOptions().do_resize(false);
  const BatchFeature list = processor(images, unresized);
  CHECK_FALSE(list.pixel_values.defined());
  REQUIRE(list.images.size() == 2);
  CHECK(hash_of(list.images[0]) == "91C8D87D");
  CHECK(list.images[1].sizes() == at::IntArrayRef({3, 20, 20}));
  CHECK(message_of<ShapeError>([&] {
          processor(images, PreprocessOptions(unresized).return_form(ReturnForm::stacked));
        }) ==
        "[processor] images: expected images of one size after processing, got 37 x 53 and others. "
        "Resize them, or ask for a list.");
  const auto as_list = PreprocessOptions().return_form(ReturnForm::list);
  CHECK_FALSE(processor(images, as_list).pixel_values.defined());
}

TEST_CASE("the torchvision backend fuses rescaling and normalising") {
  ConvNextImageProcessor processor(imagenet(16));
  processor.backend = ImageBackend::Torchvision;
  const at::Tensor image = tensor_view(pattern_image(37, 53)).clone().permute({2, 0, 1});
  const at::Tensor resized = resize_torchvision(image, {18, 25}, Resample::bicubic);
  const at::Tensor cut = resized.narrow(1, 1, 16).narrow(2, 4, 16).to(at::kFloat);
  const auto column = [](std::vector<double> values) {
    return (at::tensor(values, at::kFloat) * 255.0f).reshape({3, 1, 1});
  };
  const at::Tensor expected = (cut - column({0.485, 0.456, 0.406})) / column({0.229, 0.224, 0.225});
  const at::Tensor got = processor(pattern_image(37, 53)).pixel_values[0];
  CHECK(got.equal(expected));
  CHECK(processor(image).pixel_values[0].equal(expected));
  // Both backends agree up to two grey levels.
  const ConvNextImageProcessor slow(imagenet(16));
  const at::Tensor difference = (slow(pattern_image(37, 53)).pixel_values[0] - got).abs();
  CHECK(difference.max().item<float>() <= 2.01f / 255.0f / 0.224f);
  // Floating images stay floating: nothing is rounded or clamped between the steps.
  const at::Tensor floats = resize_torchvision(image.to(at::kFloat), {18, 25}, Resample::bicubic)
                                .narrow(1, 1, 16)
                                .narrow(2, 4, 16);
  CHECK(processor(image.to(at::kFloat))
            .pixel_values[0]
            .equal((floats - column({0.485, 0.456, 0.406})) / column({0.229, 0.224, 0.225})));
}

TEST_CASE("impossible settings and images have one clear line") {
  const ConvNextImageProcessor processor = small_convnext_processor();
  const cv::Mat image = pattern_image(8, 8);
  const auto call = [&](const Options& options) {
    return message_of<Error>([&] { processor(image, options); });
  };
  CHECK(call(Options().size(size_dict(20, true))) ==
        "[processor] /size: expected the key shortest_edge, got other keys.");
  CHECK(call(Options().size(SizeDict{{"width", 3}})) ==
        "[processor] /size: expected the keys {height, width}, {shortest_edge}, {shortest_edge, "
        "longest_edge}, {longest_edge} or {max_height, max_width}, got {width}.");
  CHECK(call(Options().size(size_dict(-3, false))) ==
        "[processor] /size/shortest_edge: expected a length of at least 1, got -3.");
  CHECK(call(Options().crop_pct(0.0)) ==
        "[processor] /crop_pct: expected a number above 0, got 0.");
  CHECK(call(Options().crop_pct(1e-9)) ==
        "[image] resize: expected a target size of 1 to 178956970 pixels, got 178956971 x "
        "178956971 (height x width).");
  CHECK(call(Options().size(size_dict(int64_t{1} << 40, false))) ==
        "[image] resize: expected a target size of 1 to 178956970 pixels, got 1099511627776 x "
        "1099511627776 (height x width).");
  CHECK(call(Options().image_mean(std::vector<double>{1, 2})) ==
        "[processor] /image_mean: expected one number, or one for each of the image's 3 channels, "
        "got 2 numbers.");
  CHECK(call(Options().rescale_factor(std::numeric_limits<double>::infinity())) ==
        "[processor] /rescale_factor: expected a finite number, got inf.");
  CHECK(message_of<ConfigError>([&] { processor(pattern_image(8, 8, 1)); }) ==
        "[processor] /image_mean: expected one number, or one for each of the image's 1 channels, "
        "got 3 numbers.");
  CHECK(message_of<ImageError>([&] { processor(std::vector<cv::Mat>{}); }) ==
        "[image] images: expected at least one image, got none.");
  CHECK(message_of<ImageError>([&] {
          processor(at::full({3, 4, 4}, 300.0));
        }) ==
        "[image] tensor: expected values in 0 to 255, got 300 to 300. Only such images can be "
        "resized.");
  CHECK(message_of<ImageError>([&] {
          processor(at::full({3, 4, 4}, 1.5));
        }) ==
        "[image] tensor: expected whole numbers, or values in 0 to 1, got 1.5 to 1.5. Only such "
        "images can be resized.");
  CHECK(message_of<ImageError>([&] {
          processor(at::empty({3, 0, 4}, at::kByte));
        }) == "[image] tensor: expected at least one pixel, got an empty tensor.");
  CHECK(message_of<ImageError>([&] {
          processor(at::zeros({3, 4, 4}, at::kBool));
        }) == "[image] tensor: expected uint8, another integer or a floating dtype, got Bool.");
  CHECK(message_of<ImageError>([&] { processor(at::Tensor()); }) ==
        "[image] tensor: expected a tensor on the CPU, got another.");
}

TEST_CASE("one processor serves many threads") {
  const ConvNextImageProcessor processor(imagenet(16));
  std::vector<std::string> hashes(6);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < hashes.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < 20; ++k) hashes[i] = hash_of(processor, pattern_image(37, 53));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& hash : hashes) CHECK(hash == "1EBFAB1E");
}

TEST_CASE("the JSON is what Transformers writes") {
  CHECK(ConvNextImageProcessor().to_json() ==
        R"({
  "crop_pct": 0.875,
  "do_normalize": true,
  "do_rescale": true,
  "do_resize": true,
  "image_mean": [
    0.5,
    0.5,
    0.5
  ],
  "image_processor_type": "ConvNextImageProcessor",
  "image_std": [
    0.5,
    0.5,
    0.5
  ],
  "resample": 2,
  "rescale_factor": 0.00392156862745098,
  "size": {
    "shortest_edge": 384
  }
}
)");
  const auto loaded = ConvNextImageProcessor::from_json(
      R"({"size": 224, "crop_pct": null, "resample": 3, "image_mean": 0.5, "foo": {"a": [1, 2]},
          "processor_class": "X", "feature_extractor_type": "ConvNextFeatureExtractor"})",
      "old.json");
  CHECK(loaded->to_json() ==
        R"({
  "crop_pct": 0.875,
  "do_normalize": true,
  "do_rescale": true,
  "do_resize": true,
  "foo": {
    "a": [
      1,
      2
    ]
  },
  "image_mean": 0.5,
  "image_processor_type": "ConvNextImageProcessor",
  "image_std": [
    0.5,
    0.5,
    0.5
  ],
  "processor_class": "X",
  "resample": 3,
  "rescale_factor": 0.00392156862745098,
  "size": {
    "shortest_edge": 224
  }
}
)");
  const auto again = ConvNextImageProcessor::from_json(loaded->to_json(), "again");
  CHECK(again->to_json() == loaded->to_json());
  CHECK(equal_fields(again->config(), loaded->config()));
  const test::TemporaryFolder folder;
  loaded->save_pretrained(folder / "new");
  std::ifstream file(folder / "new/preprocessor_config.json");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  CHECK(text == loaded->to_json());
}

TEST_CASE("older JSON forms are read") {
  const auto config = [](const std::string& text) {
    return ConvNextImageProcessor::from_json(text, "p.json")->config();
  };
  CHECK(config("{}").size == SizeDict{{"shortest_edge", 384}});
  CHECK(config("{}").resample == 2);
  CHECK(config(R"({"image_processor_type": "ConvNextImageProcessorFast"})").resample == 3);
  CHECK(
      config(R"({"image_processor_type": "ConvNextImageProcessorFast", "resample": 2})").resample ==
      2);
  CHECK(config(R"({"size": [20, 30]})").size == SizeDict{{"height", 20}, {"width", 30}});
  CHECK(config(R"({"size": null, "image_mean": null, "image_std": null})").image_mean ==
        std::vector<double>{0.5, 0.5, 0.5});
  CHECK(config(R"({"rescale_factor": 1})").rescale_factor == 1.0);
}

TEST_CASE("a wrong JSON value is named with its path") {
  const auto load = [](const std::string& text) {
    return message_of<ConfigError>([&] { ConvNextImageProcessor::from_json(text, "p.json"); });
  };
  CHECK(load(R"({"size": "big"})") ==
        "[processor] p.json: /size: expected a number, [height, width] or an object, got \"big\".");
  CHECK(load(R"({"size": {"height": 3}})") ==
        "[processor] p.json: /size: expected the keys {height, width}, {shortest_edge}, "
        "{shortest_edge, longest_edge}, {longest_edge} or {max_height, max_width}, got {height}.");
  CHECK(load(R"({"size": 0})") ==
        "[processor] p.json: /size/shortest_edge: expected a length of at least 1, got 0.");
  CHECK(load(R"({"resample": 9})") ==
        "[processor] p.json: /resample: expected 0 (nearest), 1 (lanczos), 2 (bilinear), 3 "
        "(bicubic), 4 (box) or 5 (hamming), got 9.");
  CHECK(load(R"({"do_resize": 1})") ==
        "[processor] p.json: /do_resize: expected true or false, got 1.");
  CHECK(load(R"({"image_mean": [0.5, "x"]})") ==
        "[processor] p.json: /image_mean/1: expected a number, got \"x\".");
  CHECK(load("[]") == "[processor] p.json: expected a JSON object, got an array of 0 values.");
  CHECK(load("{\"a\": 1, \"a\": 2}").rfind("[processor] p.json", 0) == 0);
}

}  // namespace
}  // namespace vizoo
