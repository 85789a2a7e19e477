#include "vizoo/vision/bit_image_processor.h"

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

BitImageProcessor small_bit_processor(ImageBackend backend = ImageBackend::Pil) {
  return small_processor<BitImageProcessor>(BitImageProcessorConfig(), 24, 20, backend);
}

TEST_CASE("BitImageProcessor gives the numbers of Transformers 4.37.2") {
  const cv::Mat wide = pattern_image(37, 53);
  CHECK(hash_of(small_bit_processor(), wide) == "95BF1E46");
  CHECK(hash_of(small_bit_processor(), pattern_image(53, 37)) == "317EB98F");
  const at::Tensor values = small_bit_processor()(wide).pixel_values;
  CHECK(values.sizes() == at::IntArrayRef({1, 3, 20, 20}));
  CHECK(values[0][0][0][0].item<float>() == 0.8208558f);
  CHECK(values[0][1][0][0].item<float>() == -0.74657661f);
  CHECK(values[0][2][0][0].item<float>() == 0.3257286f);
}

TEST_CASE("each argument of a call overrides the attribute of BitImageProcessor") {
  const BitImageProcessor processor = small_bit_processor();
  const cv::Mat image = pattern_image(37, 53);
  const std::map<std::string, std::string> expected{
      {"do_resize false", "4CA34592"},
      {"do_center_crop false", "607CCECF"},
      {"do_normalize false", "2D6BD897"},
      {"do_rescale false", "A0BB4106"},
      {"do_rescale, do_normalize false", "3347C849"},
      {"resample nearest", "54123EA2"},
      {"resample lanczos", "1F98BC5A"},
      {"crop_size 13", "38822717"},
      {"crop_size 9 x 31", "A1F617AE"},
      {"rescale_factor 0.02", "D756EA5B"},
      {"image_mean, image_std", "83A3A50E"},
      {"data_format last", "7FD5CBA6"},
  };
  CHECK(hashes_of_calls(processor, image) == expected);
  const auto hash = [&](const Options& options) { return hash_of(processor, image, options); };
  CHECK(hash(Options().resample(Resample::bilinear)) == "21538063");
  CHECK(hash(Options().size(size_dict(17, false))) == "13FD0FF0");
  CHECK(hash(Options().size(sides(30, 26))) == "E367CFF0");
  CHECK(hash(Options().size(sides(28, 28))) == "93C08CD3");
  // Only the newer class heeds the longest edge, or pads.
  const SizeDict both{{"shortest_edge", 24}, {"longest_edge", 30}};
  CHECK(hash(Options().size(both).do_center_crop(false)) == "607CCECF");
  CHECK(hash(Options().do_pad(true).pad_size(size_dict(40, true))) == "95BF1E46");
}

TEST_CASE("BitImageProcessor pads images that are smaller than the crop") {
  const cv::Mat image = pattern_image(37, 53);
  const auto larger = Options().crop_size(sides(44, 61));
  const auto unresized = Options().crop_size(sides(47, 10)).do_resize(false);
  CHECK(shape_of(small_bit_processor()(image, larger).images[0]) == "3 x 44 x 60");
  CHECK(hash_of(small_bit_processor(), image, larger) == "F46DCA2B");
  CHECK(hash_of(small_bit_processor(), image, unresized) == "CC872D4D");
  const BitImageProcessor fast = small_bit_processor(ImageBackend::Torchvision);
  CHECK(shape_of(fast(image, larger).images[0]) == "3 x 44 x 61");
  CHECK(hash_of(fast, image, larger) == "20BB8E4F");
  CHECK(hash_of(fast, image, unresized) == "54B1D428");
}

TEST_CASE("do_convert_rgb makes an image RGB as Pillow does") {
  const cv::Mat grey = pattern_image(37, 53, 1);
  const cv::Mat grey_alpha = pattern_image(37, 53, 2);
  const cv::Mat colour_alpha = pattern_image(37, 53, 4);
  CHECK(hash_of(small_bit_processor(), grey_alpha) == "70F63982");
  CHECK(hash_of(small_bit_processor(), colour_alpha) == "95BF1E46");
  // The first channel of the pattern is the grey of both.
  CHECK(hash_of(small_bit_processor(), grey) == "70F63982");
  const BitImageProcessor fast = small_bit_processor(ImageBackend::Torchvision);
  CHECK(hash_of(fast, grey_alpha) == "B64E96AF");
  CHECK(hash_of(fast, colour_alpha) == "98C521D1");
  // Without it, and for tensors, the channels stay.
  const auto keep = Options()
                        .do_convert_rgb(false)
                        .image_mean(std::vector<double>{0.5})
                        .image_std(std::vector<double>{0.5});
  CHECK(small_bit_processor()(grey, keep).images[0].size(0) == 1);
  CHECK(small_bit_processor()(colour_alpha, keep).images[0].size(0) == 4);
  const at::Tensor tensor = tensor_view(grey).clone();
  CHECK(message_of<ConfigError>([&] { small_bit_processor()(tensor); }) ==
        "[processor] /image_mean: expected one number, or one for each of the image's 1 channels, "
        "got 3 numbers.");
}

TEST_CASE("BitImageProcessor on torchvision is the class of Transformers 5.17") {
  const BitImageProcessor processor = small_bit_processor(ImageBackend::Torchvision);
  const cv::Mat image = pattern_image(37, 53);
  const auto hash = [&](const Options& options) { return hash_of(processor, image, options); };
  CHECK(hash({}) == "98C521D1");
  CHECK(hash_of(processor, pattern_image(53, 37)) == "41934896");
  CHECK(hash(Options().do_resize(false)) == "372A5B9F");
  CHECK(hash(Options().do_normalize(false)) == "0D8AF6ED");
  CHECK(hash(Options().do_rescale(false)) == "9726AB66");
  CHECK(hash(Options().size(sides(30, 26))) == "323D328A");
  CHECK(hash(Options().crop_size(size_dict(13, true))) == "AAF7610A");
  CHECK(hash(Options().rescale_factor(0.02)) == "449C1BE5");
  const SizeDict both{{"shortest_edge", 24}, {"longest_edge", 30}};
  CHECK(hash(Options().size(both).do_center_crop(false)) == "DA617014");
  CHECK(
      shape_of(
          processor(
              image,
              Options().size(SizeDict{{"max_height", 30}, {"max_width", 40}}).do_center_crop(false))
              .images[0]) == "3 x 27 x 40");
  CHECK(hash(Options().do_pad(true).pad_size(sides(30, 40))) == "50492B11");
  CHECK(hash(Options().do_pad(true).pad_size(size_dict(33, true))) == "C04E84C1");
}

TEST_CASE("a height and a width bound an image of the torchvision backend") {
  // Checked against Transformers 5.17's get_image_size_for_max_height_width.
  CHECK(size_within({100, 200}, 50, 50) == ImageSize{25, 50});
  CHECK(size_within({100, 200}, 200, 500) == ImageSize{200, 400});
  CHECK(size_within({37, 53}, 30, 40) == ImageSize{27, 40});
  CHECK(size_within({53, 37}, 224, 97) == ImageSize{138, 97});
  CHECK(size_within({7, 3}, 100, 100) == ImageSize{100, 42});
}

TEST_CASE("the longest edge bounds an image of the torchvision backend") {
  // Checked against Transformers 5.17's get_size_with_aspect_ratio; halves are rounded to even.
  CHECK(bounded_edge_size({37, 53}, 24, 30) == ImageSize{21, 30});
  CHECK(bounded_edge_size({53, 37}, 24, 30) == ImageSize{30, 21});
  CHECK(bounded_edge_size({37, 53}, 24, 40) == ImageSize{24, 34});
  CHECK(bounded_edge_size({10, 20}, 50, 5) == ImageSize{2, 5});
  CHECK(bounded_edge_size({10, 20}, 50, 7) == ImageSize{4, 7});
  CHECK(bounded_edge_size({10, 20}, 50, 20) == ImageSize{10, 20});
  CHECK(bounded_edge_size({16, 16}, 50, 20) == ImageSize{20, 20});
  CHECK(bounded_edge_size({1, 1000}, 50, 20) == ImageSize{0, 20});
}

TEST_CASE("JSON forms of BitImageProcessor are read") {
  const auto config = config_of<BitImageProcessor>;
  CHECK(equal_fields(config("{}"), BitImageProcessorConfig()));
  CHECK(config("{}").size == SizeDict{{"shortest_edge", 224}});
  CHECK(config("{}").crop_size == sides(224, 224));
  CHECK(config("{}").resample == 3);
  CHECK(config("{}").do_convert_rgb == true);
  CHECK(config("{}").image_mean == std::vector<double>{0.48145466, 0.4578275, 0.40821073});
  CHECK(config("{}").image_std == std::vector<double>{0.26862954, 0.26130258, 0.27577711});
  CHECK(config(R"({"size": 256, "crop_size": 100})").crop_size == sides(100, 100));
  CHECK(config(R"({"image_mean": null, "image_std": 0.5})").image_mean ==
        std::vector<double>{0.48145466, 0.4578275, 0.40821073});
  // null converts nothing, as false.
  const auto keeps = BitImageProcessor::from_json(R"({"do_convert_rgb": null})", "p.json");
  CHECK(keeps->config().do_convert_rgb == std::nullopt);
  CHECK(keeps->settings().do_convert_rgb == false);
  // As DINOv2's files are.
  const auto dinov2 = config(
      R"({"crop_size": {"height": 224, "width": 224}, "do_center_crop": true,
          "do_convert_rgb": true, "do_normalize": true, "do_rescale": true, "do_resize": true,
          "image_mean": [0.485, 0.456, 0.406], "image_processor_type": "BitImageProcessor",
          "image_std": [0.229, 0.224, 0.225], "resample": 3,
          "rescale_factor": 0.00392156862745098, "size": {"shortest_edge": 256}})");
  BitImageProcessorConfig expected;
  expected.size = size_dict(256, false);
  expected.image_mean = {0.485, 0.456, 0.406};
  expected.image_std = {0.229, 0.224, 0.225};
  CHECK(equal_fields(dinov2, expected));
  CHECK(shape_of(BitImageProcessor(dinov2)(pattern_image(480, 640)).pixel_values) ==
        "1 x 3 x 224 x 224");
}

TEST_CASE("the JSON of BitImageProcessor is what Transformers writes") {
  CHECK(BitImageProcessor().to_json() ==
        R"({
  "crop_size": {
    "height": 224,
    "width": 224
  },
  "do_center_crop": true,
  "do_convert_rgb": true,
  "do_normalize": true,
  "do_rescale": true,
  "do_resize": true,
  "image_mean": [
    0.48145466,
    0.4578275,
    0.40821073
  ],
  "image_processor_type": "BitImageProcessor",
  "image_std": [
    0.26862954,
    0.26130258,
    0.27577711
  ],
  "resample": 3,
  "rescale_factor": 0.00392156862745098,
  "size": {
    "shortest_edge": 224
  }
}
)");
  const auto loaded = BitImageProcessor::from_json(
      R"({"size": 32, "do_convert_rgb": false, "pad_size": 9, "processor_class": "X"})", "p.json");
  const auto again = round_trip(*loaded);
  CHECK(again->config().do_convert_rgb == false);
  CHECK(again->config().pad_size == sides(9, 9));
  CHECK(again->config().unknown.at("processor_class") == "\"X\"");
}

TEST_CASE("wrong values for BitImageProcessor have one clear line") {
  const auto load = load_error<BitImageProcessor>;
  CHECK(load(R"({"size": 0})") ==
        "[processor] p.json: /size/shortest_edge: expected a length of at least 1, got 0.");
  CHECK(load(R"({"crop_size": [0, 5]})") ==
        "[processor] p.json: /crop_size/height: expected a length of at least 1, got 0.");
  CHECK(load(R"({"crop_size": [5, 5, 5]})") ==
        "[processor] p.json: /crop_size: expected a number, [height, width] or an object, got an "
        "array of 3 values.");
  CHECK(load(R"({"do_convert_rgb": "yes"})") ==
        "[processor] p.json: /do_convert_rgb: expected true or false, got \"yes\".");
  CHECK(load(R"({"resample": 6})") ==
        "[processor] p.json: /resample: expected 0 (nearest), 1 (lanczos), 2 (bilinear), 3 "
        "(bicubic), 4 (box) or 5 (hamming), got 6.");
  const cv::Mat image = pattern_image(37, 53);
  const auto call = [&](const Options& options, ImageBackend backend = ImageBackend::Pil) {
    return message_of<Error>([&] { small_bit_processor(backend)(image, options); });
  };
  CHECK(call(Options().size(SizeDict{{"longest_edge", 20}})) ==
        "[processor] /size: expected the key shortest_edge, or height and width, got "
        "{longest_edge}.");
  CHECK(call(Options().crop_size(SizeDict{{"shortest_edge", 20}})) ==
        "[processor] /crop_size: expected the keys height and width, got {shortest_edge}.");
  CHECK(call(Options().crop_size(sides(1'000'000'000, 1'000'000'000))) ==
        "[processor] /crop_size: expected 1 to 178956970 pixels, got 1000000000 x 1000000000.");
  CHECK(call(Options().do_pad(true).pad_size(size_dict(1'000'000'000, true)),
             ImageBackend::Torchvision) ==
        "[processor] /pad_size: expected 1 to 178956970 pixels, got 1000000000 x 1000000000.");
  CHECK(call(Options().size(SizeDict{{"shortest_edge", 5}, {"longest_edge", int64_t{1} << 40}}),
             ImageBackend::Torchvision) == "no exception");
  CHECK(message_of<ConfigError>([&] {
          BitImageProcessorConfig config;
          config.crop_size = {{"width", 3}};
          BitImageProcessor bad(config);
        }) ==
        "[processor] /crop_size: expected the keys {height, width}, {shortest_edge}, "
        "{shortest_edge, longest_edge}, {longest_edge} or {max_height, max_width}, got {width}.");
}

}  // namespace
}  // namespace vizoo
