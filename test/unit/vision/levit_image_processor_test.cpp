#include "vizoo/vision/levit_image_processor.h"

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

LevitImageProcessor small_levit_processor(ImageBackend backend = ImageBackend::Pil) {
  return small_processor<LevitImageProcessor>(LevitImageProcessorConfig(), 21, 20, backend);
}

TEST_CASE("LevitImageProcessor gives the numbers of Transformers 4.37.2") {
  const cv::Mat wide = pattern_image(37, 53);
  CHECK(hash_of(small_levit_processor(), wide) == "F7FFA332");
  CHECK(hash_of(small_levit_processor(), pattern_image(53, 37)) == "100BB52F");
  const at::Tensor values = small_levit_processor()(wide).pixel_values;
  CHECK(values.sizes() == at::IntArrayRef({1, 3, 20, 20}));
  CHECK(values[0][0][0][0].item<float>() == 0.94742703f);
  CHECK(values[0][1][0][0].item<float>() == -0.86274499f);
  CHECK(values[0][2][0][0].item<float>() == 0.40906325f);
}

TEST_CASE("each argument of a call overrides the attribute of LevitImageProcessor") {
  const LevitImageProcessor processor = small_levit_processor();
  const cv::Mat image = pattern_image(37, 53);
  const std::map<std::string, std::string> expected{
      {"do_resize false", "EDB6228D"},
      {"do_center_crop false", "00F73DE9"},
      {"do_normalize false", "2D6BD897"},
      {"do_rescale false", "2B8E0DD1"},
      {"do_rescale, do_normalize false", "3347C849"},
      {"resample nearest", "2F39998B"},
      {"resample lanczos", "52869551"},
      {"crop_size 13", "157567AD"},
      {"crop_size 9 x 31", "746A7253"},
      {"rescale_factor 0.02", "1139516C"},
      {"image_mean, image_std", "83A3A50E"},
      {"data_format last", "9BCC3C46"},
  };
  CHECK(hashes_of_calls(processor, image) == expected);
  const auto hash = [&](const Options& options) { return hash_of(processor, image, options); };
  CHECK(hash(Options().resample(Resample::box)) == "26C13D28");
  CHECK(hash(Options().size(sides(30, 26))) == "8BA05D3C");
  CHECK(hash(Options().size(sides(28, 28))) == "5902D667");
  // The class of 4.37.2 knows no crop_pct, no padding and no conversion.
  CHECK(hash(Options().crop_pct(0.5).do_pad(true).do_convert_rgb(true)) == "F7FFA332");
}

TEST_CASE("LeViT's shortest edge grows by 256 / 224, height and width do not") {
  const cv::Mat image = pattern_image(37, 53);
  const auto shape = [&](const SizeDict& size) {
    return shape_of(
        small_levit_processor()(image, Options().do_center_crop(false).size(size)).images[0]);
  };
  CHECK(shape(size_dict(21, false)) == "3 x 24 x 34");
  CHECK(shape(size_dict(17, false)) == "3 x 19 x 27");
  CHECK(shape(size_dict(224, false)) == "3 x 256 x 366");
  CHECK(shape(sides(21, 22)) == "3 x 21 x 22");
  CHECK(shape({{"shortest_edge", 24}, {"longest_edge", 30}}) == "3 x 27 x 38");
  // The factor is a double, its product the whole number that it should be.
  for (const int64_t edge : {1, 7, 14, 63, 112, 160, 192, 223, 225, 256, 384, 399}) {
    const auto options = Options().do_center_crop(false).size(size_dict(edge, false));
    CHECK(small_levit_processor()(image, options).images[0].size(1) == edge * 8 / 7);
  }
}

TEST_CASE("LevitImageProcessor pads images that are smaller than the crop") {
  const cv::Mat image = pattern_image(37, 53);
  CHECK(hash_of(small_levit_processor(), image, Options().size(size_dict(17, false))) ==
        "C554B025");
  const auto larger = Options().crop_size(sides(44, 61));
  CHECK(shape_of(small_levit_processor()(image, larger).images[0]) == "3 x 44 x 60");
  CHECK(hash_of(small_levit_processor(), image, larger) == "1633A179");
  const auto unresized = Options().crop_size(sides(47, 10)).do_resize(false);
  CHECK(hash_of(small_levit_processor(), image, unresized) == "2E6F2E01");
  const LevitImageProcessor fast = small_levit_processor(ImageBackend::Torchvision);
  CHECK(hash_of(fast, image, Options().size(size_dict(17, false))) == "A0FAFCE7");
  CHECK(shape_of(fast(image, larger).images[0]) == "3 x 44 x 61");
  CHECK(hash_of(fast, image, larger) == "68EF39E0");
  CHECK(hash_of(fast, image, unresized) == "1F7AE573");
}

TEST_CASE("LevitImageProcessor on torchvision is the class of Transformers 5.17") {
  const LevitImageProcessor processor = small_levit_processor(ImageBackend::Torchvision);
  const cv::Mat image = pattern_image(37, 53);
  const auto hash = [&](const Options& options) { return hash_of(processor, image, options); };
  CHECK(hash({}) == "229FBD38");
  CHECK(hash_of(processor, pattern_image(53, 37)) == "5455CD7B");
  CHECK(hash(Options().do_resize(false)) == "E203F152");
  CHECK(hash(Options().do_center_crop(false)) == "BD18B354");
  CHECK(hash(Options().do_normalize(false)) == "0D8AF6ED");
  CHECK(hash(Options().do_rescale(false)) == "B51A0582");
  CHECK(hash(Options().do_rescale(false).do_normalize(false)) == "8EC21B28");
  CHECK(hash(Options().resample(Resample::nearest)) == "A41FE568");
  CHECK(hash(Options().size(sides(30, 26))) == "51D10872");
  CHECK(hash(Options().crop_size(sides(9, 31))) == "3AC1BAFC");
  CHECK(hash(Options().rescale_factor(0.02)) == "1E380757");
  CHECK(hash(Options()
                 .image_mean(std::vector<double>{0.1, 0.2, 0.3})
                 .image_std(std::vector<double>{0.4, 0.5, 0.6})) == "567DF5A4");
  // Both backends agree up to two grey levels.
  const at::Tensor difference =
      (small_levit_processor()(image).pixel_values - processor(image).pixel_values).abs();
  CHECK(difference.max().item<float>() <= 2.01f / 255.0f / 0.224f);
  // What steers only how the work is done.
  CHECK(hash(Options().disable_grouping(true)) == "229FBD38");
  CHECK(hash(Options().device(at::Device(at::kCPU))) == "229FBD38");
  CHECK(processor(image, Options().device(at::Device(at::kCPU))).pixel_values.is_cpu());
}

TEST_CASE("the torchvision backend pads a batch to one size") {
  const LevitImageProcessor processor = small_levit_processor(ImageBackend::Torchvision);
  const std::vector<cv::Mat> images{pattern_image(37, 53), pattern_image(53, 37)};
  const auto hashes = [&](const Options& options) {
    const BatchFeature batch = processor(images, options);
    REQUIRE(batch.pixel_values.defined());
    return hash_of(batch.pixel_values[0]) + " " + hash_of(batch.pixel_values[1]) + " " +
           shape_of(batch.pixel_values);
  };
  const auto pad = Options().do_pad(true);
  CHECK(hashes(Options(pad).pad_size(sides(30, 40))) == "126F52B8 19A1C8FB 2 x 3 x 30 x 40");
  CHECK(hashes(Options(pad).pad_size(size_dict(33, true))) == "65DF60E8 3A35A02B 2 x 3 x 33 x 33");
  CHECK(hashes(Options(pad).do_center_crop(false)) == "F7D6C6D4 D51FAD8D 2 x 3 x 34 x 34");
  CHECK(hashes(pad) == "229FBD38 5455CD7B 2 x 3 x 20 x 20");
  CHECK(hashes(Options().pad_size(size_dict(40, true))) == "229FBD38 5455CD7B 2 x 3 x 20 x 20");
  const auto bytes = Options(pad).do_rescale(false).do_normalize(false);
  CHECK(hashes(Options(bytes).pad_size(size_dict(40, true))) ==
        "AAE2AFD8 2D61C6CF 2 x 3 x 40 x 40");
  // With the channels last the rows and columns are padded all the same.
  const auto first = processor(images, Options(pad).pad_size(sides(30, 40))).pixel_values;
  const auto last =
      processor(images, Options(pad).pad_size(sides(30, 40)).data_format(ChannelDimension::last))
          .pixel_values;
  CHECK(last.permute({0, 3, 1, 2}).equal(first));
  // Floating tensors too; black is zero after normalising.
  const at::Tensor floating = tensor_view(images[0]).permute({2, 0, 1}).to(at::kFloat);
  const at::Tensor padded = processor(floating, Options(pad).pad_size(sides(30, 40))).images[0];
  CHECK(padded.narrow(1, 0, 20).narrow(2, 0, 20).equal(processor(floating).images[0]));
  CHECK(padded.narrow(1, 20, 10).abs().max().item<float>() == 0.0f);
  CHECK(padded.narrow(2, 20, 20).abs().max().item<float>() == 0.0f);
}

TEST_CASE("the unstacked return gives one tensor for each image") {
  const LevitImageProcessor processor = small_levit_processor(ImageBackend::Torchvision);
  const std::vector<cv::Mat> images{pattern_image(37, 53), pattern_image(53, 37)};
  const auto list = processor(images, Options().return_form(ReturnForm::list));
  CHECK_FALSE(list.pixel_values.defined());
  REQUIRE(list.images.size() == 2);
  CHECK(hash_of(list.images[0]) == "229FBD38");
  CHECK(hash_of(list.images[1]) == "5455CD7B");
  const auto padded = processor(
      images, Options().return_form(ReturnForm::list).do_pad(true).pad_size(sides(30, 40)));
  CHECK_FALSE(padded.pixel_values.defined());
  CHECK(hash_of(padded.images[1]) == "19A1C8FB");
  const auto uncropped = Options().do_center_crop(false);
  CHECK(processor(images, uncropped).images[1].sizes() == at::IntArrayRef({3, 34, 24}));
  CHECK(message_of<ShapeError>(
            [&] { processor(images, Options(uncropped).return_form(ReturnForm::stacked)); }) ==
        "[processor] images: expected images of one size after processing, got 24 x 34 and others. "
        "Resize them, or ask for a list.");
}

TEST_CASE("the torchvision backend of LevitImageProcessor makes images RGB on demand") {
  const LevitImageProcessor processor = small_levit_processor(ImageBackend::Torchvision);
  const auto convert = Options().do_convert_rgb(true);
  const at::Tensor grey = processor(pattern_image(37, 53, 1), convert).images[0];
  CHECK(grey.sizes() == at::IntArrayRef({3, 20, 20}));
  const auto raw = Options(convert).do_rescale(false).do_normalize(false);
  const at::Tensor bytes = processor(pattern_image(37, 53, 1), raw).images[0];
  CHECK(bytes[0].equal(bytes[1]));
  CHECK(bytes[0].equal(bytes[2]));
  CHECK(hash_of(processor, pattern_image(37, 53, 4), convert) == "229FBD38");
  CHECK(message_of<ConfigError>([&] { processor(pattern_image(37, 53, 4)); }) ==
        "[processor] /image_mean: expected one number, or one for each of the image's 4 channels, "
        "got 3 numbers.");
}

TEST_CASE("older and newer JSON forms of LevitImageProcessor are read") {
  const auto config = config_of<LevitImageProcessor>;
  CHECK(equal_fields(config("{}"), LevitImageProcessorConfig()));
  CHECK(config("{}").size == SizeDict{{"shortest_edge", 224}});
  CHECK(config("{}").crop_size == sides(224, 224));
  CHECK(config("{}").resample == 3);
  CHECK(config("{}").do_rescale);
  CHECK(config("{}").rescale_factor == 1.0 / 255.0);
  CHECK(config("{}").image_mean == std::vector<double>{0.485, 0.456, 0.406});
  CHECK(config("{}").image_std == std::vector<double>{0.229, 0.224, 0.225});
  // As the files on the hub are: no crop_size, no do_rescale.
  const auto published = config(
      R"({"do_center_crop": true, "do_normalize": true, "do_resize": true,
          "feature_extractor_type": "LevitFeatureExtractor",
          "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
          "resample": 3, "size": 224})");
  CHECK(equal_fields(published, LevitImageProcessorConfig()));
  // As Transformers 5 writes padding.
  const auto newer = LevitImageProcessor::from_json(
      R"({"image_processor_type": "LevitImageProcessorFast", "size": 21, "crop_size": 20,
          "do_pad": true, "pad_size": 33})",
      "p.json");
  CHECK(newer->config().do_pad == true);
  CHECK(newer->config().pad_size == sides(33, 33));
  const std::vector<cv::Mat> images{pattern_image(37, 53)};
  CHECK(hash_of(*newer, images) == "F7FFA332");
  newer->backend = ImageBackend::Torchvision;
  CHECK(hash_of(*newer, images) == "65DF60E8");
  CHECK(hash_of(*newer, images, Options().do_pad(false)) == "229FBD38");
}

TEST_CASE("the JSON of LevitImageProcessor is what Transformers writes") {
  const std::string text = R"({
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
  "image_processor_type": "LevitImageProcessor",
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
)";
  CHECK(LevitImageProcessor().to_json() == text);
  const auto loaded = LevitImageProcessor::from_json(
      R"({"size": 224, "feature_extractor_type": "LevitFeatureExtractor"})", "old.json");
  CHECK(loaded->to_json() == text);
  const auto newer = LevitImageProcessor::from_json(
      R"({"do_pad": true, "pad_size": {"height": 256, "width": 300}, "do_convert_rgb": false,
          "data_format": "channels_first"})",
      "new.json");
  const auto again = round_trip(*newer);
  CHECK(again->config().pad_size == sides(256, 300));
  CHECK(again->config().unknown.at("data_format") == "\"channels_first\"");
}

TEST_CASE("wrong values for LevitImageProcessor have one clear line") {
  const auto load = load_error<LevitImageProcessor>;
  CHECK(load(R"({"size": {"height": 3}})") ==
        "[processor] p.json: /size: expected the keys {height, width}, {shortest_edge}, "
        "{shortest_edge, longest_edge}, {longest_edge} or {max_height, max_width}, got {height}.");
  CHECK(load(R"({"crop_size": 0})") ==
        "[processor] p.json: /crop_size/height: expected a length of at least 1, got 0.");
  CHECK(load(R"({"pad_size": "big"})") ==
        "[processor] p.json: /pad_size: expected a number, [height, width] or an object, got "
        "\"big\".");
  CHECK(load(R"({"do_pad": 1})") == "[processor] p.json: /do_pad: expected true or false, got 1.");
  const cv::Mat image = pattern_image(37, 53);
  const auto call = [&](const Options& options, ImageBackend backend = ImageBackend::Torchvision) {
    return message_of<Error>([&] { small_levit_processor(backend)(image, options); });
  };
  CHECK(call(Options().size(SizeDict{{"longest_edge", 20}})) ==
        "[processor] /size: expected the key shortest_edge, or height and width, got "
        "{longest_edge}.");
  CHECK(call(Options().size(SizeDict{{"longest_edge", 20}}), ImageBackend::Pil) ==
        "[processor] /size: expected the key shortest_edge, or height and width, got "
        "{longest_edge}.");
  CHECK(call(Options().crop_size(SizeDict{{"longest_edge", 20}})) ==
        "[processor] /crop_size: expected the keys height and width, got {longest_edge}.");
  const auto pad = Options().do_pad(true);
  CHECK(call(Options(pad).pad_size(SizeDict{{"shortest_edge", 20}})) ==
        "[processor] /pad_size: expected the keys height and width, got {shortest_edge}.");
  CHECK(call(Options(pad).pad_size(sides(20, 19))) ==
        "[processor] /pad_size: expected at least 20 x 20, the size of the images, got 20 x 19.");
  CHECK(call(Options(pad).pad_size(sides(0, 30))) ==
        "[processor] /pad_size/height: expected a length of at least 1, got 0.");
  CHECK(call(Options().device(at::Device(at::kMeta))) ==
        "[processor] /device: expected cpu or a CUDA device that is there, got \"meta\".");
  CHECK(call(Options().device(at::Device(at::kCUDA, 99))) ==
        "[processor] /device: expected cpu or a CUDA device that is there, got \"cuda:99\".");
}

TEST_CASE("sizes of LevitImageProcessor without bound are refused before memory is taken") {
  const int64_t huge = 1'000'000'000;
  const cv::Mat image = pattern_image(8, 8);
  const auto call = [&](const Options& options, ImageBackend backend) {
    return message_of<Error>([&] { small_levit_processor(backend)(image, options); });
  };
  for (const ImageBackend backend : {ImageBackend::Pil, ImageBackend::Torchvision}) {
    CHECK(call(Options().crop_size(size_dict(huge, true)), backend) ==
          "[processor] /crop_size: expected 1 to 178956970 pixels, got 1000000000 x 1000000000.");
    CHECK(call(Options().size(size_dict(INT64_MAX, false)), backend) ==
          "[image] resize: expected a target size of 1 to 178956970 pixels, got 178956971 x "
          "178956971 (height x width).");
  }
  const auto pad = Options().do_pad(true).pad_size(size_dict(huge, true));
  CHECK(call(pad, ImageBackend::Torchvision) ==
        "[processor] /pad_size: expected 1 to 178956970 pixels, got 1000000000 x 1000000000.");
  // A tall image and a wide one.
  const std::vector<cv::Mat> images{cv::Mat::zeros(200'000, 1, CV_8UC3),
                                    cv::Mat::zeros(1, 200'000, CV_8UC3)};
  const auto unresized = Options().do_resize(false).do_center_crop(false).do_pad(true);
  CHECK(message_of<ConfigError>([&] {
          small_levit_processor(ImageBackend::Torchvision)(images, unresized);
        }) == "[processor] /do_pad: expected 1 to 178956970 pixels, got 200000 x 200000.");
}

}  // namespace
}  // namespace vizoo
