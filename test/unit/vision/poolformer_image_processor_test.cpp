#include "vizoo/vision/poolformer_image_processor.h"

#include <ATen/ATen.h>

#include <limits>
#include <string>
#include <vector>

#include "test/unit/vision/processor_checks.h"
#include "vizoo/core/error.h"

// The hashes without a source beside them are those of the two Transformers' own classes on the
// same images.
namespace vizoo {
namespace {

using namespace test;

PoolFormerImageProcessor small_poolformer_processor(std::optional<double> crop_pct = 0.9,
                                                    ImageBackend backend = ImageBackend::Pil) {
  PoolFormerImageProcessorConfig config;
  config.crop_pct = crop_pct;
  return small_processor<PoolFormerImageProcessor>(config, 24, 24, backend);
}

TEST_CASE("PoolFormerImageProcessor gives the numbers of Transformers 4.37.2") {
  const cv::Mat wide = pattern_image(37, 53);
  const cv::Mat tall = pattern_image(53, 37);
  CHECK(hash_of(small_poolformer_processor(), wide) == "13F39C20");
  CHECK(hash_of(small_poolformer_processor(), tall) == "615C734E");
  CHECK(hash_of(small_poolformer_processor(0.95), wide) == "C99E050E");
  CHECK(hash_of(small_poolformer_processor(0.95), tall) == "B918D966");
  const at::Tensor values = small_poolformer_processor()(wide).pixel_values;
  CHECK(values.sizes() == at::IntArrayRef({1, 3, 24, 24}));
  CHECK(values[0][0][0][0].item<float>() == 0.15968838f);
  CHECK(values[0][1][0][0].item<float>() == 0.50280124f);
  CHECK(values[0][2][0][0].item<float>() == 0.53106773f);
}

TEST_CASE("each argument of a call overrides the attribute of PoolFormerImageProcessor") {
  const PoolFormerImageProcessor processor = small_poolformer_processor();
  const cv::Mat image = pattern_image(37, 53);
  const std::map<std::string, std::string> expected{
      {"do_resize false", "746C260D"},
      {"do_center_crop false", "76A0D29E"},
      {"do_normalize false", "FBD61184"},
      {"do_rescale false", "40087D0C"},
      {"do_rescale, do_normalize false", "6F178D75"},
      {"resample nearest", "7F0D5037"},
      {"resample lanczos", "1FE054DC"},
      {"crop_size 13", "C5A9716C"},
      {"crop_size 9 x 31", "4B2984B2"},
      {"rescale_factor 0.02", "FA2D1386"},
      {"image_mean, image_std", "3F908F50"},
      {"data_format last", "FC468AE0"},
  };
  CHECK(hashes_of_calls(processor, image) == expected);
  const auto hash = [&](const Options& options) { return hash_of(processor, image, options); };
  CHECK(hash(Options().resample(Resample::hamming)) == "623B25CA");
  CHECK(hash(Options().size(size_dict(17, false))) == "CCDB2059");
  CHECK(hash(Options().crop_pct(0.95)) == "C99E050E");
  CHECK(hash(Options().crop_pct(0.7)) == "C3F6EF62");
  // The image is smaller than the crop.
  CHECK(hash(Options().crop_pct(1.3)) == "CCDB2059");
  // The class of 4.37.2 knows no padding and no conversion.
  CHECK(hash(Options().do_pad(true).pad_size(size_dict(40, true)).do_convert_rgb(true)) ==
        "13F39C20");
}

TEST_CASE("crop_pct enlarges each form of size in its own way") {
  const cv::Mat image = pattern_image(37, 53);
  const PoolFormerImageProcessor processor = small_poolformer_processor(0.7);
  CHECK(hash_of(processor, image, Options().size(sides(28, 28))) == "4A7FAAA6");
  CHECK(hash_of(processor, image, Options().size(sides(30, 26))) == "C65E08FF");
  const auto uncropped = Options().do_center_crop(false);
  const auto shape = [&](const PoolFormerImageProcessor& which, const SizeDict& size) {
    return shape_of(which(image, Options(uncropped).size(size)).images[0]);
  };
  CHECK(shape(processor, size_dict(28, false)) == "3 x 40 x 57");
  CHECK(shape(processor, sides(28, 28)) == "3 x 40 x 57");
  CHECK(shape(processor, sides(30, 26)) == "3 x 42 x 37");
  CHECK(shape(processor, {{"shortest_edge", 28}, {"longest_edge", 30}}) == "3 x 40 x 57");
  // Without it the size is the size.
  const PoolFormerImageProcessor plain = small_poolformer_processor(std::nullopt);
  CHECK(hash_of(plain, image, uncropped) == "00F73DE9");
  CHECK(hash_of(plain, image, Options(uncropped).size(sides(30, 26))) == "4C219FA3");
  CHECK(hash_of(plain, image, Options(uncropped).size(sides(28, 28))) == "39773488");
  CHECK(shape(plain, size_dict(28, false)) == "3 x 28 x 40");
  CHECK(message_of<ConfigError>([&] { plain(image); }) ==
        "[processor] /crop_pct: expected a number above 0 where do_center_crop is true, got null. "
        "The Torchvision backend takes null.");
  CHECK(message_of<ConfigError>([&] { plain(image, Options().do_resize(false)); }) ==
        "[processor] /crop_pct: expected a number above 0 where do_center_crop is true, got null. "
        "The Torchvision backend takes null.");
  CHECK(hash_of(plain, image, Options().crop_pct(0.9)) == "13F39C20");
  CHECK(hash_of(small_poolformer_processor(std::nullopt, ImageBackend::Torchvision), image) ==
        "C93F4809");
}

TEST_CASE("a crop larger than the image is padded with black as the backend does it") {
  const cv::Mat image = pattern_image(37, 53);
  const auto larger = Options().crop_size(sides(44, 61));
  CHECK(hash_of(small_poolformer_processor(), image, larger) == "822F9AE2");
  CHECK(hash_of(small_poolformer_processor(0.9, ImageBackend::Torchvision), image, larger) ==
        "1C5CB066");
  const auto raw = Options().do_resize(false).do_rescale(false).do_normalize(false);
  const auto shape = [&](ImageBackend backend, int64_t height, int64_t width) {
    const auto options = Options(raw).crop_size(sides(height, width));
    return shape_of(small_poolformer_processor(0.9, backend)(image, options).images[0]);
  };
  // 4.37.2 comes out one short where an odd number of rows or columns is missing.
  CHECK(shape(ImageBackend::Pil, 38, 56) == "3 x 37 x 55");
  CHECK(shape(ImageBackend::Pil, 39, 20) == "3 x 39 x 20");
  CHECK(shape(ImageBackend::Torchvision, 38, 56) == "3 x 38 x 56");
  const at::Tensor padded = small_poolformer_processor(0.9, ImageBackend::Torchvision)(
                                image, Options(raw).crop_size(sides(38, 56)))
                                .images[0];
  CHECK(padded.select(1, 37).max().item<int>() == 0);
  CHECK(padded.select(2, 0).max().item<int>() == 0);
  CHECK(padded.narrow(1, 0, 37).narrow(2, 1, 53).equal(tensor_view(image).permute({2, 0, 1})));
  // Floating images take the same crop.
  const at::Tensor floating = tensor_view(image).to(at::kDouble);
  const auto plain = Options(raw).input_data_format(ChannelDimension::last);
  for (const ImageBackend backend : {ImageBackend::Pil, ImageBackend::Torchvision}) {
    const auto crop = Options(plain).crop_size(sides(38, 56));
    const at::Tensor bytes = small_poolformer_processor(0.9, backend)(image, crop).images[0];
    CHECK(small_poolformer_processor(0.9, backend)(floating, crop)
              .images[0]
              .equal(bytes.to(at::kDouble)));
  }
}

TEST_CASE("PoolFormerImageProcessor on torchvision is the class of Transformers 5.17") {
  const PoolFormerImageProcessor processor =
      small_poolformer_processor(0.9, ImageBackend::Torchvision);
  const cv::Mat wide = pattern_image(37, 53);
  const std::vector<cv::Mat> both{wide, pattern_image(53, 37)};
  CHECK(hash_of(processor, wide) == "5FE8F1A4");
  CHECK(hash_of(processor, both[1]) == "0C76CB84");
  CHECK(hash_of(processor, wide, Options().crop_pct(0.95)) == "37EB787F");
  CHECK(hash_of(processor, wide, Options().crop_pct(0.7).size(sides(30, 26))) == "FB6D2FDB");
  CHECK(hash_of(processor, wide, Options().crop_pct(0.7).size(sides(28, 28))) == "EF12D284");
  CHECK(hash_of(processor, wide, Options().do_resize(false)) == "89A0E318");
  CHECK(hash_of(processor, wide, Options().do_rescale(false)) == "98443350");
  CHECK(hash_of(processor, both, Options().do_pad(true).pad_size(sides(30, 40))) == "C834CFA4");
  CHECK(hash_of(processor, both, Options().do_pad(true).do_center_crop(false)) == "0EBC8F6A");
  const PoolFormerImageProcessor plain =
      small_poolformer_processor(std::nullopt, ImageBackend::Torchvision);
  const auto uncropped = Options().do_center_crop(false);
  CHECK(hash_of(plain, wide, uncropped) == "BD18B354");
  CHECK(
      shape_of(plain(wide,
                     Options(uncropped).size(SizeDict{{"shortest_edge", 24}, {"longest_edge", 30}}))
                   .images[0]) == "3 x 21 x 30");
  CHECK(message_of<ConfigError>([&] { processor(wide, Options().resample(Resample::lanczos)); }) ==
        "[processor] /resample: expected nearest, bilinear or bicubic with the torchvision "
        "backend, got lanczos.");
}

TEST_CASE("older JSON forms of PoolFormerImageProcessor are read") {
  const auto config = config_of<PoolFormerImageProcessor>;
  CHECK(equal_fields(config("{}"), PoolFormerImageProcessorConfig()));
  CHECK(config("{}").size == SizeDict{{"shortest_edge", 224}});
  CHECK(config("{}").crop_size == sides(224, 224));
  CHECK(config("{}").crop_pct == 0.9);
  CHECK(config("{}").resample == 3);
  CHECK(config("{}").image_mean == std::vector<double>{0.485, 0.456, 0.406});
  CHECK(config("{}").image_std == std::vector<double>{0.229, 0.224, 0.225});
  CHECK(config(R"({"crop_pct": null})").crop_pct == std::nullopt);
  CHECK(config(R"({"crop_pct": 1})").crop_pct == 1.0);
  CHECK(config(R"({"size": [20, 30], "crop_size": 12})").size == sides(20, 30));
  CHECK(config(R"({"size": [20, 30], "crop_size": 12})").crop_size == sides(12, 12));
  CHECK(config(R"({"crop_size": [20, 30], "size": null, "image_mean": null})").crop_size ==
        sides(20, 30));
  // As the first feature extractor wrote it.
  const auto published = config(
      R"({"crop_pct": 0.95, "do_normalize": true, "do_resize_and_center_crop": true,
          "feature_extractor_type": "PoolFormerFeatureExtractor", "resample": 3, "size": 224,
          "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]})");
  PoolFormerImageProcessorConfig expected;
  expected.crop_pct = 0.95;
  CHECK(equal_fields(published, expected));
  CHECK(published.unknown ==
        std::map<std::string, std::string>{{"do_resize_and_center_crop", "true"}});
}

TEST_CASE("the JSON of PoolFormerImageProcessor is what Transformers writes") {
  CHECK(PoolFormerImageProcessor().to_json() ==
        R"({
  "crop_pct": 0.9,
  "crop_size": {
    "height": 224,
    "width": 224
  },
  "do_center_crop": true,
  "do_normalize": true,
  "do_rescale": true,
  "do_resize": true,
  "image_mean": [
    0.485,
    0.456,
    0.406
  ],
  "image_processor_type": "PoolFormerImageProcessor",
  "image_std": [
    0.229,
    0.224,
    0.225
  ],
  "resample": 3,
  "rescale_factor": 0.00392156862745098,
  "size": {
    "shortest_edge": 224
  }
}
)");
  const auto loaded = PoolFormerImageProcessor::from_json(
      R"({"size": 32, "crop_pct": null, "do_pad": true, "pad_size": 40, "do_convert_rgb": null,
          "do_resize_and_center_crop": false,
          "feature_extractor_type": "PoolFormerFeatureExtractor"})",
      "old.json");
  CHECK(loaded->to_json() ==
        R"({
  "crop_pct": null,
  "crop_size": {
    "height": 224,
    "width": 224
  },
  "do_center_crop": true,
  "do_convert_rgb": null,
  "do_normalize": true,
  "do_pad": true,
  "do_rescale": true,
  "do_resize": true,
  "do_resize_and_center_crop": false,
  "image_mean": [
    0.485,
    0.456,
    0.406
  ],
  "image_processor_type": "PoolFormerImageProcessor",
  "image_std": [
    0.229,
    0.224,
    0.225
  ],
  "pad_size": {
    "height": 40,
    "width": 40
  },
  "resample": 3,
  "rescale_factor": 0.00392156862745098,
  "size": {
    "shortest_edge": 32
  }
}
)");
  round_trip(*loaded);
}

TEST_CASE("wrong values for PoolFormerImageProcessor have one clear line") {
  const auto load = load_error<PoolFormerImageProcessor>;
  CHECK(load(R"({"crop_pct": -0.9})") ==
        "[processor] p.json: /crop_pct: expected a number above 0, got -0.9.");
  CHECK(load(R"({"crop_pct": 0})") ==
        "[processor] p.json: /crop_pct: expected a number above 0, got 0.");
  CHECK(load(R"({"crop_pct": "0.9"})") ==
        "[processor] p.json: /crop_pct: expected a number, got \"0.9\".");
  CHECK(load(R"({"crop_size": 0})") ==
        "[processor] p.json: /crop_size/height: expected a length of at least 1, got 0.");
  CHECK(load(R"({"crop_size": {"height": 3}})") ==
        "[processor] p.json: /crop_size: expected the keys {height, width}, {shortest_edge}, "
        "{shortest_edge, longest_edge}, {longest_edge} or {max_height, max_width}, got {height}.");
  CHECK(load(R"({"crop_size": "big"})") ==
        "[processor] p.json: /crop_size: expected a number, [height, width] or an object, got "
        "\"big\".");
  CHECK(load(R"({"pad_size": -1})") ==
        "[processor] p.json: /pad_size/height: expected a length of at least 1, got -1.");
  CHECK(load(R"({"do_center_crop": null})") ==
        "[processor] p.json: /do_center_crop: expected true or false, got null.");
  CHECK(load("[]") == "[processor] p.json: expected a JSON object, got an array of 0 values.");

  const cv::Mat image = pattern_image(8, 8);
  const auto call = [&](const Options& options, ImageBackend backend = ImageBackend::Pil) {
    return message_of<Error>([&] { small_poolformer_processor(0.9, backend)(image, options); });
  };
  CHECK(call(Options().size(SizeDict{{"longest_edge", 20}})) ==
        "[processor] /size: expected the key shortest_edge, or height and width, got "
        "{longest_edge}.");
  CHECK(call(Options().size(SizeDict{{"width", 20}})) ==
        "[processor] /size: expected the keys {height, width}, {shortest_edge}, {shortest_edge, "
        "longest_edge}, {longest_edge} or {max_height, max_width}, got {width}.");
  CHECK(call(Options().crop_size(SizeDict{{"shortest_edge", 20}})) ==
        "[processor] /crop_size: expected the keys height and width, got {shortest_edge}.");
  CHECK(call(Options().crop_size(sides(-2, 5))) ==
        "[processor] /crop_size/height: expected a length of at least 1, got -2.");
  CHECK(call(Options().crop_pct(-1.0)) ==
        "[processor] /crop_pct: expected a number above 0, got -1.");
  CHECK(call(Options().crop_pct(std::numeric_limits<double>::quiet_NaN())) ==
        "[processor] /crop_pct: expected a number above 0, got nan.");
  // Nothing is left of the image.
  CHECK(call(Options().crop_pct(30.0)) ==
        "[image] resize: expected a target size of 1 to 178956970 pixels, got 0 x 0 (height x "
        "width).");
}

TEST_CASE("sizes of PoolFormerImageProcessor without bound are refused before memory is taken") {
  const int64_t huge = 1'000'000'000;
  const cv::Mat image = pattern_image(8, 8);
  const at::Tensor floating = tensor_view(image).to(at::kFloat);
  for (const ImageBackend backend : {ImageBackend::Pil, ImageBackend::Torchvision}) {
    const PoolFormerImageProcessor processor = small_poolformer_processor(0.9, backend);
    const auto call = [&](const auto& input, const Options& options) {
      return message_of<Error>([&] { processor(input, options); });
    };
    const std::string crop =
        "[processor] /crop_size: expected 1 to 178956970 pixels, got 1000000000 x 1000000000.";
    CHECK(call(image, Options().crop_size(sides(huge, huge))) == crop);
    CHECK(call(floating, Options().crop_size(sides(huge, huge)).do_resize(false)) == crop);
    CHECK(call(image, Options().crop_size(sides(1, huge))) ==
          "[processor] /crop_size: expected 1 to 178956970 pixels, got 1 x 1000000000.");
    CHECK(call(image, Options().size(size_dict(huge, false))) ==
          "[image] resize: expected a target size of 1 to 178956970 pixels, got 178956971 x "
          "178956971 (height x width).");
    CHECK(call(image, Options().crop_pct(1e-300)) ==
          "[image] resize: expected a target size of 1 to 178956970 pixels, got 178956971 x "
          "178956971 (height x width).");
  }
}

}  // namespace
}  // namespace vizoo
