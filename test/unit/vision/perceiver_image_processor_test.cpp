#include "vizoo/vision/perceiver_image_processor.h"

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "test/unit/vision/processor_checks.h"
#include "vizoo/core/error.h"

// The hashes without a source beside them are those of the two Transformers' own classes on the
// same images.
namespace vizoo {
namespace {

using namespace test;

PerceiverImageProcessor small_perceiver_processor(ImageBackend backend = ImageBackend::Pil) {
  PerceiverImageProcessorConfig config;
  config.size = sides(21, 21);
  config.crop_size = sides(24, 24);
  PerceiverImageProcessor processor(config);
  processor.backend = backend;
  return processor;
}

TEST_CASE("PerceiverImageProcessor gives the numbers of Transformers 4.37.2") {
  const cv::Mat wide = pattern_image(37, 53);
  CHECK(hash_of(small_perceiver_processor(), wide) == "BB09FBD1");
  CHECK(hash_of(small_perceiver_processor(), pattern_image(53, 37)) == "3CF0C957");
  const at::Tensor values = small_perceiver_processor()(wide).pixel_values;
  CHECK(values.sizes() == at::IntArrayRef({1, 3, 21, 21}));
  CHECK(values[0][0][0][0].item<float>() == 0.622056723f);
  CHECK(values[0][1][0][0].item<float>() == -0.00490194978f);
  CHECK(values[0][2][0][0].item<float>() == 0.40906325f);
  const PerceiverImageProcessor published;
  CHECK(hash_of(published, pattern_image(480, 640)) == "A5F3A948");
  CHECK(hash_of(published, pattern_image(640, 480)) == "79D3E520");
  CHECK(hash_of(published, pattern_image(200, 131)) == "1767077E");
}

TEST_CASE("the crop is a part of the shorter side, not crop_size") {
  const PerceiverImageProcessor processor;
  const auto shape = [&](int height, int width, const Options& options = {}) {
    return shape_of(
        processor(pattern_image(height, width), Options(options).do_resize(false)).images[0]);
  };
  CHECK(shape(480, 640) == "3 x 420 x 420");
  CHECK(shape(640, 480) == "3 x 420 x 420");
  CHECK(shape(200, 131) == "3 x 114 x 114");  // 114.625
  CHECK(shape(256, 256) == "3 x 224 x 224");
  CHECK(shape(100, 80, Options().size(sides(112, 64))) == "3 x 35 x 20");
  CHECK(shape(100, 80, Options().crop_size(sides(448, 224))) == "3 x 40 x 80");
  CHECK(hash_of(processor, pattern_image(480, 640), Options().do_resize(false)) == "C2C13029");
  CHECK(hash_of(processor, pattern_image(200, 131), Options().do_resize(false)) == "A442D659");
}

TEST_CASE("each argument of a call overrides the attribute of PerceiverImageProcessor") {
  const PerceiverImageProcessor processor = small_perceiver_processor();
  const cv::Mat image = pattern_image(37, 53);
  const std::map<std::string, std::string> expected{
      {"do_resize false", "CA487DB6"},
      {"do_center_crop false", "90B6D5A1"},
      {"do_normalize false", "C50B92A6"},
      {"do_rescale false", "A9388B12"},
      {"do_rescale, do_normalize false", "869DA1E4"},
      {"resample nearest", "2ABCB695"},
      {"resample lanczos", "76488DD0"},
      {"crop_size 13", "2923720C"},
      {"crop_size 9 x 31", "25078AF5"},
      {"rescale_factor 0.02", "68167237"},
      {"image_mean, image_std", "372AFF1F"},
      {"data_format last", "7BB2082D"},
  };
  CHECK(hashes_of_calls(processor, image) == expected);
  const auto hash = [&](const Options& options) { return hash_of(processor, image, options); };
  CHECK(hash(Options().resample(Resample::box)) == "AA4FF296");
  CHECK(hash(Options().resample(Resample::bilinear)) == "DC64CF55");
  CHECK(hash(Options().size(sides(30, 26))) == "4E6C9270");
  CHECK(hash(Options().size(sides(28, 28))) == "DE21F72F");
  // Neither class pads, and that of 4.37.2 converts nothing.
  const auto pad = Options().do_pad(true).pad_size(size_dict(40, true)).do_convert_rgb(true);
  CHECK(hash(pad) == "BB09FBD1");
}

TEST_CASE("PerceiverImageProcessor surrounds images that are smaller than the crop with zeros") {
  const cv::Mat image = pattern_image(37, 53);
  const auto wider = Options().size(sides(39, 39)).do_resize(false);
  CHECK(shape_of(small_perceiver_processor()(image, wider).images[0]) == "3 x 59 x 59");
  CHECK(hash_of(small_perceiver_processor(), image, wider) == "529CBD1F");
  const auto uneven = Options().size(sides(41, 25)).do_resize(false);
  CHECK(hash_of(small_perceiver_processor(), image, uneven) == "9D30C476");
  const auto resized = Options().size(sides(35, 35)).crop_size(sides(26, 35));
  CHECK(hash_of(small_perceiver_processor(), image, resized) == "28333A90");
  const PerceiverImageProcessor fast = small_perceiver_processor(ImageBackend::Torchvision);
  CHECK(shape_of(fast(image, wider).images[0]) == "3 x 60 x 60");
  CHECK(hash_of(fast, image, wider) == "BFD06506");
  CHECK(hash_of(fast, image, uneven) == "72EB2B9B");
  CHECK(hash_of(fast, image, resized) == "1B93A240");
}

TEST_CASE("PerceiverImageProcessor on torchvision is the class of Transformers 5.17") {
  const PerceiverImageProcessor processor = small_perceiver_processor(ImageBackend::Torchvision);
  const cv::Mat image = pattern_image(37, 53);
  const auto hash = [&](const Options& options) { return hash_of(processor, image, options); };
  CHECK(hash({}) == "4AD82365");
  CHECK(hash_of(processor, pattern_image(53, 37)) == "28AD39A3");
  CHECK(hash(Options().do_resize(false)) == "8A0FF964");
  CHECK(hash(Options().do_center_crop(false)) == "48ACE80F");
  CHECK(hash(Options().do_normalize(false)) == "2E07E7D3");
  CHECK(hash(Options().do_rescale(false)) == "06E452BF");
  CHECK(hash(Options().do_rescale(false).do_normalize(false)) == "3038A9A0");
  CHECK(hash(Options().resample(Resample::nearest)) == "741F36C9");
  CHECK(hash(Options().size(sides(30, 26))) == "C7F3B9CF");
  CHECK(hash(Options().crop_size(sides(9, 31))) == "50BA81BD");
  CHECK(hash(Options().rescale_factor(0.02)) == "9344F67F");
  const auto whole = Options().do_center_crop(false);
  CHECK(hash(Options(whole).size(size_dict(24, false))) == "BD18B354");
  CHECK(hash(Options(whole).size(SizeDict{{"max_height", 30}, {"max_width", 20}})) == "C7A850F6");
  CHECK(hash(Options().do_pad(true).pad_size(sides(40, 40))) == "4AD82365");
  CHECK(hash(Options().disable_grouping(true)) == "4AD82365");
  PerceiverImageProcessor published;
  published.backend = ImageBackend::Torchvision;
  CHECK(hash_of(published, pattern_image(480, 640)) == "C4D32523");
  CHECK(hash_of(published, pattern_image(200, 131)) == "83C1898E");
  // Both backends agree up to two grey levels.
  const at::Tensor difference =
      (small_perceiver_processor()(image).pixel_values - processor(image).pixel_values).abs();
  CHECK(difference.max().item<float>() <= 2.01f / 255.0f / 0.224f);
  // Only this backend makes images RGB.
  const auto convert = Options().do_convert_rgb(true);
  CHECK(hash_of(processor, pattern_image(37, 53, 4), convert) == "4AD82365");
  CHECK(shape_of(processor(pattern_image(37, 53, 1), convert).images[0]) == "3 x 21 x 21");
}

TEST_CASE("PerceiverImageProcessor takes tensors, floating ones too, and batches of sizes") {
  const cv::Mat image = pattern_image(37, 53);
  const at::Tensor bytes = tensor_view(image).permute({2, 0, 1});
  for (const auto backend : {ImageBackend::Pil, ImageBackend::Torchvision}) {
    const PerceiverImageProcessor processor = small_perceiver_processor(backend);
    CHECK(hash_of(processor(bytes).images[0]) == hash_of(processor, image));
    const BatchFeature batch =
        processor(std::vector<cv::Mat>{image, pattern_image(53, 37), pattern_image(24, 24)});
    CHECK(batch.pixel_values.sizes() == at::IntArrayRef({3, 3, 21, 21}));
    CHECK(hash_of(batch.pixel_values[1]) == hash_of(processor, pattern_image(53, 37)));
  }
  const at::Tensor scaled = bytes.to(at::kFloat) / 255.0f;
  CHECK(hash_of(small_perceiver_processor()(scaled, Options().do_rescale(false)).images[0]) ==
        "BB09FBD1");
  CHECK(hash_of(small_perceiver_processor(ImageBackend::Torchvision)(scaled,
                                                                     Options().do_rescale(false))
                    .images[0]) == "7619EAB4");
}

TEST_CASE("older JSON forms of PerceiverImageProcessor are read") {
  const auto config = config_of<PerceiverImageProcessor>;
  CHECK(equal_fields(config("{}"), PerceiverImageProcessorConfig()));
  CHECK(config("{}").size == sides(224, 224));
  CHECK(config("{}").crop_size == sides(256, 256));
  CHECK(config("{}").resample == 3);
  CHECK(config("{}").image_mean == std::vector<double>{0.485, 0.456, 0.406});
  CHECK(config("{}").image_std == std::vector<double>{0.229, 0.224, 0.225});
  // As the files on the hub are: plain numbers, no do_rescale.
  const auto published = config(
      R"({"crop_size": 256, "do_center_crop": true, "do_normalize": true, "do_resize": true,
          "feature_extractor_type": "PerceiverFeatureExtractor",
          "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
          "resample": 3, "size": 224})");
  CHECK(equal_fields(published, PerceiverImageProcessorConfig()));
  const auto newer = PerceiverImageProcessor::from_json(
      R"({"image_processor_type": "PerceiverImageProcessorFast", "size": 21, "crop_size": 24,
          "do_convert_rgb": true, "do_pad": true, "pad_size": {"height": 33, "width": 33}})",
      "p.json");
  CHECK(newer->config().do_convert_rgb == true);
  CHECK(hash_of(*newer, pattern_image(37, 53)) == "BB09FBD1");
  CHECK(round_trip(*newer)->config().unknown.at("do_pad") == "true");
}

TEST_CASE("the JSON of PerceiverImageProcessor is what Transformers writes") {
  const std::string text = R"({
  "crop_size": {
    "height": 256,
    "width": 256
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
  "image_processor_type": "PerceiverImageProcessor",
  "image_std": [
    0.229,
    0.224,
    0.225
  ],
  "resample": 3,
  "rescale_factor": 0.00392156862745098,
  "size": {
    "height": 224,
    "width": 224
  }
}
)";
  CHECK(PerceiverImageProcessor().to_json() == text);
  const auto loaded = PerceiverImageProcessor::from_json(
      R"({"size": 224, "crop_size": 256, "feature_extractor_type": "PerceiverFeatureExtractor"})",
      "old.json");
  CHECK(loaded->to_json() == text);
  round_trip(*loaded);
}

TEST_CASE("wrong values for PerceiverImageProcessor have one clear line") {
  const auto load = load_error<PerceiverImageProcessor>;
  CHECK(load(R"({"crop_size": 0})") ==
        "[processor] p.json: /crop_size/height: expected a length of at least 1, got 0.");
  CHECK(load(R"({"size": {"height": 3}})") ==
        "[processor] p.json: /size: expected the keys {height, width}, {shortest_edge}, "
        "{shortest_edge, longest_edge}, {longest_edge} or {max_height, max_width}, got {height}.");
  CHECK(load(R"({"do_center_crop": 1})") ==
        "[processor] p.json: /do_center_crop: expected true or false, got 1.");
  const cv::Mat image = pattern_image(37, 53);
  for (const auto backend : {ImageBackend::Pil, ImageBackend::Torchvision}) {
    const auto call = [&](const Options& options, const cv::Mat& on) {
      return message_of<Error>([&] { small_perceiver_processor(backend)(on, options); });
    };
    CHECK(call(Options().size(size_dict(24, false)), image) ==
          "[processor] /size: expected the keys height and width, got {shortest_edge}.");
    CHECK(call(Options().crop_size(size_dict(24, false)), image) ==
          "[processor] /crop_size: expected the keys height and width, got {shortest_edge}.");
    CHECK(call({}, pattern_image(1, 40)) ==
          "[image] size: expected a shorter side of which size / crop_size leaves a pixel, got "
          "1 x 40.");
    CHECK(call({}, pattern_image(37, 53, 4)) ==
          "[processor] /image_mean: expected one number, or one for each of the image's 4 "
          "channels, got 3 numbers.");
  }
  CHECK(message_of<ConfigError>([&] {
          small_perceiver_processor()(image,
                                      Options().size(size_dict(24, false)).do_center_crop(false));
        }) == "[processor] /size: expected the keys height and width, got {shortest_edge}.");
}

TEST_CASE("crops of PerceiverImageProcessor without bound are refused before memory is taken") {
  const int64_t huge = 1'000'000'000;
  const cv::Mat image = pattern_image(8, 8);
  for (const auto backend : {ImageBackend::Pil, ImageBackend::Torchvision}) {
    const auto call = [&](const Options& options) {
      return message_of<Error>([&] { small_perceiver_processor(backend)(image, options); });
    };
    CHECK(call(Options().crop_size(sides(1, 1)).size(sides(huge, huge)))
              .find("[processor] /crop_size: expected 1 to 178956970 pixels") == 0);
    CHECK(call(Options().crop_size(sides(huge, huge)).size(sides(huge, huge))).find("[image] ") ==
          0);
    CHECK(call(Options().crop_size(sides(INT64_MAX, 1)).size(sides(1, INT64_MAX))).find("[") == 0);
  }
}

}  // namespace
}  // namespace vizoo
