#include "vizoo/vision/owlv2_image_processor.h"

#include <limits>

#include "test/support/catch.h"
#include "test/support/corpus.h"
#include "test/unit/vision/processor_hash.h"
#include "vizoo/core/error.h"
#include "vizoo/vision/auto_image_processor.h"
#include "vizoo/vision/image_transforms.h"

// Golden values: Transformers 4.37.2 with numpy 1.26.4 and SciPy 1.17.1 (Pil), Transformers 5.17
// with torchvision 0.26 (Torchvision).
namespace vizoo {
namespace {

using test::hash_of;
using test::message_of;
using test::pattern_image;
using test::shape_of;
using Options = PreprocessOptions;

SizeDict sides(int64_t height, int64_t width) { return {{"height", height}, {"width", width}}; }

Owlv2ImageProcessor small_owlv2_processor(ImageBackend backend = ImageBackend::Pil) {
  Owlv2ImageProcessorConfig config;
  config.size = sides(24, 24);
  Owlv2ImageProcessor processor(config);
  processor.backend = backend;
  return processor;
}

TEST_CASE("Owlv2ImageProcessor is that of Transformers 4.37.2 bit by bit") {
  const Owlv2ImageProcessor processor = small_owlv2_processor();
  const cv::Mat image = pattern_image(37, 53);
  const auto hash = [&](const Options& options) { return hash_of(processor, image, options); };
  CHECK(hash({}) == "33DECBE3");
  CHECK(shape_of(processor(image).pixel_values) == "1 x 3 x 24 x 24");
  CHECK(hash_of(processor, pattern_image(53, 37)) == "63449F2F");
  CHECK(hash(Options().do_resize(false)) == "E69DB15A");
  CHECK(hash(Options().do_pad(false)) == "9A242FAE");
  CHECK(hash(Options().do_normalize(false)) == "17470043");
  CHECK(hash(Options().size(sides(60, 80))) == "52D7A263");
  CHECK(hash(Options().size(sides(40, 80))) == "85C7F45D");
  CHECK(hash(Options().size(sides(96, 96))) == "B47678A8");
  CHECK(hash(Options().rescale_factor(0.02)) == "06E7810C");
  CHECK(hash(Options().rescale_factor(-0.01)) == "EC600E36");
  CHECK(hash(Options()
                 .image_mean(std::vector<double>{0.1, 0.2, 0.3})
                 .image_std(std::vector<double>{0.4, 0.5, 0.6})) == "C86EFE60");
  CHECK(hash(Options().data_format(ChannelDimension::last)) == "2669ED67");
  // Not used, as upstream.
  CHECK(hash(Options().resample(Resample::bicubic)) == "33DECBE3");
}

TEST_CASE("strips and single pixels are what 4.37.2 makes of them channels first") {
  const Owlv2ImageProcessor processor = small_owlv2_processor();
  CHECK(hash_of(processor, pattern_image(1, 90)) == "7BED7167");
  CHECK(hash_of(processor, pattern_image(90, 1)) == "FCD753F3");
  CHECK(hash_of(processor, pattern_image(1, 1)) == "D1F4ED45");
  CHECK(hash_of(processor, pattern_image(3, 50)) == "5DDEBA33");
}

TEST_CASE("an image that is not rescaled keeps its type through padding and resizing") {
  const Owlv2ImageProcessor processor = small_owlv2_processor();
  const cv::Mat image = pattern_image(37, 53);
  const auto raw = Options().do_rescale(false).do_normalize(false);
  // The grey of the padding, 0.5, becomes 0.
  const at::Tensor bytes = processor(image, raw).images[0];
  CHECK(bytes.scalar_type() == at::kByte);
  CHECK(hash_of(bytes) == "DB3D83E1");
  CHECK(bytes.narrow(1, 20, 4).max().item<int64_t>() == 0);
  CHECK(hash_of(processor, image, Options().do_rescale(false)) == "75738EE6");
  CHECK(hash_of(processor, image, Options(raw).do_resize(false)) == "A778F165");
  CHECK(hash_of(processor, image, Options().do_rescale(false).do_resize(false)) == "8B432084");

  const at::Tensor floating = rescale(tensor_view(image), 1.0 / 255.0).permute({2, 0, 1}) - 0.3f;
  const at::Tensor single = processor(floating, Options().do_rescale(false)).images[0];
  CHECK(single.scalar_type() == at::kFloat);
  CHECK(hash_of(single) == "4A2C310F");
  const at::Tensor twice =
      processor(floating.to(at::kDouble), Options().do_rescale(false)).images[0];
  CHECK(twice.scalar_type() == at::kDouble);
  CHECK(hash_of(twice) == "DB51658B");
  // A rescaled floating image is the rescaled image of bytes.
  CHECK(hash_of(processor(tensor_view(image).permute({2, 0, 1}).to(at::kDouble)).images[0]) ==
        "33DECBE3");
  // NaN does not spoil the range that values are clipped to. (Upstream it also spreads to the other
  // channels, whose neighbours count with a weight of zero.)
  at::Tensor spoilt = floating.clone();
  spoilt[1][5][7] = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor result = processor(spoilt, raw).images[0];
  CHECK(result.isnan().sum().item<int64_t>() == 9);
  const at::Tensor sound = processor(floating, raw).images[0];
  CHECK(result.isnan().logical_or(result.eq(sound)).all().item<bool>());
}

TEST_CASE("what is padded with can be chosen, and depends on the backend otherwise") {
  const cv::Mat image = pattern_image(37, 53);
  const auto raw = Options().do_normalize(false);
  const auto corner = [&](const Owlv2ImageProcessor& processor, const Options& options) {
    return processor(image, options).images[0][0][23][0].item<float>();
  };
  CHECK(corner(small_owlv2_processor(), raw) == 0.5f);
  CHECK(corner(small_owlv2_processor(ImageBackend::Torchvision), raw) == 0.0f);
  CHECK(corner(small_owlv2_processor(), Options(raw).pad_value(0.0)) == 0.0f);
  CHECK(corner(small_owlv2_processor(ImageBackend::Torchvision), Options(raw).pad_value(0.5)) ==
        Approx(0.5));
  Owlv2ImageProcessorConfig config;
  config.size = sides(24, 24);
  config.pad_value = 0.25;
  CHECK(corner(Owlv2ImageProcessor(config), raw) == 0.25f);
  CHECK(corner(Owlv2ImageProcessor(config), Options(raw).pad_value(0.75)) == 0.75f);
  // Only what is padded changes.
  CHECK(small_owlv2_processor()(image, raw)
            .images[0]
            .narrow(1, 0, 10)
            .equal(small_owlv2_processor()(image, Options(raw).pad_value(0.0))
                       .images[0]
                       .narrow(1, 0, 10)));
}

TEST_CASE("Owlv2ImageProcessor on torchvision is the class of Transformers 5.17") {
  const Owlv2ImageProcessor processor = small_owlv2_processor(ImageBackend::Torchvision);
  const cv::Mat image = pattern_image(37, 53);
  const auto hash = [&](const Options& options) { return hash_of(processor, image, options); };
  CHECK(hash({}) == "A393BB41");
  CHECK(hash_of(processor, pattern_image(53, 37)) == "9C30CFBB");
  CHECK(hash(Options().do_pad(false)) == "41790D64");
  CHECK(hash(Options().do_normalize(false)) == "1F9171F6");
  CHECK(hash(Options().do_rescale(false)) == "88DADABD");
  CHECK(hash(Options().do_rescale(false).do_normalize(false)) == "04FF753D");
  CHECK(hash(Options().size(sides(40, 80))) == "908973D7");  // one axis grows: no blur
  // Both axes shrink, by different factors: the blurs are swapped.
  CHECK(hash(Options().size(sides(10, 30)).do_pad(false)) == "616B1877");
  CHECK(hash(Options().rescale_factor(0.02)) == "197B3653");
  CHECK(hash(Options()
                 .image_mean(std::vector<double>{0.1, 0.2, 0.3})
                 .image_std(std::vector<double>{0.4, 0.5, 0.6})) == "F39D41D1");
  const auto wide = Options().size(sides(40, 40));
  CHECK(hash_of(processor, pattern_image(1, 90), wide) == "3038F4F0");
  CHECK(hash_of(processor, pattern_image(90, 1), wide) == "D4DBFE2E");
  CHECK(hash_of(processor, pattern_image(1, 1)) == "532DEEEB");
}

TEST_CASE("Owlv2ImageProcessor on torchvision enlarges as Transformers 5.17 on one thread") {
  // ATen rounds otherwise where it shares an image among threads.
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto hash = hash_of(small_owlv2_processor(ImageBackend::Torchvision),
                            pattern_image(37, 53),
                            Options().size(sides(60, 80)));
  at::set_num_threads(threads);
  CHECK(hash == "AF3C2821");
}

TEST_CASE("batches of OWLv2's processor are stacked whatever the images' sizes") {
  const Owlv2ImageProcessor processor = small_owlv2_processor();
  const std::vector<cv::Mat> images{pattern_image(37, 53), pattern_image(53, 37)};
  const auto batch = processor(images);
  CHECK(shape_of(batch.pixel_values) == "2 x 3 x 24 x 24");
  CHECK(hash_of(batch.pixel_values[1]) == "63449F2F");
  CHECK(batch.images[1].data_ptr() == batch.pixel_values[1].data_ptr());
  const auto last = processor(images, Options().data_format(ChannelDimension::last));
  CHECK(last.pixel_values.permute({0, 3, 1, 2}).equal(batch.pixel_values));
  const std::vector<cv::Mat> sizes{pattern_image(37, 53), pattern_image(20, 30)};
  const auto unresized = Options().do_resize(false);
  CHECK_FALSE(processor(sizes, unresized).pixel_values.defined());
  CHECK(message_of<ShapeError>(
            [&] { processor(sizes, Options(unresized).return_form(ReturnForm::stacked)); }) ==
        "[processor] images: expected images of one size after processing, got 53 x 53 and others. "
        "Resize them, or ask for a list.");
}

TEST_CASE("images of other than three channels become RGB") {
  const Owlv2ImageProcessor processor = small_owlv2_processor();
  CHECK(hash_of(processor, pattern_image(37, 53, 4)) == "33DECBE3");
  const auto raw = Options().do_normalize(false);
  const at::Tensor grey = processor(pattern_image(37, 53, 1), raw).images[0];
  CHECK(shape_of(grey) == "3 x 24 x 24");
  CHECK(grey[0].equal(grey[2]));
  CHECK(shape_of(processor(pattern_image(37, 53, 2)).images[0]) == "3 x 24 x 24");
  CHECK(message_of<ConfigError>(
            [&] { processor(pattern_image(37, 53, 1), Options().do_convert_rgb(false)); }) ==
        "[processor] /image_mean: expected one number, or one for each of the image's 1 channels, "
        "got 3 numbers.");
}

TEST_CASE("the JSON of Owlv2ImageProcessor is what Transformers writes") {
  const std::string text = R"({
  "do_normalize": true,
  "do_pad": true,
  "do_rescale": true,
  "do_resize": true,
  "image_mean": [
    0.48145466,
    0.4578275,
    0.40821073
  ],
  "image_processor_type": "Owlv2ImageProcessor",
  "image_std": [
    0.26862954,
    0.26130258,
    0.27577711
  ],
  "resample": 2,
  "rescale_factor": 0.00392156862745098,
  "size": {
    "height": 960,
    "width": 960
  }
}
)";
  CHECK(Owlv2ImageProcessor().to_json() == text);
  CHECK(Owlv2ImageProcessor::from_json(text, "p.json")->to_json() == text);
  const auto config = [](const std::string& json) {
    return Owlv2ImageProcessor::from_json(json, "p.json")->config();
  };
  CHECK(equal_fields(config("{}"), Owlv2ImageProcessorConfig()));
  CHECK(config(R"({"size": 1008})").size == sides(1008, 1008));
  CHECK(config(R"({"size": [10, 20]})").size == sides(10, 20));
  CHECK_FALSE(config(R"({"rescale": false})").do_rescale);  // its name in early files
  const auto newer = Owlv2ImageProcessor::from_json(
      R"({"do_convert_rgb": true, "pad_value": 0.0, "processor_class": "Owlv2Processor"})", "n");
  CHECK(newer->config().pad_value == 0.0);
  const auto again = Owlv2ImageProcessor::from_json(newer->to_json(), "again");
  CHECK(again->to_json() == newer->to_json());
  CHECK(equal_fields(again->config(), newer->config()));
  CHECK(again->config().unknown.at("processor_class") == "\"Owlv2Processor\"");
  const test::TemporaryFolder folder;
  newer->save_pretrained(folder / "new");
  CHECK(AutoImageProcessor::from_pretrained(folder / "new")->to_json() == newer->to_json());
  for (const char* name : {"Owlv2ImageProcessorFast", "Owlv2ImageProcessorPil"}) {
    test::write_bytes(folder / "preprocessor_config.json",
                      std::string(R"({"image_processor_type": ")") + name + "\"}");
    CHECK(AutoImageProcessor::from_pretrained(folder / "preprocessor_config.json")->type_name() ==
          "Owlv2ImageProcessor");
  }
}

TEST_CASE("wrong values for Owlv2ImageProcessor have one clear line") {
  const auto load = [](const std::string& text) {
    return message_of<ConfigError>([&] { Owlv2ImageProcessor::from_json(text, "p.json"); });
  };
  CHECK(load("[1]") == "[processor] p.json: expected a JSON object, got an array of 1 value.");
  CHECK(load(R"({"size": {"shortest_edge": 3}})") ==
        "[processor] p.json: /size: expected the keys height and width, got {shortest_edge}.");
  CHECK(load(R"({"do_pad": 1})") == "[processor] p.json: /do_pad: expected true or false, got 1.");
  CHECK(load(R"({"rescale": 1})") ==
        "[processor] p.json: /do_rescale: expected true or false, got 1.");
  const cv::Mat image = pattern_image(37, 53);
  const auto call = [&](const Options& options, ImageBackend backend = ImageBackend::Pil) {
    return message_of<Error>([&] { small_owlv2_processor(backend)(image, options); });
  };
  CHECK(call(Options().pad_value(std::numeric_limits<double>::infinity())) ==
        "[processor] /pad_value: expected a finite number, got inf.");
  CHECK(call(Options().size(SizeDict{{"longest_edge", 20}})) ==
        "[processor] /size: expected the keys height and width, got {longest_edge}.");
  CHECK(call(Options().image_std(std::vector<double>{1, 2})) ==
        "[processor] /image_std: expected one number, or one for each of the image's 3 channels, "
        "got 2 numbers.");
  CHECK(call(Options().size(sides(1, 1)), ImageBackend::Torchvision) ==
        "[processor] /size: expected a size that needs no such blur with the torchvision backend, "
        "got 157 x 157 weights for 53 x 53 pixels. The pil backend has no such limit.");
  CHECK(hash_of(small_owlv2_processor(), image, Options().size(sides(1, 1))).size() == 8);
}

TEST_CASE("long strips are padded within bounds or refused") {
  const Owlv2ImageProcessor processor = small_owlv2_processor();
  CHECK(shape_of(processor(cv::Mat::zeros(1, 5000, CV_8UC3)).images[0]) == "3 x 24 x 24");
  CHECK(shape_of(processor(cv::Mat::zeros(5000, 1, CV_8UC3)).images[0]) == "3 x 24 x 24");
  for (const ImageBackend backend : {ImageBackend::Pil, ImageBackend::Torchvision}) {
    CHECK(message_of<ConfigError>([&] {
            small_owlv2_processor(backend)(cv::Mat::zeros(1, 20000, CV_8UC3));
          }) == "[processor] /do_pad: expected 1 to 178956970 pixels, got 20000 x 20000.");
    CHECK(message_of<Error>([&] {
            small_owlv2_processor(backend)(pattern_image(8, 8),
                                           Options().size(sides(1'000'000, 1'000'000)));
          }) ==
          "[image] resize: expected a target size of 1 to 178956970 pixels, got 1000000 x "
          "1000000 (height x width).");
  }
}

}  // namespace
}  // namespace vizoo
